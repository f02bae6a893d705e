"""What a rule is: data about it, and a function that looks at every place of its kind."""

from collections.abc import Callable, Iterator

import msgspec

from netra_sim.audit.facts import Module
from netra_sim.audit.tree import Tree


class Place(msgspec.Struct, frozen=True):
    """A place that a rule has looked at.

    Attributes:
        symbol: the function, class or name, without its module.
        problem: what is wrong there, as the beginning of a sentence without a full stop; "" if nothing is.
    """

    module: Module
    line: int
    column: int
    symbol: str
    problem: str = ""


Look = Callable[[Tree], Iterator[Place]]
"""Yields every place of a rule's kind in a tree, those that are fine included."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule of the architecture.

    Attributes:
        id: as findings and configurations name it.
        name: the same for people and for claims.
        question: what it asks of a tree.
        unit: what it looks at.
        why: what has happened without it, with the ids of incidents.
        fix: what to do about a finding.
        look: does the looking.
    """

    id: str
    name: str
    question: str
    unit: str
    why: str
    fix: str
    look: Look


def symbol_of(module: Module, number: int) -> str:
    """The name of the function with this index, or "" for the module's own level."""
    return module.functions[number].name if number >= 0 else ""
