"""`simulate_in_shards`: starts a process for each part of the users, and merges what they record."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from multiprocessing.connection import wait
from typing import Any

import numpy as np

from netra_sim.bridge import BridgeLimits
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.history import REPLAY_BYTES, History, Kind, merge
from netra_sim.processes import Worker
from netra_sim.simulation.faults import LimitsFault, MessageFault
from netra_sim.simulation.scenario import Scenario
from netra_sim.simulation.shards.comparing import comparisons_of_one_process
from netra_sim.simulation.shards.exactness import REPLAY_SECONDS, ShardsError, why_not
from netra_sim.simulation.shards.merging import (
    SERVER,
    Users,
    insert_rows,
    is_sample,
    merge_servers,
    merge_users,
    turns_of,
)
from netra_sim.simulation.shards.replaying import kept_for_replay
from netra_sim.simulation.shards.shard import (
    NO_COMPARISONS,
    Comparisons,
    RequestsEnded,
    Shard,
    ShardBroke,
    ShardRecord,
    UsersEnded,
    simulate_shard,
)


def simulate_in_shards(
    scenario: Scenario,
    seed: int,
    shards: int,
    *,
    on_answer: Callable[[], None] = lambda: None,
    factory_class: type[ExecutionEngineFactory] = ExecutionEngineFactory,
) -> History:
    """Simulate a scenario in several processes, and return the History that one process gives.

    Args:
        scenario: what happens.
        seed: determines everything that the scenario leaves open.
        shards: the number of processes, at least 2.
        on_answer: called in this process at the end of every request.
        factory_class: makes the engines.

    Raises:
        ShardsError: the History of one process cannot be had so; the message says why.
        HarnessError: a part of the simulation itself failed.
        WorkerError: a process died.
    """
    if shards < 2:
        raise ShardsError(f'the number of shards is at least 1, or "auto", and is {shards}')
    if reason := why_not(scenario, seed, shards):
        raise ShardsError(f"{shards} processes cannot give the history of one: {reason}")

    def start(numbers: Sequence[int], comparisons: Comparisons, end: float | None) -> Worker:
        return Worker(simulate_shard, scenario, seed, numbers, comparisons, end, factory_class)

    with ExitStack() as stack:
        workers = []
        for first in range(shards):
            workers.append(start(scenario.present_users[first::shards], NO_COMPARISONS, None))
            stack.callback(workers[-1].stop)
        end = max(one.at for one in _wait_for(workers, UsersEnded, on_answer))
        for worker in workers:
            worker.send(end)
        alone = Shard(scenario, seed, (), NO_COMPARISONS, lambda _: end, factory_class).record().history
        recorded: list[ShardRecord] = _wait_for(workers, ShardRecord, on_answer)
        users = merge_users(recorded)
        sample_times = alone.numbers["time"][is_sample(alone, REPLAY_BYTES)]
        comparisons, compared_users = comparisons_of_one_process(users, sample_times, seed)
        comparer = start(compared_users, comparisons, end)
        stack.callback(comparer.stop)
        asks_again = any(isinstance(fault, MessageFault) for fault in scenario.faults)
        limit = _limits(scenario).replay_total_bytes
        server = merge_servers(recorded, alone, kept_for_replay(users, sample_times, limit, asks_again=asks_again))
        compared: History = _wait_for([comparer], ShardRecord, lambda: None)[0].history
    turns = turns_of(compared)
    _require_independence(users, compared, turns)
    history = insert_rows(users.history, server, compared, turns)
    history.meta["environment"] |= {"shards": str(shards)}
    return history


def _limits(scenario: Scenario) -> BridgeLimits:
    limits = BridgeLimits()
    for fault in scenario.faults:
        if isinstance(fault, LimitsFault):
            limits = fault.adjust(limits)
    return limits


def _require_independence(users: Users, compared: History, turns: np.ndarray) -> None:
    """Require that the compared users did the same among themselves as among the others of their shard."""
    before = np.flatnonzero(np.isin(users.turns, np.unique(turns[turns != SERVER])))
    now = np.flatnonzero((turns != SERVER) & (compared.numbers["kind"] != Kind.SHARED))
    if merge([users.history], {}, before).digest() != merge([compared], {}, now).digest():
        raise ShardsError(
            "what users do depends on which other users there are, so the users cannot be simulated apart; look for state "
            "that users share, and use one process"
        )


def _wait_for(workers: Sequence[Worker], kind: type[Any], on_answer: Callable[[], None]) -> list[Any]:
    """The next message of a kind from each worker, in the order of the workers.

    Raises:
        Exception: the one that broke the simulation of a shard; of several, the one at the earliest virtual time.
    """
    got: dict[int, Any] = {}
    while True:
        waiting: dict[Any, int] = {
            worker.channel.connection: number for number, worker in enumerate(workers) if number not in got
        }
        if not waiting:
            break
        for connection in wait(list(waiting)):
            number = waiting[connection]
            message = workers[number].receive()
            if isinstance(message, RequestsEnded):
                for _ in range(message.requests):
                    on_answer()
            elif isinstance(message, kind | ShardBroke):
                got[number] = message
    if broke := [message for message in got.values() if isinstance(message, ShardBroke)]:
        # A shard that cannot go on exactly says nothing about the errors of the others.
        raise min(broke, key=lambda one: (not isinstance(one.error, ShardsError), one.at)).error
    if kind is UsersEnded and (last := max(one.at for one in got.values())) >= REPLAY_SECONDS:
        raise ShardsError(
            f"the last user leaves at {last:g} s, and from {REPLAY_SECONDS:g} s on the bridge forgets runs by age, for all "
            "users together; shorten the workload, or use one process"
        )
    return [got[number] for number in range(len(workers))]
