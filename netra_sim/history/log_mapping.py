"""`LogMapping`: how another system's event log says what a log here would."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from netra_sim.history.history import TEXT_COLUMNS, HistoryError, Kind
from netra_sim.history.objectives import Objectives

FIELDS = (
    *("kind", "time", "user", "owner", "run", "thread", "connection", "client", "event", "seq"),
    *("subject", "due", "value", "duration", "detail"),
)
"""Of a record in a log; `read_log` tells what they mean."""

KINDS = {kind.name.lower(): kind for kind in Kind}
"""By the names that they have in a log."""


TimeUnit = Literal["s", "ms", "us", "ns"]


class LogMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How another system's log says what this one would.

    Attributes:
        fields: for each field its name in the log; dots lead into nested objects; "" for a field that the log lacks.
        values: for fields that hold texts, what the log's words mean here.
        time_unit: of numbers in ``time``, ``due`` and the timestamps in ``value``.
        first_seq: the number of a run's first event.
        recorded: kinds that the log would tell of, though none has happened: nothing refused, for one.
        engines_per_user: the limit that the system had, if it had one.
        connections_per_user: the limit that the system had, if it had one.
        tools_required: whether every run must use a tool; if any does, unless it is said here.
        objectives: what is good enough; only those that differ from the defaults.
    """

    fields: dict[str, str] = {}
    values: dict[str, dict[str, str]] = {}
    time_unit: TimeUnit = "s"
    first_seq: int = 0
    recorded: tuple[str, ...] = ()
    engines_per_user: int | None = None
    connections_per_user: int | None = None
    tools_required: bool | None = None
    objectives: Objectives = Objectives()

    def __post_init__(self) -> None:
        for what, names, known in (
            ("fields", self.fields, FIELDS),
            ("values", self.values, ("kind", "owner", "client", *TEXT_COLUMNS)),
            ("recorded", self.recorded, tuple(KINDS)),
        ):
            for name in names:
                if name not in known:
                    raise ValueError(f"there is no {name!r} in the mapping's {what}; there are {', '.join(known)}")

    def and_also(
        self, fields: Mapping[str, str], values: Mapping[str, Mapping[str, str]], time_unit: TimeUnit | None = None
    ) -> "LogMapping":
        """This mapping with some names and words more, and another unit of time if one is given.

        Raises:
            ValueError: there is no such field, or no such unit.
        """
        merged = {name: self.values.get(name, {}) | dict(values.get(name, {})) for name in (*self.values, *values)}
        return msgspec.structs.replace(
            self, fields=self.fields | dict(fields), values=merged, time_unit=time_unit or self.time_unit
        )

    @classmethod
    def load(cls, path: str | Path) -> "LogMapping":
        """Read a mapping from a TOML file.

        Raises:
            HistoryError: it is no TOML, or no mapping; the error says where.
            OSError: the file cannot be read.
        """
        try:
            return msgspec.toml.decode(Path(path).read_bytes(), type=cls)
        except (msgspec.DecodeError, ValueError) as error:
            raise HistoryError(f"{path} is no mapping: {error}") from error
