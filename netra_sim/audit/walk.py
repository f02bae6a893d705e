"""`Walk`: visits the nodes of a syntax tree, and does not recurse into the long chains of generated code."""

import ast
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar


class Walk:
    """A walk over a syntax tree in source order.

    `ast.NodeVisitor` builds a method name for each node; a table by type is faster.

    Attributes:
        visitors: what to do with a node, by its type; the walk goes into nodes of other types.
    """

    visitors: ClassVar[Mapping[type[ast.AST], Callable[[Any, Any], object]]] = {}

    def visit(self, node: ast.AST) -> None:
        """Walk a node."""
        visitor = self.visitors.get(type(node))
        if visitor is None:
            self.children(node)
        else:
            visitor(self, node)

    def visit_all(self, nodes: Iterable[ast.AST]) -> None:
        """Walk several nodes."""
        for node in nodes:
            self.visit(node)

    def children(self, node: ast.AST) -> None:
        """Walk the nodes in a node."""
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, ast.AST):
                self.visit(value)
            elif isinstance(value, list):
                for one in value:
                    if isinstance(one, ast.AST):
                        self.visit(one)

    def operators(self, node: ast.BinOp) -> None:
        """Walk ``a + b + c + ...`` without recursion."""
        right: list[ast.expr] = []
        left: ast.expr = node
        while isinstance(left, ast.BinOp):
            right.append(left.right)
            left = left.left
        self.visit(left)
        self.visit_all(reversed(right))

    def branches(self, node: ast.If) -> None:
        """Walk ``if ... elif ... else`` without recursion."""
        following: list[ast.stmt] = [node]
        while len(following) == 1 and isinstance(following[0], ast.If):
            branch = following[0]
            self.visit(branch.test)
            self.visit_all(branch.body)
            following = branch.orelse
        self.visit_all(following)
