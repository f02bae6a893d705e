"""A rule: its texts, and a function that looks at every location that the rule is about."""

from collections.abc import Callable, Iterator

import msgspec

from netra_sim.audit.facts import Call, Module
from netra_sim.audit.tree import Tree


class Location(msgspec.Struct, frozen=True):
    """A position in the code that a rule has looked at.

    Attributes:
        module: the module of the position.
        line: counted from 1.
        column: in bytes of UTF-8, counted from 1.
        symbol: the function, class or name, without its module.
        problem: what is wrong there, as the beginning of a sentence without a full stop; "" if nothing is wrong.
    """

    module: Module
    line: int
    column: int
    symbol: str
    problem: str = ""


RuleFunction = Callable[[Tree], Iterator[Location]]
"""Yields every location that a rule is about, also those without a problem."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule of the architecture.

    Attributes:
        id: the id in findings and configurations, such as ``NS101``.
        name: the name in findings, configurations and claims.
        question: what it asks of a tree.
        unit: what it looks at, in the plural.
        why: what happened without it, with the ids of incidents.
        fix: how to mend a finding.
        look: yields the locations.
    """

    id: str
    name: str
    question: str
    unit: str
    why: str
    fix: str
    look: RuleFunction


def symbol_of(module: Module, number: int) -> str:
    """The name of the function with this index, or "" at module level."""
    return module.functions[number].name if number >= 0 else ""


def location_of(module: Module, call: Call, problem: str = "") -> Location:
    """The location of a call."""
    return Location(module, call.line, call.column, symbol_of(module, call.function), problem)
