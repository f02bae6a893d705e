"""What one bridge keeps for replay, worked out from the bridges of several shards, which have no common limit."""

import numpy as np

from netra_sim.history import Kind
from netra_sim.simulation.shards.exactness import ShardsError
from netra_sim.simulation.shards.merging import Users

_ENDS = ("agent_completed", "agent_error")


def kept_for_replay(users: Users, times: np.ndarray, limit: int, *, asks_again: bool) -> np.ndarray:
    """The bytes that one bridge keeps for replay at some times, when each user who acts then has not had a turn yet.

    When an event exceeds the limit, the bridge forgets the runs that ended longest ago, until the rest is within it.

    Args:
        users: the rows of all users, and by how much the kept bytes grow at each if nothing is forgotten.
        times: in seconds.
        limit: of the bytes of all runs.
        asks_again: whether a client may request a run that exists already.

    Raises:
        ShardsError: a user would notice that a run was forgotten.
    """
    published = np.flatnonzero(users.history.numbers["kind"] == Kind.PUBLISHED)
    grown = np.cumsum(users.growth[published])
    forgotten = np.zeros(len(published), np.int64)
    if len(grown) and grown.max() > limit:
        runs, kept = users.history.codes["run"][published], users.growth[published]
        sizes = np.bincount(runs, kept, len(users.history.tables["run"])).astype(np.int64)
        is_end = np.isin(users.history.codes["event"][published], _codes(users.history.tables["event"], _ENDS))
        ended = runs[is_end]
        freed = np.concatenate([[0], np.cumsum(sizes[ended])])
        count = np.maximum.accumulate(np.searchsorted(freed, grown - limit, "left"))
        if (count > np.cumsum(is_end)).any():
            raise ShardsError(
                "the bridge would drop events of live runs, to keep all within its limit; use one process"
            )
        _require_unnoticed(users, np.isin(users.history.codes["run"], ended[: count[-1]]), asks_again=asks_again)
        forgotten = freed[count]
    before = np.searchsorted(users.history.numbers["time"][published], times, "left")
    return np.asarray(np.concatenate([[0], grown - forgotten])[before])


def _require_unnoticed(users: Users, is_forgotten: np.ndarray, *, asks_again: bool) -> None:
    """Require that no user of a forgotten run connects after the first event, or asks for the run again."""
    time, kind = users.history.numbers["time"], users.history.numbers["kind"]
    owners = np.unique(users.turns[is_forgotten])
    most = int(users.turns.max()) + 1
    connects, publishes = kind == Kind.CONNECTED, kind == Kind.PUBLISHED
    last_connected, first_published = np.full(most, -np.inf), np.full(most, np.inf)
    np.maximum.at(last_connected, users.turns[connects], time[connects])
    np.minimum.at(first_published, users.turns[publishes], time[publishes])
    if asks_again or (last_connected[owners] >= first_published[owners]).any():
        raise ShardsError(
            "the bridge reaches the limit of what it keeps for the replay of all runs, and users who come back would notice "
            "that it has forgotten theirs; simulate fewer users, or use one process"
        )


def _codes(table: list[str], texts: tuple[str, ...]) -> list[int]:
    return [code for code, text in enumerate(table) if text in texts]
