"""Assignments: what a name means from there on, and what an attribute holds."""

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING

from netra_sim.audit.changes import is_container, is_primitive, note_change
from netra_sim.audit.facts import SharedName
from netra_sim.audit.paths import annotated, path_of

if TYPE_CHECKING:
    from netra_sim.audit.extraction import Extractor


def assign(
    walk: "Extractor", targets: Sequence[ast.expr], value: ast.expr | None, annotation: ast.expr | None = None
) -> None:
    """A binding of names, attributes or elements."""
    path = annotated(annotation, walk.scope) or (path_of(value, walk.scope) if value is not None else "")
    before = len(walk.module.calls)
    walk.value(value)
    for target in targets:
        bind(walk, target, path, value)
        if isinstance(target, ast.Name) and walk.function >= 0 and len(walk.module.calls) > before:
            inner = value.value if isinstance(value, ast.Await) else value
            if isinstance(inner, ast.Call) and target.id not in walk.globals | walk.nonlocals:
                walk.bound.append((before, walk.function, target.id))


def bind(walk: "Extractor", target: ast.expr, path: str, value: ast.expr | None) -> None:
    """Have a target mean what a path leads to."""
    if isinstance(target, ast.Name):
        _bind_name(walk, target, path, value)
    elif isinstance(target, ast.Tuple | ast.List):
        values = value.elts if isinstance(value, ast.Tuple | ast.List) else []
        for number, one in enumerate(target.elts):
            same = len(values) == len(target.elts)
            part = values[number] if same else None
            is_pair = path.endswith(".items()[]") and number == 1
            inner = path_of(part, walk.scope) if part else path.replace(".items()[]", "[]") if is_pair else ""
            bind(walk, one, inner, part)
    elif isinstance(target, ast.Starred):
        bind(walk, target.value, "", None)
    else:
        if isinstance(target, ast.Attribute):
            _bind_attribute(walk, target, path)
        note_change(walk, target)
        walk.children(target)


def _bind_name(walk: "Extractor", target: ast.Name, path: str, value: ast.expr | None) -> None:
    name = target.id
    if name in walk.globals:
        note_change(walk, target)
        return
    if walk.function < 0 and not (name.startswith("__") and name.endswith("__")):
        walk.module.states.append(
            SharedName(
                name,
                walk.scope.owner,
                target.lineno,
                target.col_offset + 1,
                path,
                value is not None and is_container(value, path_of(value, walk.scope)),
                is_primitive(path_of(value, walk.scope)),
            )
        )
    is_wrapped = path.endswith("()") and walk.scope.names.get(name) == f"{walk.scope.prefix}.{name}"
    if is_wrapped:
        return  # ``f = decorator(f)`` leaves f what it is
    if path == "builtins.None" or (not path and value is None):
        walk.scope.names.setdefault(name, "")
    else:
        walk.scope.names[name] = path


def _bind_attribute(walk: "Extractor", target: ast.Attribute, path: str) -> None:
    base = path_of(target.value, walk.scope)
    prefix = f"{walk.module.name}."
    owner = base.removeprefix(prefix).removesuffix("()")
    known = walk.module.classes.get(owner) if base.startswith(prefix) else None
    if known is not None and path and path != "builtins.None":
        held = known.attributes.get(target.attr, "")
        if not held or held.startswith("?") or held == "builtins.None":
            known.attributes[target.attr] = path
