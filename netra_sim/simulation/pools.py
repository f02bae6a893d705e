"""Limited resources at work: slots, queues, and what the agents of a simulation use."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from weakref import ref

import msgspec

from netra_sim.distributions import Distribution
from netra_sim.exceptions import NetraSimError
from netra_sim.factory import Agent, AgentSession, UserExecutionContext
from netra_sim.randomness import key, uniform
from netra_sim.recording import Recorder
from netra_sim.simulation.fault_state import Injection
from netra_sim.simulation.faults import RateLimited
from netra_sim.simulation.rate_limits import AskingAgain, RateLimit
from netra_sim.simulation.resources import Resource, Resources


class ResourceBusyError(NetraSimError, RuntimeError):
    """All slots of a resource are taken, and its queue is full."""


class Pool:
    """A resource at work: slots, and a queue in which who comes first gets the next free slot.

    Args:
        name: of the resource.
        settings: its slots and its queue.
        recorder: takes every visit, when it ends.
        clock: the time in seconds.
    """

    def __init__(self, name: str, settings: Resource, recorder: Recorder, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._name = name
        self._recorder = recorder
        self._slots, self._queue = settings.slots, settings.queue
        self._free = settings.slots
        self._waiting: deque[asyncio.Future[None]] = deque()

    def ask(self, context: UserExecutionContext) -> "asyncio.Future[None] | None":
        """Take a slot; if none is free, get a place in the queue, which is done as soon as a slot is free.

        Raises:
            ResourceBusyError: the queue is full.
        """
        if self._free:
            self._free -= 1
            return None
        if self._queue is not msgspec.UNSET and len(self._waiting) >= self._queue:
            self._recorder.visited(self._name, context.run_id, context.user_id, "refused", 0.0)
            raise ResourceBusyError(
                f"{self._name}: all {self._slots:,} slots are taken, and {self._queue:,} wait, as many as may"
            )
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        return place

    def give_up(self, place: "asyncio.Future[None]", context: UserExecutionContext, waited: float) -> None:
        """Leave the queue, after so many seconds, or release the slot that has just become free."""
        if not place.cancelled():
            self._release()
        elif place in self._waiting:
            self._waiting.remove(place)
        self._recorder.visited(self._name, context.run_id, context.user_id, "gave up", waited)

    def leave(self, context: UserExecutionContext, waited: float, held: float) -> None:
        """Release a slot that was held for so many seconds."""
        self._release()
        self._recorder.visited(self._name, context.run_id, context.user_id, "served", waited, held)

    def _release(self) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.cancelled():
                place.set_result(None)
                return
        self._free += 1


class _Visit:
    """One visit to a pool. It does not keep the pool alive: what the agents of two users hold would be shared state."""

    __slots__ = ("_asked", "_began", "_context", "_pool")

    def __init__(self, pool: ref[Pool], context: UserExecutionContext) -> None:
        self._pool = pool
        self._context = context
        self._asked = self._began = 0.0

    async def __aenter__(self) -> None:
        self._asked = self._at_the_pool().clock()
        place = self._at_the_pool().ask(self._context)
        if place is not None:
            try:
                await place
            except asyncio.CancelledError:
                self._at_the_pool().give_up(place, self._context, self._at_the_pool().clock() - self._asked)
                raise
        self._began = self._at_the_pool().clock()

    async def __aexit__(self, *error: object) -> None:
        pool = self._at_the_pool()
        pool.leave(self._context, self._began - self._asked, pool.clock() - self._began)

    def _at_the_pool(self) -> Pool:
        pool = self._pool()
        assert pool is not None  # noqa: S101 - the simulation keeps its pools until all runs have ended
        return pool


class ResourcePools:
    """The pools of a simulation, and what each step uses.

    Args:
        resources: the limited ones, if there are any.
        seed: determines how long a run holds its database connection.
        recorder: takes the visits.
        clock: the time in seconds.
        limits: the faults that limit the rate of the model.

    Attributes:
        slots: the `Slots` of the default pipeline.
    """

    def __init__(
        self,
        resources: Resources | msgspec.UnsetType,
        seed: int,
        recorder: Recorder,
        clock: Callable[[], float],
        limits: Sequence[Injection[RateLimited]] = (),
    ) -> None:
        limited = {} if resources is msgspec.UNSET else {name: getattr(resources, name) for name in _POOLED}
        self._pools = {
            name: Pool(name, settings, recorder, clock)
            for name, settings in limited.items()
            if settings is not msgspec.UNSET
        }
        self._database = limited.get("database", msgspec.UNSET)
        self._seed = seed
        self._limits = [RateLimit(injection, seed, recorder, clock) for injection in limits]
        self.slots = PooledSlots(ref(self))

    def pool(self, name: str) -> Pool | None:
        """The pool of a resource, or None if it is not limited."""
        return self._pools.get(name)

    def visit(self, context: UserExecutionContext, step: str) -> AbstractAsyncContextManager[object]:
        """What a step enters before its work, and leaves after it."""
        is_of_model = step.endswith(".think")
        pool = self._pools.get("model" if is_of_model else "tools")
        visit = nullcontext() if pool is None else _Visit(ref(pool), context)
        if not (is_of_model and self._limits):
            return visit
        return AskingAgain(tuple(map(ref, self._limits)), visit, context, step)

    def loading(self, agent: Agent) -> Agent:
        """The first agent of a run, which loads the conversation before it works."""
        pool = self._pools.get("database")
        return agent if pool is None else _Loading(agent, ref(pool), self._database.seconds, self._seed)


_POOLED = ("model", "tools", "database")


class PooledSlots(msgspec.Struct, frozen=True):
    """The slots of the model service and of the tools' back ends; see `netra_sim.factory.Slots`."""

    pools: ref[ResourcePools]

    def slot(self, context: UserExecutionContext, step: str) -> AbstractAsyncContextManager[object]:
        """A slot for a step."""
        pools = self.pools()
        return nullcontext() if pools is None else pools.visit(context, step)


class _Loading:
    """An agent that holds a connection of the database for a while before its work."""

    __slots__ = ("_agent", "_pool", "_seconds", "_seed", "name")

    def __init__(self, agent: Agent, pool: ref[Pool], seconds: Distribution, seed: int) -> None:
        self.name = agent.name
        self._agent = agent
        self._pool = pool
        self._seconds = seconds
        self._seed = seed

    async def run(self, session: AgentSession) -> object:
        async with _Visit(self._pool, session.context):
            drawn = uniform(key(self._seed, "database", session.context.run_id))
            await asyncio.sleep(self._seconds.draw(drawn))
        return await self._agent.run(session)
