"""Conformance checks of the lab itself: what was planned, drawn, timed and hashed, which no History can show."""

import asyncio
from collections.abc import Iterator

import numpy as np

from netra_sim.bridge import AgentWebSocketBridge, AuthenticatedUser, MemoryTransport
from netra_sim.factory import ExecutionEngineFactory, create_user_execution_context
from netra_sim.history import History, Kind
from netra_sim.history.history import NUMBER_COLUMNS, TEXT_COLUMNS
from netra_sim.protocol import AgentStarted, EventReader
from netra_sim.recording import Recorder
from netra_sim.simulation import Burst, Constant, Network, Scenario, Workload, simulate
from netra_sim.simulation.workload import due_times

_SMALL = Scenario(users=3, workload=Workload(window=4.0, runs_per_user=2))
_HELD_UP = Scenario(
    users=2, workload=Workload(arrivals=Burst(at=1.0, width=1.0)), network=Network(handshake=Constant(5.0))
)


async def the_digest_covers_every_column() -> bool:
    """A history that differs in one value of one column has another digest."""
    recorder = Recorder(lambda: 1.0)
    recorder.requested("r", "u", 0.5, "t")
    history = recorder.finish({"source": "conformance check"})
    digests = {history.digest(), *(changed.digest() for changed in _changed(history))}
    return len(digests) == 2 + len(NUMBER_COLUMNS) + len(TEXT_COLUMNS)


def _changed(history: History) -> Iterator[History]:
    for name in NUMBER_COLUMNS:
        yield History(
            history.numbers | {name: np.full_like(history.numbers[name], 7)},
            history.codes,
            history.tables,
            history.meta,
        )
    for name in TEXT_COLUMNS:
        yield History(history.numbers, history.codes, history.tables | {name: ["another"]}, history.meta)
    yield History(history.numbers, history.codes, history.tables, history.meta | {"source": "another"})


async def every_user_asks_as_often_as_planned() -> bool:
    """The history has all planned requests of all users."""
    requested = simulate(_SMALL, 1).frame(Kind.REQUESTED)
    counts = requested["user"].astype(str).value_counts()
    return len(counts) == _SMALL.users and set(counts) == {_SMALL.workload.runs_per_user}


async def requests_are_timed_from_when_they_were_due() -> bool:
    """The due times of requests are as planned, even if users connect late."""
    requested = simulate(_HELD_UP, 1).frame(Kind.REQUESTED)
    planned = [due for user in range(_HELD_UP.users) for due in due_times(_HELD_UP.workload, 1, user, _HELD_UP.users)]
    return sorted(requested["due"]) == sorted(planned)


async def every_draw_depends_on_the_seed_and_the_user() -> bool:
    """Due times, working times of agents and line latencies differ between seeds and between users."""
    first, second = (simulate(_SMALL, seed) for seed in (1, 2))
    for of in (_due, _working, _lines):
        own, others = of(first), of(second)
        if len(np.intersect1d(own, others)) or len(np.unique(own)) < len(own):
            return False
    return True


def _due(history: History) -> np.ndarray:
    return history.frame(Kind.REQUESTED)["due"].to_numpy()


def _working(history: History) -> np.ndarray:
    durations = history.frame(Kind.RECEIVED)["duration"].dropna().to_numpy()
    return np.unique(np.round(durations, 9))


def _lines(history: History) -> np.ndarray:
    return history.frame(Kind.ATTACHED)["value"].to_numpy()


async def cursors_of_another_epoch_count_for_nothing() -> bool:
    """A client with a cursor of another epoch receives a run of the same id from its first event on."""
    bridge = AgentWebSocketBridge()
    await bridge.ensure_integration()
    context = await create_user_execution_context("alice", None, {"message": "hello"}, run_id="alice.1")
    async with ExecutionEngineFactory(websocket_bridge=bridge).user_execution_scope(context) as engine:
        await engine.execute_agent_pipeline()
    transport, reader = MemoryTransport(), EventReader()
    bridge.connect(AuthenticatedUser("alice"), transport, epoch="of another server", cursors={"alice.1": 0})
    await asyncio.sleep(0.01)
    messages = [reader.feed(frame).message for frame in transport.frames]
    await bridge.shutdown()
    return any(isinstance(message, AgentStarted) for message in messages)
