"""Canaries: marks planted in the data of each user and run, which say whose data an event carries, whatever it claims."""

import re
from contextvars import ContextVar

CONTEXT_CANARY: ContextVar[str] = ContextVar("netra_sim.canary", default="")
"""The mark that is planted in the context in which a user's request is carried out: the user's id."""

_CANARY = re.compile(rb"canary:([^;\"\\]+);(?:run:([^;\"\\]+);)?")


def canary(user_id: str, run_id: str = "") -> str:
    """The mark of a user's data, and of one run's where it is known."""
    return f"canary:{user_id};run:{run_id};" if run_id else f"canary:{user_id};"


def marked_question(user_id: str, run_id: str) -> str:
    """What the user asks in a run: a question that bears the mark of both."""
    return f"How can I cut the cost of {canary(user_id, run_id)}?"


def whose(frame: bytes, reader: str, run_id: str = "") -> tuple[str, str]:
    """Whose data a frame carries.

    Args:
        frame: as it reached the client.
        reader: the user who reads it.
        run_id: the run that the frame says it belongs to.

    Returns:
        The first user in its marks who is not the reader, else the reader, or "" if there is no mark; and the first run in
        the reader's own marks that is not the frame's, or "".
    """
    owner = other_run = ""
    for match in _CANARY.finditer(frame):
        found = match[1].decode(errors="replace")
        if found != reader:
            return found, ""
        owner = found
        if match[2] and run_id and not other_run and (run := match[2].decode(errors="replace")) != run_id:
            other_run = run
    return owner, other_run
