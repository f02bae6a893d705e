"""Puts other objects in the place of those of the standard library, wherever a module has taken them, and back again."""

import os
import sys
import sysconfig
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import ref

_OURS = __name__.partition(".")[0]
_LIBRARY = tuple(
    {
        str(folder) + os.sep
        for name in ("stdlib", "platstdlib")
        for folder in (Path(sysconfig.get_path(name)), Path(sysconfig.get_path(name)).resolve())
    }
)


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
    unknown = {id(original): original for original in replacements if id(original) not in _originals}
    _originals.update(unknown)
    if unknown:
        _search(_searched, unknown)
    _search_new_modules()
    for original, replacement in replacements.items():
        _originals[id(replacement)] = original
        _swap(original, original, replacement)
    try:
        yield
    finally:
        _search_new_modules()
        for original, replacement in replacements.items():
            _swap(original, replacement, original)
            _originals.pop(id(replacement), None)


_originals: dict[int, Any] = {}
_places: dict[int, list[tuple[ref[ModuleType], str]]] = {}
_searched: dict[str, ref[ModuleType]] = {}
"""Which object is an original or stands in for one, by its id; which modules have taken which original; and which modules
were searched: a search of all takes long."""


def _search_new_modules() -> None:
    new = {
        key: ref(module)
        for key, module in list(sys.modules.items())
        if issubclass(type(module), ModuleType) and not (key in _searched and _searched[key]() is module)
    }
    _searched.update(new)
    _search(new, _originals)


def _search(modules: Mapping[str, ref[ModuleType]], originals: Mapping[int, Any]) -> None:
    """Find where modules have taken objects: the originals, by the ids of these objects."""
    for module in modules.values():
        if (found := module()) is not None and not _is_exempt(found):
            for name, value in list(vars(found).items()):
                if (original := originals.get(id(value))) is not None:
                    _places.setdefault(id(original), []).append((module, name))


def _swap(original: object, before: object, after: object) -> None:
    """Replace an object by another where modules have taken the original."""
    places = _places.get(id(original), [])
    for place in places[:]:
        module, name = place[0](), place[1]
        if module is None:
            places.remove(place)
        elif vars(module).get(name) is before:
            setattr(module, name, after)


def _is_exempt(module: ModuleType) -> bool:
    if module.__name__.partition(".")[0] == _OURS:  # by its name: its path may lead over a link
        return True
    path = getattr(module, "__file__", None)
    if not path:  # built in, frozen, or made in a notebook
        return module.__name__ != "__main__" and getattr(module, "__spec__", None) is not None
    return path.startswith(_LIBRARY) and f"{os.sep}site-packages{os.sep}" not in path
