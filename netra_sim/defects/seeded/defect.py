"""`Defect`: one defect of the original system's, which can be put into the runtime for a while and taken out again."""

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

Replacement = Callable[[Any], Any]
"""Makes what takes the original's place from the original."""

_switched_on: list[str] = []


class Patches:
    """What a defect has put in the place of the runtime's own, with the way back."""

    def __init__(self) -> None:
        self._undo: list[tuple[Any, str, Any]] = []

    def attribute(self, owner: Any, name: str) -> Callable[[Replacement], None]:
        """Put what the decorated function makes of the original in its place on a class or a module."""

        def put(make: Replacement) -> None:
            original = vars(owner)[name]
            self._set(owner, name, make(original))

        return put

    def function(self, original: Any) -> Callable[[Replacement], None]:
        """Put what the decorated function makes of a function in its place, wherever the package holds it by a name."""

        def put(make: Replacement) -> None:
            replacement = make(original)
            for module in _holders():
                for name in [name for name, value in vars(module).items() if value is original]:
                    self._set(module, name, replacement)

        return put

    def keep(self, owner: Any, *names: str) -> None:
        """Put these back afterwards, whatever the defect does to them."""
        self._undo += [(owner, name, vars(owner)[name]) for name in names]

    def restore(self) -> None:
        """Put everything back as it was."""
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
        incidents: ids of the failures of the original system that it brings back.
        symptom: what it does, in a sentence.
        scenario: in which it shows, and which the clean runtime passes completely.
        install: puts it in.
    """

    name: str
    incidents: tuple[str, ...]
    symptom: str
    scenario: Scenario
    install: Callable[[Patches], None]

    @contextmanager
    def switched_on(self) -> Iterator[None]:
        """Put the defect into this process's runtime, and take it out at the end, however that comes.

        Raises:
            RuntimeError: another defect is switched on; what a check then caught could not be told.
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
    """Make a defect of the decorated function, which installs it, with its docstring as the symptom.

    The function is called anew each time that the defect is switched on.
    """

    def make(install: Callable[[Patches], None]) -> Defect:
        symptom = inspect.cleandoc(install.__doc__ or "")
        return Defect(name=name, incidents=incidents, symptom=symptom, scenario=scenario, install=install)

    return make


@contextmanager
def silenced() -> Iterator[None]:
    """Let a defect's warnings and asyncio's complaints pass: that something is wrong is for the checks to say."""
    complaints = logging.getLogger("asyncio")
    was_disabled, complaints.disabled = complaints.disabled, True
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
            gc.collect()
    finally:
        complaints.disabled, sys.unraisablehook = was_disabled, hook


def _holders() -> list[Any]:
    """The package's modules."""
    return [module for name, module in sorted(sys.modules.items()) if name.split(".")[0] == "netra_sim"]
