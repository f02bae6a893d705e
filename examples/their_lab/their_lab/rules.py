"""A rule of the audit."""

from collections.abc import Iterator

from netra_sim.audit.paths import dotted
from netra_sim.audit.rules import Location, Rule
from netra_sim.audit.tree import Tree

_PRINT = dotted("builtins.print")


def _prints(tree: Tree) -> Iterator[Location]:
    for module in tree.modules.values():
        for call in module.calls:
            if tree.has_role(module.name, "streaming"):
                problem = "print() blocks the loop" if call.path == _PRINT else ""
                yield Location(module, call.line, call.column, "", problem)


PRINT_IN_STREAMING = Rule(
    id="TL001",
    name="print-in-streaming",
    question="Does streaming code leave the terminal alone?",
    unit="calls in streaming code",
    why="A terminal that does not read blocks the event loop.",
    fix="Use logging.",
    look=_prints,
)
