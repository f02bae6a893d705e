"""What a command of netra-sim exits with."""

from enum import IntEnum


class ExitCode(IntEnum):
    """GO; NO-GO: it ran, and a claim or an objective fell; USAGE: nothing ran; BROKE: it did not run to its end."""

    GO = 0
    NO_GO = 1
    USAGE = 2
    BROKE = 3
