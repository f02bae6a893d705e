"""Suggests the known name that a wrong one is nearest to."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is most like this one; "" if none is like it."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), "")


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """The question "did you mean ...?" with the nearest known name, or what else to say if none is near."""
    near = nearest(name, known)
    return f"did you mean {near}?" if near else otherwise
