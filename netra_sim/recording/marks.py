"""Marks: texts in the data of each user and run that name the owner, so that data in the wrong place shows it."""

import re
from collections.abc import Iterator
from contextvars import ContextVar
from functools import lru_cache

CONTEXT_MARK: ContextVar[str] = ContextVar("netra_sim.mark", default="")
"""The id of the user who asked, set in the context that carries out the request."""

_MARK = re.compile(rb"canary:([^;\"\\]+);(?:run:([^;\"\\]+);)?")

_LONGEST_NAME = 200
_UNFINISHED = re.compile(
    rb"(?:c(?:a(?:n(?:a(?:ry?)?)?)?)?|canary:[^;\"\\]{0,%d}(?:;(?:r(?:un?)?|run:[^;\"\\]{0,%d})?)?)\Z"
    % (_LONGEST_NAME, _LONGEST_NAME)
)


def mark(user_id: str, run_id: str = "") -> str:
    """The text that names a user, and one of the user's runs where it is known."""
    return f"canary:{user_id};run:{run_id};" if run_id else f"canary:{user_id};"


def marked_question(user_id: str, run_id: str) -> str:
    """The question that a user asks in a run, with the mark of both."""
    return f"How can I cut the cost of {mark(user_id, run_id)}?"


def marks_in(frame: bytes, reader: str, run_id: str = "") -> tuple[str, str]:
    """The owner that the marks in a frame name.

    Args:
        frame: as it reached the client.
        reader: the user who reads it.
        run_id: the run that the frame says it belongs to.

    Returns:
        The owner: the first user in the marks who is not the reader, else the reader, or "" without a mark. And, if the
        owner is the reader, the first run in the marks that is not ``run_id``; else "".
    """
    marks = frame.count(b"canary:")
    if marks == 0:
        return "", ""
    if marks == frame.count(_own_mark(reader, run_id)):  # nearly always, and far cheaper than the pattern
        return reader, ""
    owner = other_run = ""
    for match in _MARK.finditer(frame):
        found = match[1].decode(errors="replace")
        if found != reader:
            return found, ""
        owner = found
        if match[2] and run_id and not other_run and (run := match[2].decode(errors="replace")) != run_id:
            other_run = run
    return owner, other_run


def each_mark(data: bytes, after: int = 0) -> Iterator[tuple[str, str]]:
    """The user and the run ("" without one) of every mark in the data that ends behind the position ``after``."""
    if b"canary:" in data:
        for found in _MARK.finditer(data):
            if found.end() > after:
                yield found[1].decode(errors="replace"), (found[2] or b"").decode(errors="replace")


def unfinished_mark(data: bytes) -> bytes:
    """The end of the data that may be the beginning of a mark, whose rest then arrives with the next piece; else b""."""
    found = _UNFINISHED.search(data, max(0, len(data) - 2 * _LONGEST_NAME))
    return found[0] if found else b""


def all_marks(text: str) -> list[tuple[str, str]]:
    """The user and the run of each mark in a text, in order and each once; the run is "" where a mark does not name one."""
    return list(dict.fromkeys(each_mark(text.encode(errors="replace"))))


@lru_cache(16_384)  # the runs that live at the same time
def _own_mark(reader: str, run_id: str) -> bytes:
    """The mark in a frame that tells its reader nothing new; a text that no frame holds if the pattern would not find it."""
    own = mark(reader, run_id).encode(errors="replace")
    found = _MARK.fullmatch(own)
    return own if found and found[1].decode() == reader else b"\0"
