"""The exit codes of netra-sim."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the exit code of a command means.

    Attributes:
        GO: nothing failed.
        NO_GO: a claim or an objective failed, or there is too little evidence.
        USAGE: the command was used wrongly, or nothing could be judged.
        BROKE: the command broke off with an error.
    """

    GO = 0
    NO_GO = 1
    USAGE = 2
    BROKE = 3
