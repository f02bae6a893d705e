"""The exit codes of netra-sim."""

from enum import IntEnum


class ExitCode(IntEnum):
    """GO; NO-GO: a claim or objective fell, or too little evidence; USAGE: wrong usage, or nothing judged; BROKE."""

    GO = 0
    NO_GO = 1
    USAGE = 2
    BROKE = 3


CLOSED_PIPE = 141
"""What a command exits with if the reader of its output has gone: that of any program that SIGPIPE ends."""
