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
    """What all kinds of paths can do; each kind defines `steps` and `with_steps`."""

    __slots__ = ()

    @property
    def steps(self) -> Steps:
        raise NotImplementedError

    def with_steps(self, steps: Steps) -> Self:
        """A path of the same kind with these steps instead."""
        raise NotImplementedError

    def then(self, *steps: Step) -> Self:
        """This path with more steps: the path of an attribute, a call or an element of its value."""
        return self.with_steps(self.steps + steps)

    @property
    def parent(self) -> Self:
        """The path without its last step."""
        return self.with_steps(self.steps[:-1])

    @property
    def name(self) -> str:
        """The last step if it is a name, else ""."""
        last = self.steps[-1] if self.steps else ""
        return last if isinstance(last, str) else ""

    @property
    def last_name(self) -> str:
        """The last step that is a name, whatever calls and elements follow it; "" if no step is a name."""
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
        """The path without its last step if that is a call, else the path itself."""
        return self.parent if self.is_call else self

    def __str__(self) -> str:
        """The path as in source code, without arguments and indices, such as ``app.Hub().rooms[]``."""
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
    """A path that begins with a module, a name defined in a module, or a builtin."""


class Unknown(_Rooted, tag=1, frozen=True):
    """A path that begins with a name of unknown value, such as a parameter; without steps, an expression without a name."""


class HolderOf(_Wrapper, tag=2, frozen=True):
    """A partial or a `types.MethodType`; ``of`` is the path of the function that it holds."""


class ContainerOf(_Wrapper, tag=3, frozen=True):
    """A container; ``of`` is the path of its elements, and `then` adds steps to that."""


AccessPath: TypeAlias = Known | Unknown | HolderOf | ContainerOf

NONE = Known(("builtins", "None"))


def dotted(name: str) -> Known:
    """The path of a dotted name, such as that of a module."""
    return Known(tuple(name.split(".")))


def is_builtin(path: AccessPath | None) -> bool:
    """Whether a path begins with the module `builtins`."""
    return isinstance(path, Known) and path.steps[:1] == ("builtins",)


def is_shared(path: AccessPath | None) -> bool:
    """Whether a path begins with a module or a name defined in one, not with a builtin or an unknown name."""
    return isinstance(path, Known) and not is_builtin(path)
