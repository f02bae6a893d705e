"""The parameters of the validation report: declared once, checked before a kernel starts and again in the first cell."""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from netra_sim.exceptions import NetraSimError
from netra_sim.history import Objectives

Users = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
RealUsers = Annotated[int, msgspec.Meta(ge=1, le=400)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]

_INTEGER = re.compile(r"[+-]?\d+\Z")


class ParameterError(NetraSimError, ValueError):
    """A parameter that the notebook does not have, or a value that the parameter does not take."""


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the validation notebook takes. Times are in seconds.

    Attributes:
        users: simulated users.
        seed: of everything that is drawn.
        windows_users: simulated users on a clock as coarse as Windows'.
        server_users: real WebSocket clients.
        delivery_mean: objective, see `netra_sim.Objectives`, as are the ones below.
        output: folder for the histories and ``verdict.json``; "" keeps nothing.
    """

    users: Users = 1000
    seed: int = 1
    windows_users: Users = 100
    server_users: RealUsers = 50
    delivery_mean: Seconds = 0.1
    delivery_p95: Seconds = 0.1
    first_event_p95: Seconds = 1.0
    delivered: Share = 0.995
    refused: Share = 0.01
    completed: Share = 0.99
    output: str = ""

    @property
    def objectives(self) -> Objectives:
        """The objectives among the parameters."""
        names = set(Objectives.__struct_fields__) & set(self.__struct_fields__)
        return Objectives(**{name: getattr(self, name) for name in names})

    @classmethod
    def check(cls, **values: Any) -> "Parameters":
        """Check typed values, as a notebook's cell has them.

        Raises:
            ParameterError: the message names the parameter, what it had and what it takes.
        """
        for name in values:
            if name not in cls.__struct_fields__:
                raise ParameterError(_unknown(name))
        for name, value in values.items():
            kind = type(getattr(DEFAULTS, name))
            if isinstance(value, bool) or not isinstance(
                value, int if kind is int else (kind, int) if kind is float else kind
            ):
                raise ParameterError(f"{name} takes {_WORDS[kind]}, and had {value!r}")
        try:
            return msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            reason, _, path = str(error).partition(" - at `$.")
            name = path.rstrip("`")
            raise ParameterError(f"{name}: {reason[0].lower()}{reason[1:]}; it had {values.get(name)!r}") from error

    @classmethod
    def parse(cls, texts: Sequence[tuple[str, str]], given: Mapping[str, Any] | None = None) -> "Parameters":
        """Read values from the command line's texts; nothing is guessed, "fifty" is no number and "1e3" no integer.

        Args:
            texts: pairs of a name and a text.
            given: typed values beside them.

        Raises:
            ParameterError: see `check`; also a parameter that is given twice with different values.
        """
        values = dict(given or {})
        for name, text in texts:
            if name not in cls.__struct_fields__:
                raise ParameterError(_unknown(name))
            value = _typed(name, text)
            if values.setdefault(name, value) != value:
                raise ParameterError(f"{name} is given twice, as {values[name]!r} and as {value!r}")
        return cls.check(**values)


DEFAULTS = Parameters()
_WORDS = {int: "a whole number", float: "a number", str: "text"}


def _typed(name: str, text: str) -> int | float | str:
    kind = type(getattr(DEFAULTS, name))
    try:
        if kind is int and not _INTEGER.match(text):
            raise ValueError(text)
        typed: int | float | str = kind(text)
    except ValueError as error:
        raise ParameterError(f"{name} takes {_WORDS[kind]}, and had {text!r}") from error
    return typed


def _unknown(name: str) -> str:
    known = Parameters.__struct_fields__
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"
    return f"there is no parameter {name}; {hint}"
