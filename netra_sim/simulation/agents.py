"""The agents of a simulation: the default pipeline with drawn durations, longer thoughts, and faults."""

import asyncio
from collections.abc import Sequence
from math import prod
from weakref import ref

import msgspec

from netra_sim.factory import Agent, AgentSession, Pipeline, UserExecutionContext, default_pipeline
from netra_sim.randomness import key, uniform
from netra_sim.simulation.fault_state import Injection
from netra_sim.simulation.faults import AgentFault, PaceFault
from netra_sim.simulation.loop import VirtualTimeLoop
from netra_sim.simulation.pools import ResourcePools
from netra_sim.simulation.scenario import Agents


def simulated_pipeline(
    agents: Agents,
    faults: Sequence[Injection[AgentFault]],
    slow: Sequence[Injection[PaceFault]],
    pools: ResourcePools,
    seed: int,
) -> Pipeline:
    """The default pipeline as a scenario changes it.

    Args:
        agents: the durations of steps, and the length of thoughts.
        faults: each hits one agent of every run that it is for; the seed and the run determine which.
        slow: these slow the steps of the runs that they are for.
        pools: the limited resources that the agents use.
        seed: determines all draws.
    """
    drawn = DrawnTiming(agents, key(seed, "timing"))
    healthy = default_pipeline(SlowedTiming(drawn, tuple(map(ref, slow))) if slow else drawn, pools.slots)
    if not faults and agents.reasoning == 0 and pools.pool("database") is None:
        return healthy

    def pipeline(context: UserExecutionContext) -> Sequence[Sequence[Agent]]:
        stages = [list(stage) for stage in healthy(context)]
        if agents.reasoning != 0:
            stages = [[_Talkative(agent, agents, seed) for agent in stage] for stage in stages]
        stages[0][0] = pools.loading(stages[0][0])
        places = [(stage, index) for stage in stages for index in range(len(stage))]
        for injection in faults:
            if injection.is_for(context.run_id):
                drawn = uniform(key(seed, "agent", injection.fault.name, context.run_id))
                stage, index = places[int(drawn * len(places))]
                stage[index] = _Faulty(stage[index], ref(injection))
        return stages

    return pipeline


class DrawnTiming(msgspec.Struct, frozen=True):
    """The durations of agents' steps, each drawn by the names of its run and step, independently of all other draws."""

    agents: Agents
    seed: int

    def seconds(self, context: UserExecutionContext, step: str) -> float:
        """See `netra_sim.factory.Timing`."""
        distribution = self.agents.think if step.endswith(".think") else self.agents.tool
        return distribution.draw(uniform(key(self.seed, context.run_id, step)))


class SlowedTiming(msgspec.Struct, frozen=True):
    """The durations of steps under faults that slow them; only the part of a step within a fault's time takes longer."""

    drawn: DrawnTiming
    slow: tuple[ref[Injection[PaceFault]], ...]

    def seconds(self, context: UserExecutionContext, step: str) -> float:
        """See `netra_sim.factory.Timing`."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)  # noqa: S101 - of every simulation
        began, seconds = loop.exact_time(), self.drawn.seconds(context, step)
        known = (injection for weak in self.slow if (injection := weak()) is not None)
        acting = [one for one in known if step.endswith(one.fault.step) and one.is_for(context.run_id)]
        ends = end_of_work(seconds, began, [one.fault for one in acting])
        for one in acting:
            if one.fault.at < ends and began < one.fault.at + one.fault.lasts:
                one.hit.add(context.run_id)
        return round(ends - began, 6)


def end_of_work(seconds: float, began: float, slow: Sequence[PaceFault]) -> float:
    """When work ends that takes so many seconds by itself, and longer by the factor of each fault that is on meanwhile."""
    now, left = began, seconds
    for edge in sorted(edge for fault in slow for edge in (fault.at, fault.at + fault.lasts) if edge > began):
        factor = prod(fault.factor for fault in slow if fault.is_active(now))
        if left * factor <= edge - now:
            return now + left * factor
        left -= (edge - now) / factor
        now = edge
    return now + left


class _Talkative:
    """An agent that emits one more, long thought before its work."""

    __slots__ = ("_agent", "_agents", "_seed", "name")

    def __init__(self, agent: Agent, agents: Agents, seed: int) -> None:
        self.name = agent.name
        self._agent = agent
        self._agents = agents
        self._seed = seed

    async def run(self, session: AgentSession) -> object:
        context, length = session.context, self._agents.reasoning
        if not isinstance(length, int):
            length = int(length.draw(uniform(key(self._seed, "reasoning", context.run_id, self.name))))
        question = str(context.request.get("message", ""))
        session.think(f"{question} ".ljust(length, "."))
        return await self._agent.run(session)


class _Faulty:
    """An agent that a fault disturbs if the fault is active when the agent begins its work."""

    __slots__ = ("_agent", "_injection", "name")

    def __init__(self, agent: Agent, injection: ref[Injection[AgentFault]]) -> None:
        self.name = agent.name
        self._agent = agent
        self._injection = injection  # weak: an object that the agents of two users hold would be shared state

    async def run(self, session: AgentSession) -> object:
        fault = self._fault(session.context.run_id)
        if fault is not None:
            await fault.disturb(session)
        return await self._agent.run(session)

    def _fault(self, run_id: str) -> AgentFault | None:
        injection = self._injection()
        return injection.fault if injection is not None and injection.strikes(run_id) else None
