"""Finds the exceptions in what a server has written, as the records of errors that no code handled."""

import re
from collections.abc import Iterator

_TRACEBACK = re.compile(r"^(?:  \+ Exception Group )?Traceback \(most recent call last\):$")
_GROUP = "  | "
"""Stands before each line of the traceback of a group of exceptions; those of its members stand further right."""

_CHAINED = re.compile(r"^(?:During handling of the above|The above exception was the direct cause)")
_ERROR = re.compile(r"^(?P<name>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?$")
_PLACE = re.compile(r'^  File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>.+)$')

_PARTINGS = ("WebSocketDisconnect", "ClientDisconnect", "ClientDisconnected")
"""Exceptions by which frameworks tell a handler that its client has left, which is no error of the system."""


def errors_in(output: str) -> Iterator[tuple[str, str]]:
    """The type of each exception of which a traceback stands in the output, and its message with the last place.

    Of a chain of exceptions it is the last one, which is the one that nothing handled; of a group it is the group.
    """
    lines = iter(output.splitlines())
    found: tuple[str, str] | None = None
    for line in lines:
        if _CHAINED.match(line.removeprefix(_GROUP)):
            found = None  # the next traceback is that of the same error
        elif _TRACEBACK.match(line):
            if found is not None:
                yield found
            found = _error(lines)
    if found is not None:
        yield found


def _error(lines: Iterator[str]) -> tuple[str, str] | None:
    """The error at the end of a traceback, or None for one that counts for nothing."""
    place = ""
    for line in lines:
        text = line.removeprefix(_GROUP)
        if where := _PLACE.match(text):
            place = f"{where['function']} in {where['file'].rpartition('/')[2]}, line {where['line']}: "
        elif error := _ERROR.match(text):
            name = error["name"].rpartition(".")[2]
            return None if name in _PARTINGS else (name, f"{place}{error['message'] or name}")
    return None
