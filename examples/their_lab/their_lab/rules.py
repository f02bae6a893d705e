"""A rule of the audit."""

from collections.abc import Iterator

from netra_sim.audit.rules import Place, Rule
from netra_sim.audit.tree import Tree


def _prints(tree: Tree) -> Iterator[Place]:
    for module in tree.modules.values():
        for call in module.calls:
            if tree.plays(module.name, "streaming"):
                yield Place(
                    module,
                    call.line,
                    call.column,
                    "",
                    "print() blocks the loop" if call.path == "builtins.print" else "",
                )


PRINT_IN_STREAMING = Rule(
    id="TL001",
    name="print-in-streaming",
    question="Does streaming code leave the terminal alone?",
    unit="calls in streaming code",
    why="A terminal that does not read blocks the event loop.",
    fix="Use logging.",
    look=_prints,
)
