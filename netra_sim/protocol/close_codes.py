"""Why connections are closed, and what a client does then: the codes, and the pauses between its attempts to return."""

CLOSE_NORMAL = 1000
CLOSE_GOING_AWAY = 1001
CLOSE_LOST = 1006
CLOSE_TOO_BIG = 1009
CLOSE_INTERNAL = 1011
CLOSE_RESTART = 1012
CLOSE_TRY_LATER = 1013
CLOSE_SLOW_CONSUMER = 4008
CLOSE_PROTOCOL = 4400
CLOSE_UNAUTHENTICATED = 4401
CLOSE_FORBIDDEN = 4403
CLOSE_SILENT = 4408
CLOSE_POLICY = 4409
CLOSE_REPLACED = 4410
CLOSE_ERRORS = 4422
CLOSE_RATE = 4429

REPLACED_PAUSE = (10.0, 30.0)
"""Seconds between which a client draws its pause after `CLOSE_REPLACED`, so that too many tabs do not keep taking turns."""

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 5.0


def is_terminal(code: int) -> bool:
    """Whether a client that is closed with a code stays away: it would fare no better.

    A code from 4400 to 4499 that a newer server sends is taken as `CLOSE_POLICY` (docs/protocol.md).
    """
    return code == CLOSE_TOO_BIG or (4400 <= code <= 4499 and code not in (CLOSE_SILENT, CLOSE_REPLACED))


def longest_pause(failures: int) -> float:
    """The most seconds that a client waits before its next attempt, after so many failures in a row.

    The pause itself is to be drawn between 0 and this (full jitter), so that clients that were cut off together do not
    come back together.
    """
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures, 16))
