"""The close codes, whether a client reconnects after one, and how long it waits before it does (docs/protocol.md)."""

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
"""Bounds, in seconds, of the random pause after `CLOSE_REPLACED`, so that too many tabs do not keep replacing each other."""

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 5.0


def is_terminal(code: int) -> bool:
    """Whether a client must not reconnect after this close code, because the server would close it again.

    An unknown code from 4400 to 4499, which a newer server may send, counts as `CLOSE_POLICY` (docs/protocol.md).
    """
    return code == CLOSE_TOO_BIG or (4400 <= code <= 4499 and code not in (CLOSE_SILENT, CLOSE_REPLACED))


def longest_pause(failures: int) -> float:
    """The longest pause, in seconds, before the next attempt to connect after ``failures`` failed attempts in a row.

    A client draws its pause evenly between 0 and this value ("full jitter"), so that clients that lost their connections
    together do not return together.
    """
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures, 16))
