"""`LogMapping`: the names and words of another system's event log."""

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
"""The fields of a record in a log, see docs/event-log.md."""

KINDS = {kind.name.lower(): kind for kind in Kind}
"""The kinds by their names in a log."""


TimeUnit = Literal["s", "ms", "us", "ns"]


class LogMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The names and words of another system's event log, and what the log does not say.

    Attributes:
        fields: for each field its name in the log; dots lead into nested objects; "" for a field that the log lacks.
        values: for each field that holds texts, the meaning of the log's words.
        time_unit: of numbers in ``time``, ``due``, ``duration`` and the timestamps in ``value``.
        first_seq: the number of a run's first event.
        recorded: kinds that the log would record although it has no record of them, such as "refused" if none was refused.
        engines_per_user: the limit of the system; None if it has none.
        connections_per_user: the limit of the system; None if it has none.
        tools_required: whether every run must use a tool; by default whether any run does.
        objectives: those that differ from the defaults.
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
        """A copy of this mapping with more names and words, and with another unit of time if one is given.

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
            HistoryError: the file is not TOML or not a mapping; the message says where.
            OSError: the file cannot be read.
        """
        try:
            return msgspec.toml.decode(Path(path).read_bytes(), type=cls)
        except (msgspec.DecodeError, ValueError) as error:
            raise HistoryError(f"{path} is no mapping: {error}") from error
