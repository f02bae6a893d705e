"""The History of one process, from those of shards: the users' rows in its order, and the servers' rows added up."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from netra_sim.history import (
    ASYNCIO_REPLACED,
    CONTEXTS_READ,
    ENGINES_COMPARED,
    LOOP_STEPS,
    MOST_UNSENT_BYTES,
    REPLAY_BYTES,
    History,
    Kind,
    merge,
)
from netra_sim.simulation.shards.exactness import ShardsError
from netra_sim.simulation.shards.shard import ShardRecord

SERVER = -1
"""The turn of the rows of a server, which come before those of the users at the same instant."""

_MOST = (MOST_UNSENT_BYTES, ASYNCIO_REPLACED)

_STEPS_AT_THE_END = 2
"""Steps in which the loop of a shard waits for the users of the others: a timer fires, and the world's task goes on."""


class Users(NamedTuple):
    """The rows of all users in the order of one process.

    Attributes:
        history: the rows.
        turns: the number of the user of each row.
        growth: by how many bytes each row has made grow what the bridge keeps for replay; not 0 for published events only.
    """

    history: History
    turns: np.ndarray
    growth: np.ndarray


def merge_users(shards: Sequence[ShardRecord]) -> Users:
    """Put the rows of the users of all shards into the order of one process: by time, then by turn.

    Raises:
        ShardsError: the users of a shard did not take turns.
    """
    histories = [one.history for one in shards]
    turns = [turns_of(history) for history in histories]
    for history, turn in zip(histories, turns, strict=True):
        _require_turns(history.numbers["time"], turn)
    times, all_turns = np.concatenate([one.numbers["time"] for one in histories]), np.concatenate(turns)
    rows = np.flatnonzero(all_turns != SERVER)
    rows = rows[np.lexsort((all_turns[rows], times[rows]))]  # rows of equal keys are of one shard, and stay in order
    growth = np.concatenate([_growth(one) for one in shards])
    return Users(merge(histories, histories[0].meta, rows), all_turns[rows], growth[rows])


def merge_servers(shards: Sequence[ShardRecord], alone: History, replay_bytes: np.ndarray) -> History:
    """The rows of the server of one process.

    Args:
        shards: what each shard recorded.
        alone: what a server without users recorded until the same end.
        replay_bytes: what one bridge keeps for the replay of users' runs at each sample.

    Raises:
        ShardsError: a server did something that another one did not do.
    """
    own_rows = [_server_rows(one.history) for one in shards]
    for one, rows in zip(shards, own_rows, strict=True):
        if _described(one.history, rows) != _described(alone, np.arange(len(alone))):
            raise ShardsError(
                "the server recorded something beside its samples and faults, such as an error that nobody handled; "
                "use one process, which records it where it belongs"
            )
    values = np.array([one.history.numbers["value"][rows] for one, rows in zip(shards, own_rows, strict=True)])
    own = alone.numbers["value"]
    value = values.sum(axis=0) - (len(shards) - 1) * own  # all servers count what one does by itself
    for gauge in _MOST:
        chosen = is_sample(alone, gauge)
        value[chosen] = values[:, chosen].max(axis=0)
    replay = is_sample(alone, REPLAY_BYTES)
    value[replay] = replay_bytes + own[replay]
    steps = is_sample(alone, LOOP_STEPS)
    value[steps] -= _steps_too_many(shards, alone, steps)
    return _with_contexts_read(History(alone.numbers | {"value": value}, alone.codes, alone.tables, alone.meta), shards)


def _steps_too_many(shards: Sequence[ShardRecord], alone: History, steps: np.ndarray) -> np.ndarray:
    """The steps that no server takes by itself, and that one loop would not have taken, at each sample of the steps.

    A world takes a step when its users have ended; one world takes it once, at the end. Then it waits for the others.
    """
    too_many = np.sum([alone.numbers["time"][steps] > one.ended_at for one in shards], axis=0)
    too_many[-1] = _STEPS_AT_THE_END + len(shards) - 1
    return np.asarray(too_many)


def _with_contexts_read(server: History, shards: Sequence[ShardRecord]) -> History:
    """The server's rows with a last one, if users published in a context with a mark; a server alone does not."""
    read = [one.history.numbers["value"][is_sample(one.history, CONTEXTS_READ)].sum() for one in shards]
    if not any(read):
        return server
    source = shards[int(np.argmax(read))].history
    row = np.flatnonzero(is_sample(source, CONTEXTS_READ))
    merged = merge([server, source], server.meta, np.append(np.arange(len(server)), len(server) + row))
    merged.numbers["value"][-1] = sum(read)
    return merged


