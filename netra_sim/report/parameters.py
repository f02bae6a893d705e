"""The notebooks' parameters: declared once, checked before a kernel starts and again in each notebook's first cell."""

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self, get_type_hints

import msgspec
from msgspec import Meta

from netra_sim.exceptions import NetraSimError
from netra_sim.history import Objectives
from netra_sim.server import MOST_USERS

_INTEGER = re.compile(r"[+-]?\d+\Z")


class ParameterError(NetraSimError, ValueError):
    """A parameter that the notebook does not have, or a value that the parameter does not take."""


class NotebookParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every notebook takes; each notebook's own class adds to it. Times are in seconds."""

    seed: Annotated[int, Meta(description="seed of everything that is drawn")] = 1
    output: Annotated[str, Meta(description='folder for what is kept; "" keeps nothing')] = ""

    @classmethod
    def descriptions(cls) -> dict[str, str]:
        """What each parameter is, by name."""
        hints = get_type_hints(cls, include_extras=True)
        return {name: hints[name].__metadata__[0].description for name in cls.__struct_fields__}

    @classmethod
    def of(cls, names: Mapping[str, Any]) -> Self:
        """The parameters among a notebook's names, as ``globals()`` has them.

        Raises:
            ParameterError: see `check`.
        """
        return cls.check(**{name: names[name] for name in cls.__struct_fields__ if name in names})

    @classmethod
    def check(cls, **values: Any) -> Self:
        """Check typed values.

        Raises:
            ParameterError: the message names the parameter, what it had and what it takes.
        """
        defaults = cls()
        for name in values:
            if name not in cls.__struct_fields__:
                raise ParameterError(cls._unknown(name))
        for name, value in values.items():
            kind = type(getattr(defaults, name))
            takes = (int, float) if kind is float else kind
            if isinstance(value, bool) or not isinstance(value, takes):
                raise ParameterError(f"{name} takes {_WORDS[kind]}, and had {value!r}")
        try:
            return msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            reason, _, path = str(error).partition(" - at `$.")
            name = path.rstrip("`")
            if not name:  # a class's own test of its values, which says all
                raise ParameterError(reason) from error
            raise ParameterError(f"{name}: {reason[0].lower()}{reason[1:]}; it had {values.get(name)!r}") from error

    @classmethod
    def parse(cls, texts: Sequence[tuple[str, str]], given: Mapping[str, Any] | None = None) -> Self:
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
                raise ParameterError(cls._unknown(name))
            value = _typed(name, text, type(getattr(cls(), name)))
            if values.setdefault(name, value) != value:
                raise ParameterError(f"{name} is given twice, as {values[name]!r} and as {value!r}")
        return cls.check(**values)

    def with_whole_paths(self) -> Self:
        """The same with files named by their whole paths, for a kernel that runs in another folder."""
        return self

    @classmethod
    def _unknown(cls, name: str) -> str:
        known = cls.__struct_fields__
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"
        return f"there is no parameter {name}; {hint}"


def whole_path(name: str) -> str:
    """A scenario's name as it is, a file's with its whole path."""
    return str(Path(name).resolve()) if name.endswith(".toml") else name


class ValidationParameters(NotebookParameters, frozen=True, kw_only=True):
    """What the validation report takes. Its objectives are those of `netra_sim.Objectives`."""

    users: Annotated[int, Meta(description="simulated users", ge=1, le=100_000)] = 1000
    windows_users: Annotated[
        int, Meta(description="simulated users on a clock as coarse as Windows'", ge=1, le=100_000)
    ] = 100
    server_users: Annotated[int, Meta(description="real WebSocket clients", ge=1, le=MOST_USERS)] = 50
    detection_seeds: Annotated[
        int, Meta(description="seeds with which each check is tried against each violation", ge=1, le=1000)
    ] = 20
    delivery_mean: Annotated[
        float, Meta(description="objective: mean time from publishing to client, in seconds", gt=0)
    ] = 0.1
    delivery_p95: Annotated[float, Meta(description="objective: the same for 95 of 100 events, in seconds", gt=0)] = 0.1
    first_event_p95: Annotated[
        float, Meta(description="objective: from due to first event for 95 of 100 requests, in seconds", gt=0)
    ] = 1.0
    delivered: Annotated[float, Meta(description="objective: share of events that reach their owner", ge=0, le=1)] = (
        0.995
    )
    refused: Annotated[float, Meta(description="objective: share of requests that may be refused", ge=0, le=1)] = 0.01
    completed: Annotated[
        float, Meta(description="objective: share of requests that end with an answer", ge=0, le=1)
    ] = 0.99
    mrr: Annotated[
        float, Meta(description="revenue a month that is said to depend on the chat, in dollars; no result", ge=0)
    ] = 120_000.0
    mrr_source: Annotated[str, Meta(description="who says so")] = (
        "the remediation plan of 2025-09-09, without a reference"
    )

    @property
    def objectives(self) -> Objectives:
        """The objectives among the parameters."""
        names = set(Objectives.__struct_fields__) & set(self.__struct_fields__)
        return Objectives(**{name: getattr(self, name) for name in names})


_WORDS = {int: "a whole number", float: "a number", str: "text"}


def _typed(name: str, text: str, kind: type) -> int | float | str:
    try:
        if kind is int and not _INTEGER.match(text):
            raise ValueError(text)
        typed: int | float | str = kind(text)
    except ValueError as error:
        raise ParameterError(f"{name} takes {_WORDS[kind]}, and had {text!r}") from error
    return typed
