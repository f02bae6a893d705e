"""The rules, in the order of their ids. Each file holds the rules of one idea, and is listed here."""

from collections.abc import Iterator

from netra_sim.audit.rules import competing, making, patching, sends, state, waits
from netra_sim.audit.rules.rule import Location, Rule
from netra_sim.audit.tree import Tree
from netra_sim.registry import Registry


def _nothing(tree: Tree) -> Iterator[Location]:
    return iter(())


RULES: Registry[Rule] = Registry(
    "netra_sim.audit_rules",
    sorted(
        (rule for module in (waits, patching, making, sends, state, competing) for rule in module.RULES),
        key=lambda rule: rule.id,
    ),
    kind=Rule,
)
"""All rules by name, those of other packages included."""

UNREADABLE_FILE = Rule(
    id="NS001",
    name="unreadable-file",
    question="Could every file be read?",
    unit="files",
    why="No rule has seen it.",
    fix="Mend the file, or exclude it.",
    look=_nothing,
)
STALE_ALLOWANCE = Rule(
    id="NS002",
    name="stale-allowance",
    question="Does every allowance still allow something?",
    unit="allowances",
    why="It would hide the next finding in that place.",
    fix="Take it out of `allow`.",
    look=_nothing,
)
NOTICES: tuple[Rule, ...] = (UNREADABLE_FILE, STALE_ALLOWANCE)
"""Findings about the audit itself."""

__all__ = ["NOTICES", "RULES", "STALE_ALLOWANCE", "UNREADABLE_FILE", "Location", "Rule"]
