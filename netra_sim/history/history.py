"""`History`: everything that happened in one run of the system, one row each, in columns."""

import hashlib
import json
import sys
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from netra_sim.exceptions import NetraSimError
from netra_sim.files import replacing
from netra_sim.history.objectives import Objectives

if TYPE_CHECKING:
    import pandas as pd

# `frame`, `save` and `load` import pandas and pyarrow: they take longer to import than many a simulation to run and check.

FORMAT = 2
"""The version of the file format; it changes when earlier files can no longer be read."""


class HistoryError(NetraSimError, ValueError):
    """A file or a record that cannot be read as a history, a log or a mapping."""


class Kind(IntEnum):
    """What a row records, with the columns that it fills in brackets; every row has a time."""

    REQUESTED = 1  # a user asked for a run (user, run, thread, due)
    REFUSED = 2  # a client received the refusal of its run (user, run, detail: code)
    SCOPE_OPENED = 3  # a user's engine was made (user, run)
    SCOPE_CLOSED = 4  # the engine was closed (user, run, value: how many things it left)
    PUBLISHED = 5  # the bridge numbered and kept an event (user: the owner, run, thread: the run's, event, seq)
    SENT = 6  # the bridge handed an event to a transport (user: the connection's, connection, run, event, seq)
    # A client received an event (user: who received, subject: the user in its mark or "", connection, run, event, seq; from
    # the event: thread, value: its timestamp, duration)
    RECEIVED = 7
    CONNECTED = 8  # (user, connection, detail: the client, where the source knows it)
    DISCONNECTED = 9  # (user, connection, detail: reason, value: close code)
    GAP = 10  # the bridge announced missing events (user, connection, run, seq: first, value: last, detail: reason)
    EVENT_REFUSED = 11  # an event could not be published; its publisher got an error (user, run, event, detail: reason)
    # Something outlived its scope, or without a run the shutdown (user, run, detail: what, value: count)
    LEFT_OVER = 12
    SHARED = 13  # the engines of two users reach one mutable object (user, subject: the other, detail: what)
    FAULT_BEGAN = 14  # (detail: which)
    FAULT_ENDED = 15  # (detail: which, value: how many users, runs or messages it hit)
    SAMPLE = 16  # a gauge was read (detail: which, value)
    SCOPE_REFUSED = 17  # the factory made no engine (user, run, detail: reason)
    CONNECT_REFUSED = 18  # a client could not connect (user, detail: reason)
    LEAKED_CONTEXT = 19  # an event was published in another user's context (user, run, event, subject: the other)
    STUCK = 20  # the system did not come to rest (event: "deadlock", "time limit" or "spinning", detail: who waits)
    # A client got a connection (user, connection, detail: the client, value: the line's latency, thread: the room it joined)
    ATTACHED = 21
    GAP_RECEIVED = 22  # a client read an announced gap (user, connection, run, seq: first, value: last)
    # A client dropped an event that it already had (user, connection, run, event, seq, detail: `IN_ANSWER` or "")
    REPEATED = 23
    # A client noticed an unannounced gap (user, connection, run, seq: first, value: last, detail: `IN_ANSWER` or "")
    MISSING = 24
    # A client read a control frame (user, connection, event: type, subject: another user in it or "")
    CONTROL_RECEIVED = 25
    # An event has the mark of another run, of its reader or in a room of anybody (user, connection, run, event, seq,
    # subject: that run)
    OTHER_RUN = 26
    # A client compared the answer with its question (user, run, event: "complete" or what is wrong, detail, value: how many
    # numbered tokens it found in the answer)
    ANSWERED = 27
    LOOP_ERROR = 28  # an error that no code handled reached the event loop (event: its type, detail: where and what)
    LEFT = 29  # a client stopped reading a run before its end (user, run, connection, detail: `LOST` if not by choice)
    # A service did a unit of work for a run, such as a token (user, run, seq: number, detail: the service, value: how many
    # numbered tokens the answer has, if this is its last one)
    WORKED = 30
    DISCLOSED = 31  # a client received a planted secret (user, run, connection, event, detail: which)
    OUT_OF_ORDER = 32  # an event breaks the order of its protocol (user, run, connection, event, detail: the rule)
    FIRST_CONTENT = 33  # a client received the first piece of a run's answer (user, run, connection, event)


LOST = "lost"
"""The detail of `Kind.LEFT` for a client whose connection broke; without it the client left by choice."""

IN_ANSWER = "in the answer"
"""The detail of `Kind.REPEATED` and `Kind.MISSING` if they are about numbered tokens in an answer, and not about events."""

TEXT_COLUMNS = ("user", "run", "thread", "connection", "event", "subject", "detail")
NUMBER_COLUMNS: Mapping[str, str] = {
    "time": "<f8",
    "due": "<f8",
    "kind": "<i2",
    "seq": "<i8",
    "value": "<f8",
    "duration": "<f8",
}


