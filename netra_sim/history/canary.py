"""Canaries: marks planted in each user's data, which tell whose data an event carries, whatever the event says."""

import re
from contextvars import ContextVar

CONTEXT_CANARY: ContextVar[str] = ContextVar("netra_sim.canary", default="")
"""The mark that is planted in the context in which a user's request is carried out: the user's id."""

_CANARY = re.compile(rb"canary:([^;\"\\]+);")


def canary(user_id: str) -> str:
    """The mark of a user's data."""
    return f"canary:{user_id};"


def whose(frame: bytes, named_user: str, reader: str) -> str:
    """The user whose data a frame carries: anybody's but the reader's whose canary is in it, else whom the frame names."""
    for match in _CANARY.finditer(frame):
        found = match[1].decode()
        if found != reader:
            return found
    return named_user
