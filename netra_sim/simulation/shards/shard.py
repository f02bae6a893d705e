"""What one process of several does: it simulates some of the users, with a server of its own."""

import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from netra_sim.bridge import BridgeLimits
from netra_sim.bridge.bounds import MOST_COUNT
from netra_sim.factory import ExecutionEngineFactory, UserExecutionEngine
from netra_sim.history import History
from netra_sim.processes import ProcessChannel, sent_error
from netra_sim.recording import EngineWatch, Recorder
from netra_sim.simulation.diagnosis import DeadlockError, HarnessError, VirtualTimeLimitError
from netra_sim.simulation.instance import Instance
from netra_sim.simulation.running import frozen_heap, new_scenario_loop, run_world
from netra_sim.simulation.scenario import Scenario
from netra_sim.simulation.shards.exactness import REPLAY_SECONDS, ShardsError
from netra_sim.simulation.turns import TurnsLoop
from netra_sim.simulation.world import World

_PROGRESS_SECONDS = 0.1


class Comparisons(NamedTuple):
    """Which engines are compared for shared state, by the ids of their runs.

    Attributes:
        at_opening: for the run whose scope opens, the runs to compare, its own first.
        at_sample: for the number of a sample, the runs to compare.
    """

    at_opening: Mapping[str, Sequence[str]]
    at_sample: Mapping[int, Sequence[str]]


NO_COMPARISONS = Comparisons({}, {})


class RequestsEnded(NamedTuple):
    """So many more requests have ended."""

    requests: int


class UsersEnded(NamedTuple):
    """The users of the shard have ended, at a virtual time in seconds."""

    at: float


class ShardBroke(NamedTuple):
    """The simulation of the shard broke at a virtual time in seconds."""

    at: float
    error: Exception


class ShardRecord(NamedTuple):
    """What a shard recorded.

    Attributes:
        history: of its users and its server.
        kept_bytes: what its bridge kept for replay after each published event.
        ended_at: when its users had ended, in seconds.
    """

    history: History
    kept_bytes: "array[int]"
    ended_at: float


class Shard(World):
    """A world with some of the users; its server goes on until the last user of all shards has ended.

    Args:
        scenario: what happens.
        seed: determines what the scenario leaves open.
        numbers: the users.
        comparisons: of engines, for shared state.
        ask_end: is given when the users of this shard have ended, and returns when those of all shards have.
        factory_class: makes the engines.
        on_answer: called at the end of every request.
    """

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        numbers: Sequence[int],
        comparisons: Comparisons,
        ask_end: Callable[[float], float],
        factory_class: type[ExecutionEngineFactory],
        on_answer: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(scenario, seed, new_scenario_loop(scenario, seed), on_answer, factory_class)
        self.recorder = self._recorder = _ShardRecorder(self.loop.exact_time, self._kept_bytes)
        self._numbers = numbers
        self._comparisons = comparisons
        self._ask_end = ask_end
        self._ended_at = -1.0

    @frozen_heap()
    def record(self) -> ShardRecord:
        """Run the simulation and return the record.

        Raises:
            ShardsError: the simulation came to something that one process may do differently.
            HarnessError: a part of the simulation itself failed.
        """
        try:
            history = run_world(self)
        except HarnessError as error:
            if isinstance(error.__cause__, ShardsError):
                raise error.__cause__ from None
            raise
        except (DeadlockError, VirtualTimeLimitError) as error:
            raise ShardsError(
                f"the simulation was stuck ({error.how}), and one process shows who waits for what; use one process"
            ) from error
        return ShardRecord(history, self._recorder.kept, self._ended_at)

    @property
    def numbers(self) -> Sequence[int]:
        """See `World`: some users."""
        return self._numbers

    def bridge_limits(self, limits: BridgeLimits) -> BridgeLimits:
        """See `World`: the merge applies the limit of all runs together."""
        return msgspec.structs.replace(limits, replay_total_bytes=MOST_COUNT)

    def new_watch(self) -> EngineWatch:
        """See `World`: a watch that compares what it is told."""
        return _ToldWatch(self.recorder, self._comparisons.at_opening)

    def engines_to_look_at(self, instance: Instance, samples: int) -> Sequence[UserExecutionEngine]:
        """See `World`."""
        if self.loop.exact_time() >= REPLAY_SECONDS:
            raise ShardsError(
                f"the simulation lasts more than {REPLAY_SECONDS:g} virtual seconds, and from then on the bridge forgets "
                "runs by age, for all users together; shorten the workload, or use one process"
            )
        return _engines_of(instance.factory, self._comparisons.at_sample.get(samples, ()))

    async def all_users_ended(self) -> None:
        """See `World`: wait until the users of all shards have ended."""
        loop = self.loop
        assert isinstance(loop, TurnsLoop)  # noqa: S101 - `why_not` requires fifo order
        self._ended_at = loop.exact_time()
        end = self._ask_end(self._ended_at)
        others = loop.create_future()
        loop.call_at(end, others.set_result, None)
        await others
        if self._ended_at < end == loop.shared_instant:
            raise ShardsError(
                f"something happens at {end:g} s, the very instant at which the last user leaves; try another seed, or use "
                "one process"
            )

        if self._current is not None and self._current.bridge.metrics().live_connections:
            raise ShardsError(
                "the server still has connections of users who have left, and closes them all together; use one process"
            )

    def _kept_bytes(self) -> int:
        return 0 if self._current is None else self._current.bridge.replay_bytes