class History:
    """The record of one run of the system, simulated or real, in the order in which things happened.

    Times are in seconds since the beginning. A column that does not apply holds "", NaN, or the sequence number -1.

    Args:
        numbers: the columns of `NUMBER_COLUMNS`, all of one length.
        codes: for each of `TEXT_COLUMNS` an index into the column's table for every row.
        tables: for each of `TEXT_COLUMNS` its texts, in the order of their first use.
        meta: what made the history, as JSON values. "environment" describes the machine and is not part of the digest.
    """

    def __init__(
        self,
        numbers: Mapping[str, np.ndarray],
        codes: Mapping[str, np.ndarray],
        tables: Mapping[str, list[str]],
        meta: Mapping[str, Any],
    ) -> None:
        self.numbers = {name: np.ascontiguousarray(numbers[name], dtype) for name, dtype in NUMBER_COLUMNS.items()}
        self.codes = {name: np.ascontiguousarray(codes[name], "<i4") for name in TEXT_COLUMNS}
        self.tables = {name: list(tables[name]) for name in TEXT_COLUMNS}
        self.meta = dict(meta)

    def __len__(self) -> int:
        return len(self.numbers["time"])

    def objectives(self) -> Objectives:
        """The objectives in the meta, or else the defaults.

        Raises:
            HistoryError: this version does not know an objective in the meta, or does not allow its value.
        """
        try:
            return msgspec.convert(self.meta.get("objectives", {}), Objectives)
        except msgspec.ValidationError as error:
            raise HistoryError(f"the history holds objectives that this version does not know: {error}") from error

    def frame(self, *kinds: Kind) -> "pd.DataFrame":
        """The rows of some kinds, by default all, as a DataFrame with the row numbers of the history as its index."""
        import pandas as pd

        chosen = np.arange(len(self)) if not kinds else np.flatnonzero(np.isin(self.numbers["kind"], kinds))
        columns: dict[str, Any] = {name: values[chosen] for name, values in self.numbers.items()}
        for name in TEXT_COLUMNS:
            columns[name] = pd.Categorical.from_codes(self.codes[name][chosen], categories=pd.Index(self.tables[name]))
        return pd.DataFrame(columns, index=chosen)

    def digest(self) -> str:
        """The SHA-256 of the history: the same for equal histories on every platform and with every library version."""
        digest = hashlib.sha256(_canonical({key: value for key, value in self.meta.items() if key != "environment"}))
        for name, values in self.numbers.items():
            digest.update(name.encode())
            if values.dtype.kind == "f":
                # The bits of NaN differ between platforms, so the digest covers where they are instead.
                missing = np.isnan(values)
                digest.update(missing.tobytes())
                values = np.where(missing, 0.0, values)
            digest.update(values.tobytes())
        for name in TEXT_COLUMNS:
            digest.update(name.encode())
            digest.update(self.codes[name].tobytes())
            digest.update(_canonical(self.tables[name]))
        return digest.hexdigest()

    def save(self, path: str | Path) -> Path:
        """Write a Parquet file; it replaces an earlier one only when it is complete.

        Raises:
            WriteError: the file cannot be written, or its folder does not exist; an earlier file is unchanged.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = Path(path)
        columns: dict[str, Any] = dict(self.numbers)
        for name in TEXT_COLUMNS:
            columns[name] = pa.DictionaryArray.from_arrays(
                pa.array(self.codes[name]), pa.array(self.tables[name], pa.string())
            )
        described = {"format": FORMAT, "digest": self.digest(), "meta": self.meta}
        table = pa.table(columns).replace_schema_metadata({"netra_sim": json.dumps(described)})
        with replacing(path) as temporary:
            pq.write_table(table, temporary, compression="zstd")
        return path

    @classmethod
    def load(cls, path: str | Path) -> "History":
        """Read a file that `save` wrote.

        Raises:
            HistoryError: the file is no history, has another format, was changed since it was written, or holds
                objectives that this version does not know.
            OSError: the file cannot be read.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
            described = json.loads((table.schema.metadata or {})[b"netra_sim"])
            known_format = described["format"] == FORMAT
        except (pa.ArrowInvalid, KeyError, ValueError, TypeError) as error:
            raise HistoryError(f"{path} is not a netra_sim history: {error}") from error
        if not known_format:
            raise HistoryError(f"{path} has the format {described['format']}; this version reads {FORMAT}")
        codes, tables = {}, {}
        for name in TEXT_COLUMNS:
            column = table.column(name).combine_chunks().dictionary_encode()
            codes[name] = column.indices.to_numpy(zero_copy_only=False)
            tables[name] = column.dictionary.to_pylist()
        numbers = {name: table.column(name).to_numpy() for name in NUMBER_COLUMNS}
        history = cls(numbers, codes, tables, described["meta"])
        if history.digest() != described["digest"]:
            raise HistoryError(f"{path} has been changed since it was written: its digest does not match")
        history.objectives()  # raises before anything is judged by them
        return history


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def environment() -> dict[str, str]:
    """The interpreter and the platform, for the meta of a history."""
    return {"python": sys.version.split()[0], "platform": sys.platform}
