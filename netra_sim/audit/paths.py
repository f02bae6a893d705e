"""Access paths: where the value of an expression comes from, as far as its own module shows.

``asyncio.sleep`` is `Known` with two names. ``app.Hub().send`` has a call between its names, and ``app.hubs[0]`` ends
with an element. `netra_sim.audit.tree.Tree` follows a path through the other modules.
"""

from enum import IntEnum
from typing import Self, TypeAlias

import msgspec


class Op(IntEnum):
    """A step of a path that is not a name."""

    CALL = 0
    ELEMENT = 1


Step: TypeAlias = str | Op
Steps: TypeAlias = tuple[Step, ...]


class _Path:
    """The operations that all paths share; each kind defines its steps and `with_steps`."""

    __slots__ = ()

    @property
    def steps(self) -> Steps:
        raise NotImplementedError

    def with_steps(self, steps: Steps) -> Self:
        """A path of the same kind with other steps."""
        raise NotImplementedError

    def then(self, *steps: Step) -> Self:
        """The path of an attribute, a call or an element of this value."""
        return self.with_steps(self.steps + steps)

    @property
    def parent(self) -> Self:
        """The path without its last step."""
        return self.with_steps(self.steps[:-1])

    @property
    def name(self) -> str:
        """The last step if it is a name, else an empty text."""
        last = self.steps[-1] if self.steps else ""
        return last if isinstance(last, str) else ""

    @property
    def last_name(self) -> str:
        """The last name, with calls and elements after it left out; empty if there is no name."""
        for step in reversed(self.steps):
            if isinstance(step, str):
                return step
        return ""

    @property
    def is_call(self) -> bool:
        """Whether the value is what a call returns."""
        return self.steps[-1:] == (Op.CALL,)

    @property
    def uncalled(self) -> Self:
        """The path without a call at its end."""
        return self.parent if self.is_call else self

    def __str__(self) -> str:
        """The path as Python writes it."""
        text = ""
        for step in self.steps:
            match step:
                case Op.CALL:
                    text += "()"
                case Op.ELEMENT:
                    text += "[]"
                case _:
                    text += f".{step}" if text else step
        return text


class _Rooted(_Path, msgspec.Struct, frozen=True, array_like=True, cache_hash=True, gc=False):
    steps: Steps = ()

    def with_steps(self, steps: Steps) -> Self:
        return type(self)(steps)


class _Wrapper(_Path, msgspec.Struct, frozen=True, array_like=True, cache_hash=True, gc=False):
    of: "AccessPath"

    @property
    def steps(self) -> Steps:
        return self.of.steps

    def with_steps(self, steps: Steps) -> Self:
        return type(self)(self.of.with_steps(steps))


class Known(_Rooted, tag=0, frozen=True, gc=False):
    """A path that begins with a module, a name of a module, or a builtin."""


class Unknown(_Rooted, tag=1, frozen=True):
    """A path that begins with a local name of which nothing is known; without steps, an expression without a name."""


class HolderOf(_Wrapper, tag=2, frozen=True):
    """A partial or a bound method; the path is that of the function that it holds."""


class ContainerOf(_Wrapper, tag=3, frozen=True):
    """A container; the path is that of its elements, and further steps apply to them."""


AccessPath: TypeAlias = Known | Unknown | HolderOf | ContainerOf

NONE = Known(("builtins", "None"))


def dotted(name: str) -> Known:
    """The path of a dotted name, such as that of a module."""
    return Known(tuple(name.split(".")))


def is_builtin(path: AccessPath | None) -> bool:
    """Whether a path begins in `builtins`."""
    return isinstance(path, Known) and path.steps[:1] == ("builtins",)


def is_shared(path: AccessPath | None) -> bool:
    """Whether a path leads to something of a module that has a name there."""
    return isinstance(path, Known) and not is_builtin(path)
