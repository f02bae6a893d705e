"""`Defect`: a defect of the original system that can be switched on in the runtime for a while."""

import functools
import gc
import inspect
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from netra_sim.simulation import Scenario
from netra_sim.simulation.running import frozen_heap

Replacement = Callable[..., Any]
"""Takes the place of a function: it gets the original, and then what the original would get."""

_switched_on: list[str] = []


class Patches:
    """The patches of a defect, which can be undone."""

    def __init__(self) -> None:
        self._undo: list[tuple[Any, str, Any]] = []

    def attribute(self, owner: Any, name: str) -> Callable[[Replacement], None]:
        """Replace a function of a class or module by the decorated one, which gets the original before its arguments."""

        def put(replacement: Replacement) -> None:
            self._set(owner, name, _in_place_of(vars(owner)[name], replacement))

        return put

    def function(self, original: Any) -> Callable[[Replacement], None]:
        """Replace a function in every module of the package by the decorated one; see `attribute`."""

        def put(replacement: Replacement) -> None:
            called = _in_place_of(original, replacement)
            for module in _holders():
                for name in [name for name, value in vars(module).items() if value is original]:
                    self._set(module, name, called)

        return put

    def keep(self, owner: Any, *names: str) -> None:
        """Restore these attributes at the end, whatever the defect does to them."""
        self._undo += [(owner, name, vars(owner)[name]) for name in names]

    def restore(self) -> None:
        """Undo all patches."""
        while self._undo:
            owner, name, original = self._undo.pop()
            setattr(owner, name, original)

    def _set(self, owner: Any, name: str, value: Any) -> None:
        self._undo.append((owner, name, vars(owner)[name]))
        setattr(owner, name, value)


class Defect(msgspec.Struct, frozen=True, kw_only=True):
    """A defect that the checks must catch.

    Attributes:
        name: short, for tables.
        incidents: ids of the incidents of the original system that it brings back.
        symptom: what it does, in a sentence.
        scenario: one in which it shows; the clean runtime passes all checks in it.
        install: patches the runtime.
    """

    name: str
    incidents: tuple[str, ...]
    symptom: str
    scenario: Scenario
    install: Callable[[Patches], None]

    @contextmanager
    def switched_on(self) -> Iterator[None]:
        """Patch the runtime of this process, and undo it at the end, also after an error.

        Raises:
            RuntimeError: another defect is switched on; it would be unclear which one a check caught.
        """
        if _switched_on:
            raise RuntimeError(f"{self.name} cannot be switched on while {_switched_on[0]} is")
        _switched_on.append(self.name)
        patches = Patches()
        try:
            self.install(patches)
            yield
        finally:
            patches.restore()
            _switched_on.clear()


def seeded_defect(name: str, *incidents: str, scenario: Scenario) -> Callable[[Callable[[Patches], None]], Defect]:
    """Make a defect of the decorated function, which installs the patches; its docstring is the symptom.

    The function is called each time that the defect is switched on.
    """

    def make(install: Callable[[Patches], None]) -> Defect:
        symptom = inspect.cleandoc(install.__doc__ or "")
        return Defect(name=name, incidents=incidents, symptom=symptom, scenario=scenario, install=install)

    return make


@contextmanager
def silenced() -> Iterator[None]:
    """Suppress warnings and asyncio log messages of a defect: the checks must find it, and not the log."""
    complaints = logging.getLogger("asyncio")
    was_disabled, complaints.disabled = complaints.disabled, True
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        # A collection of the whole heap takes longer than most simulations.
        with warnings.catch_warnings(), frozen_heap():
            warnings.simplefilter("ignore")
            yield
            gc.collect()
    finally:
        complaints.disabled, sys.unraisablehook = was_disabled, hook


def _in_place_of(original: Any, replacement: Replacement) -> Callable[..., Any]:
    """A function with the name of the original that calls the replacement."""

    @functools.wraps(original)
    def called(*arguments: Any, **named: Any) -> Any:
        return replacement(original, *arguments, **named)

    return called


def _holders() -> list[Any]:
    """All imported modules of the package."""
    return [module for name, module in sorted(sys.modules.items()) if name.split(".")[0] == "netra_sim"]
