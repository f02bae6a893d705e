"""What all checks take over a History of 10,000,000 rows and over one of 1,000, and the memory that they need for it.

The histories are made by numpy: runs of 17 events each, requested, published, sent and received by many users at once, with
faults, lost connections, announced gaps and late events among them, so that no check has less to do than over a real one.
"""

import gc
import tracemalloc
from collections.abc import Callable, Sequence

import numpy as np
from measure import Measured, clock, main

from netra_sim.checks import check
from netra_sim.history import ENGINES_COMPARED, REPLAY_BYTES, History, Kind
from netra_sim.history.history import NUMBER_COLUMNS, TEXT_COLUMNS

EVENTS = (
    "agent_started",
    *("agent_thinking", "tool_executing", "tool_completed") * 5,
    "agent_completed",
)
ROWS_OF_A_RUN = 3 * len(EVENTS) + 3
LARGE, SMALL = 10_000_000, 1_000
GOAL_SECONDS, GOAL_MILLISECONDS, GOAL_BYTES_A_ROW = 30.0, 15.0, 400.0


def history_of(rows: int, seed: int = 1) -> History:
    """About so many rows of runs that go well, with some trouble in between."""
    draw = np.random.default_rng(seed)
    runs = rows // ROWS_OF_A_RUN
    users = max(2, runs // 10)
    details = ["", "users offline", ENGINES_COMPARED, REPLAY_BYTES, "reset", "evicted"]
    tables = {
        "user": [f"user-{number}" for number in range(users)],
        "run": [*(f"run-{number}" for number in range(runs)), ""],
        "thread": [""],
        "connection": [*(f"connection-{number}" for number in range(users)), ""],
        "event": [*dict.fromkeys(EVENTS), ""],
        "subject": [*(f"user-{number}" for number in range(users)), ""],
        "detail": details,
    }
    owner = draw.integers(0, users, runs)
    hours = 3_600.0
    begins = draw.uniform(1.0, hours, runs)
    parts: list[dict[str, np.ndarray]] = []

    def add(kind: Kind, when: np.ndarray, **columns: np.ndarray | int | float) -> None:
        blank = {"due": np.nan, "seq": -1, "value": np.nan, "duration": np.nan, "user": 0, "thread": 0, "detail": 0}
        blank |= {name: len(tables[name]) - 1 for name in ("run", "connection", "event", "subject")}
        values = {"time": when, "kind": int(kind)} | blank | columns
        parts.append({name: np.broadcast_to(value, len(when)) for name, value in values.items()})

    run = np.arange(runs)
    add(Kind.CONNECTED, np.zeros(users), user=np.arange(users), connection=np.arange(users))
    add(Kind.REQUESTED, begins, user=owner, run=run, due=begins)
    add(Kind.SCOPE_OPENED, begins + 0.01, user=owner, run=run)
    add(Kind.SCOPE_CLOSED, begins + 1.0 + len(EVENTS), user=owner, run=run, value=0.0)
    codes = np.array([tables["event"].index(event) for event in EVENTS])
    shape = {"user": np.repeat(owner, len(EVENTS)), "run": np.repeat(run, len(EVENTS))}
    shape |= {"event": np.tile(codes, runs), "seq": np.tile(np.arange(len(EVENTS)), runs)}
    published = np.repeat(begins, len(EVENTS)) + 0.02 + shape["seq"]
    sent = published + 0.001
    took = draw.lognormal(np.log(0.03), 0.3, len(published))
    came = {"connection": shape["user"], "subject": shape["user"], "value": published}
    add(Kind.PUBLISHED, published, **shape)
    add(Kind.SENT, sent, **shape, connection=shape["user"])
    add(Kind.RECEIVED, sent + took, **shape, **came)
    looks = np.linspace(1.0, hours, max(1, rows // 100))
    add(Kind.SAMPLE, looks, detail=details.index(ENGINES_COMPARED), value=8.0)
    add(Kind.SAMPLE, looks, detail=details.index(REPLAY_BYTES), value=1e6)
    add(Kind.FAULT_BEGAN, np.array([900.0, 1_800.0]), detail=1)
    add(Kind.FAULT_ENDED, np.array([905.0, 1_805.0]), detail=1)
    cut = np.arange(0, users, 50)
    add(Kind.DISCONNECTED, np.full(len(cut), 902.0), user=cut, connection=cut, detail=4, value=1006.0)
    add(Kind.CONNECTED, np.full(len(cut), 902.0), user=cut, connection=cut)
    gap: dict[str, np.ndarray | int | float] = {"user": cut, "connection": cut, "run": cut, "seq": 0, "value": 3.0}
    add(Kind.GAP, np.full(len(cut), 906.5), **gap, detail=5)
    add(Kind.GAP_RECEIVED, np.full(len(cut), 906.6), **gap)
    columns = {name: np.concatenate([part[name] for part in parts]) for name in (*NUMBER_COLUMNS, *TEXT_COLUMNS)}
    order = np.argsort(columns["time"], kind="stable")
    columns = {name: values[order] for name, values in columns.items()}
    return History(columns, columns, tables, {"engines_per_user": 100})


def seconds(work: Callable[[], object]) -> float:
    gc.collect()
    began = clock()
    work()
    return clock() - began


def peak_bytes(work: Callable[[], object]) -> float:
    tracemalloc.start()
    work()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return float(peak)


def measure_all() -> Sequence[Measured]:
    small = history_of(SMALL)
    check(small)
    tiny = [seconds(lambda: check(small)) * 1000 for _ in range(200)]
    large = history_of(LARGE)
    size = f"{len(large):,}"
    all_checks = [seconds(lambda: check(large)) for _ in range(3)]
    peak = peak_bytes(lambda: check(large))
    return [
        Measured(f"all checks, {size} rows", tuple(all_checks), GOAL_SECONDS, "s"),
        Measured(f"all checks, {len(small):,} rows", tuple(tiny), GOAL_MILLISECONDS, "ms"),
        Measured("memory of all checks", (peak / len(large),), GOAL_BYTES_A_ROW, "bytes a row"),
    ]


if __name__ == "__main__":
    main("check_speed", measure_all)