def simulate_shard(
    channel: ProcessChannel,
    scenario: Scenario,
    seed: int,
    numbers: Sequence[int],
    comparisons: Comparisons,
    end: float | None,
    factory_class: type[ExecutionEngineFactory],
) -> None:
    """The work of a process: simulate some users, and send what happens to the process that merges.

    Args:
        channel: takes `RequestsEnded`, `UsersEnded`, and last `ShardRecord` or `ShardBroke`; gives the time at which all
            users have ended.
        scenario: what happens.
        seed: determines what the scenario leaves open.
        numbers: the users.
        comparisons: of engines, for shared state.
        end: when all users have ended, if it is known.
        factory_class: makes the engines.
    """
    answered, told_at = 0, time.monotonic()

    def on_answer() -> None:
        nonlocal answered, told_at
        answered += 1
        if time.monotonic() - told_at > _PROGRESS_SECONDS:
            tell()

    def tell() -> None:
        nonlocal answered, told_at
        channel.send(RequestsEnded(answered))
        answered, told_at = 0, time.monotonic()

    def ask_end(ended_at: float) -> float:
        tell()
        channel.send(UsersEnded(ended_at))
        return float(channel.receive()) if end is None else end

    shard = Shard(scenario, seed, numbers, comparisons, ask_end, factory_class, on_answer)
    try:
        recorded = shard.record()
    except ShardsError as error:
        channel.send(ShardBroke(shard.loop.exact_time(), error))
    except Exception as error:
        channel.send(ShardBroke(shard.loop.exact_time(), sent_error(error)))
    else:
        channel.send(recorded)


class _ShardRecorder(Recorder):
    """A recorder that also reads what the bridge keeps for replay after each published event."""

    def __init__(self, clock: Callable[[], float], kept_bytes: Callable[[], int]) -> None:
        super().__init__(clock)
        self.kept = array("q")
        self._kept_bytes = kept_bytes

    def published(self, *event: Any) -> None:
        """See `BridgeObserver`."""
        super().published(*event)
        self.kept.append(self._kept_bytes())


class _ToldWatch(EngineWatch):
    """An `EngineWatch` that compares the engines of given runs."""

    def __init__(self, recorder: Recorder, at_opening: Mapping[str, Sequence[str]]) -> None:
        super().__init__(recorder)
        self._at_opening = at_opening

    def engines_at_opening(self, run_id: str, factory: ExecutionEngineFactory) -> Sequence[UserExecutionEngine]:
        """See `EngineWatch`."""
        return _engines_of(factory, self._at_opening.get(run_id, ()))


def _engines_of(factory: ExecutionEngineFactory, run_ids: Sequence[str]) -> list[UserExecutionEngine]:
    if not run_ids:
        return []
    live = {engine.context.run_id: engine for engine in factory.engines}
    return [live[run_id] for run_id in run_ids if run_id in live]
