"""Puts other objects in the place of those of the standard library, wherever a module has taken them, and back again."""

import os
import sys
import sysconfig
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

_OURS = str(Path(__file__).resolve().parents[2]) + os.sep
_LIBRARY = tuple({str(Path(sysconfig.get_path(name)).resolve()) + os.sep for name in ("stdlib", "platstdlib")})


@contextmanager
def replaced(owner: object, name: str, replacement: object) -> Generator[None]:
    """Replace an attribute of a module or class while the context is open."""
    before = vars(owner)[name]
    setattr(owner, name, replacement)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def rebound(replacements: Mapping[Any, object]) -> Generator[None]:
    """Replace these objects in all modules that did ``from module import name``, while the context is open.

    The standard library and netra_sim keep what they have. A module that is imported in the context gets the replacement by
    itself, if the module that it takes it from has it, and loses it at the end.

    Args:
        replacements: the replacement of each object.
    """
    _swap({id(original): (original, replacement) for original, replacement in replacements.items()})
    try:
        yield
    finally:
        _swap({id(replacement): (replacement, original) for original, replacement in replacements.items()})


def _swap(swaps: Mapping[int, tuple[object, object]]) -> None:
    for module in list(sys.modules.values()):
        if not isinstance(module, ModuleType) or _is_exempt(module):
            continue
        names = vars(module)
        for name, value in list(names.items()):
            if (swap := swaps.get(id(value))) is not None and swap[0] is value:
                names[name] = swap[1]


def _is_exempt(module: ModuleType) -> bool:
    path = getattr(module, "__file__", None)
    if not path:  # built in, frozen, or made in a notebook
        return module.__name__ != "__main__" and getattr(module, "__spec__", None) is not None
    return path.startswith(_OURS) or (path.startswith(_LIBRARY) and f"{os.sep}site-packages{os.sep}" not in path)