def insert_rows(users: History, server: History, compared: History, turns: np.ndarray) -> History:
    """All rows of one process.

    Args:
        users: their rows.
        server: its rows; the last samples come after all users.
        compared: the History of the users whose engines were compared; what the comparisons found is taken from it.
        turns: of the rows of ``compared``.
    """
    times, end = server.numbers["time"], server.numbers["time"][-1]
    places = np.where(times == end, len(users), np.searchsorted(users.numbers["time"], times, "left"))
    found = np.flatnonzero(is_sample(compared, ENGINES_COMPARED) | (compared.numbers["kind"] == Kind.SHARED))
    others = np.setdiff1d(np.arange(len(compared)), found)
    causes = others[np.searchsorted(others, found) - 1]  # the row before a comparison says what it was for
    opened, samples = _rows_by_run(users), np.flatnonzero(is_sample(server, LOOP_STEPS))
    own_samples = np.flatnonzero(is_sample(compared, LOOP_STEPS))
    extra: list[tuple[int, int, int]] = []  # the place among the users' rows, the order at that place, the row
    first_server, first_compared = len(users), len(users) + len(server)
    extra += [(int(place), 1 + row, first_server + row) for row, place in enumerate(places)]
    for row, cause in zip(found, causes, strict=True):
        if turns[cause] == SERVER:
            sample = samples[np.searchsorted(own_samples, cause)]
            extra.append((int(places[sample]), 1 + int(sample), first_compared + int(row)))
        else:
            run = compared.tables["run"][compared.codes["run"][cause]]
            extra.append((opened[run] + 1, 0, first_compared + int(row)))
    extra.sort()  # a comparison has a higher row than the sample before it
    order = np.insert(np.arange(len(users)), [one[0] for one in extra], [one[2] for one in extra])
    return merge([users, server, compared], users.meta, order)


def turns_of(history: History) -> np.ndarray:
    """The number of the user of each row, `SERVER` for those without a user.

    Raises:
        ShardsError: a row is of somebody who is no user of the scenario.
    """
    numbers = []
    for name in history.tables["user"]:
        word, _, number = name.rpartition("-")
        if name and not (word == "user" and number.isdecimal()):
            raise ShardsError(f"the history has a row of {name!r}, who is no user of the scenario; use one process")
        numbers.append(int(number) if name else SERVER)
    return np.asarray(np.array(numbers, np.int64)[history.codes["user"]])


def is_sample(history: History, gauge: str) -> np.ndarray:
    """Which rows are samples of a gauge."""
    if gauge not in history.tables["detail"]:
        return np.zeros(len(history), bool)
    code = history.tables["detail"].index(gauge)
    return np.asarray((history.numbers["kind"] == Kind.SAMPLE) & (history.codes["detail"] == code))


def _require_turns(times: np.ndarray, turns: np.ndarray) -> None:
    rows = np.flatnonzero(turns != SERVER)
    stopped = np.flatnonzero((turns == SERVER) & (times == times[-1]))[0]
    if len(rows) and rows[-1] > stopped:
        raise ShardsError(
            "the server still had connections of users when it was stopped, all together; use one process"
        )
    time, turn = times[rows], turns[rows]
    if not ((time[1:] > time[:-1]) | ((time[1:] == time[:-1]) & (turn[1:] >= turn[:-1]))).all():
        raise ShardsError("a user acted in the turn of another one, so users do not act apart; use one process")


def _growth(one: ShardRecord) -> np.ndarray:
    growth = np.zeros(len(one.history), np.int64)
    growth[one.history.numbers["kind"] == Kind.PUBLISHED] = np.diff(np.array(one.kept_bytes, np.int64), prepend=0)
    return growth


def _server_rows(history: History) -> np.ndarray:
    return np.flatnonzero((turns_of(history) == SERVER) & ~is_sample(history, CONTEXTS_READ))


def _described(history: History, rows: np.ndarray) -> list[tuple[float, int, str]]:
    table, numbers = history.tables["detail"], history.numbers
    details = [table[code] for code in history.codes["detail"][rows]]
    return list(zip(numbers["time"][rows].tolist(), numbers["kind"][rows].tolist(), details, strict=True))


def _rows_by_run(users: History) -> dict[str, int]:
    """The row at which the scope of each run opened."""
    rows = np.flatnonzero(users.numbers["kind"] == Kind.SCOPE_OPENED)
    return {users.tables["run"][code]: int(row) for row, code in zip(rows, users.codes["run"][rows], strict=True)}
