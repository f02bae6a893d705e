"""The exit codes of netra-sim."""

from enum import IntEnum


class ExitCode(IntEnum):
    """GO; NO-GO: a claim or objective fell, or too little evidence; USAGE: wrong usage, or nothing judged; BROKE."""

    GO = 0
    NO_GO = 1
    USAGE = 2
    BROKE = 3
