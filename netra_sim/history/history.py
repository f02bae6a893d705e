"""`History`: everything that happened in a run of the system, one row each, in columns."""

import hashlib
import json
import sys
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from netra_sim.files import replacing
from netra_sim.history.objectives import Objectives

FORMAT = 2
"""Changes when a file of an earlier version can no longer be read as one of this."""


class HistoryError(ValueError):
    """A file that is no history, or has been changed since it was written."""


class Kind(IntEnum):
    """What a row tells. The columns that it fills are in brackets; all rows have a time."""

    REQUESTED = 1  # a user asked for a run (user, run, thread, due)
    REFUSED = 2  # a client was told that its run will not take place (user, run, detail: code)
    SCOPE_OPENED = 3  # a user's engine was made (user, run)
    SCOPE_CLOSED = 4  # the engine is gone (user, run, value: how much it left)
    PUBLISHED = 5  # the bridge numbered and kept an event (user: the owner, run, thread: the run's, event, seq)
    SENT = 6  # the bridge says that a transport took it (user: the connection's, connection, run, event, seq)
    RECEIVED = (
        7  # a client has it (user: who received, subject: whose mark it holds, or "" if it is unmarked, connection,
    )
    # run, thread: as the event says, event, seq, value: the event's own timestamp, duration: as the event says)
    CONNECTED = 8  # (user, connection, detail: the client, where the source knows it)
    DISCONNECTED = 9  # (user, connection, detail: reason, value: close code)
    GAP = 10  # a client was told what it cannot have (user, connection, run, seq: first, value: last, detail: reason)
    EVENT_REFUSED = 11  # an event could not be published, and its publisher knows (user, run, event, detail: reason)
    LEFT_OVER = 12  # outlived its scope (run) or the shutdown (no run) (user, run, detail: what, value: how many)
    SHARED = 13  # two users' engines reach one mutable object (user, subject: the other, detail: what)
    FAULT_BEGAN = 14  # (detail: which)
    FAULT_ENDED = 15  # (detail: which, value: how many users, runs or messages it hit)
    SAMPLE = 16  # a gauge was read (detail: which, value)
    SCOPE_REFUSED = 17  # the factory made no engine (user, run, detail: reason)
    CONNECT_REFUSED = 18  # a client could not connect (user, detail: reason)
    LEAKED_CONTEXT = 19  # an event was published in another user's context (user, run, event, subject: the other)
    STUCK = 20  # the system did not come to rest (event: "deadlock", "time limit" or "spinning", detail: who waits)
    ATTACHED = 21  # a client has a connection (user, connection, detail: the client, value: the line's own latency)
    GAP_RECEIVED = 22  # a client read that it cannot have these (user, connection, run, seq: first, value: last)
    REPEATED = 23  # a client dropped an event that it had already (user, connection, run, event, seq)
    MISSING = (
        24  # a client noticed that events are missing, unannounced (user, connection, run, seq: first, value: last)
    )
    CONTROL_RECEIVED = (
        25  # a client read a control frame (user, connection, event: its type, subject: another user who is
    )
    # named in it, else "")
    OTHER_RUN = (
        26  # an event holds the mark of another run of its reader's (user, connection, run, event, seq, subject: it)
    )
    ANSWERED = (
        27  # a client held the answer against its question (user, run, event: "complete" or what is wrong, detail)
    )
    LOOP_ERROR = 28  # an error that no code handled reached the event loop (event: its type, detail: where and what)


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
    """The record of one run of the system, simulated or real, in the order in which it happened.

    Times are in seconds since the beginning. A text that does not apply is "", a number NaN, a sequence number -1.

    Args:
        numbers: the columns of `NUMBER_COLUMNS`, all of one length.
        codes: for each of `TEXT_COLUMNS` the row's index into the column's table.
        tables: for each of `TEXT_COLUMNS` its texts, in the order of their first use.
        meta: what made it; JSON values. "environment" tells of the machine and is not part of the digest.
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
        """What is good enough, as the meta says; the defaults where it says nothing.

        Raises:
            HistoryError: the meta holds an objective, or a value of one, that this version does not know.
        """
        try:
            return msgspec.convert(self.meta.get("objectives", {}), Objectives)
        except msgspec.ValidationError as error:
            raise HistoryError(f"the history holds objectives that this version does not know: {error}") from error

    def frame(self, *kinds: Kind) -> pd.DataFrame:
        """The rows of some kinds, or all, as a DataFrame; its index is the row's number in the history."""
        chosen = np.arange(len(self)) if not kinds else np.flatnonzero(np.isin(self.numbers["kind"], kinds))
        columns: dict[str, Any] = {name: values[chosen] for name, values in self.numbers.items()}
        for name in TEXT_COLUMNS:
            columns[name] = pd.Categorical.from_codes(self.codes[name][chosen], categories=pd.Index(self.tables[name]))
        return pd.DataFrame(columns, index=chosen)

    def digest(self) -> str:
        """What happened, as a SHA-256: equal for equal histories on every platform and version of the libraries."""
        digest = hashlib.sha256(_canonical({key: value for key, value in self.meta.items() if key != "environment"}))
        for name, values in self.numbers.items():
            digest.update(name.encode())
            if values.dtype.kind == "f":
                # All NaNs are one: their bits may differ between platforms. Which they are counts beside the values.
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
        """Write a Parquet file; an earlier one is replaced only when the new one is complete.

        Raises:
            OSError: the file cannot be written; nothing has changed.
        """
        path = Path(path)
        columns: dict[str, Any] = dict(self.numbers)
        for name in TEXT_COLUMNS:
            columns[name] = pa.DictionaryArray.from_arrays(
                pa.array(self.codes[name]), pa.array(self.tables[name], pa.string())
            )
        described = {"format": FORMAT, "digest": self.digest(), "meta": self.meta}
        table = pa.table(columns).replace_schema_metadata({"netra_sim": json.dumps(described)})
        with replacing(path) as beside:
            pq.write_table(table, beside, compression="zstd")
        return path

    @classmethod
    def load(cls, path: str | Path) -> "History":
        """Read what `save` wrote.

        Raises:
            HistoryError: the file is no history, has another format, was changed since it was written, or holds
                objectives that this version does not know.
            OSError: the file cannot be read.
        """
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
    """The interpreter and the platform, for a history's meta."""
    return {"python": sys.version.split()[0], "platform": sys.platform}
