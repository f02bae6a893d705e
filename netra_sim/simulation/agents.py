"""The agents of a simulation: the default pipeline with drawn durations, longer thoughts, and faults."""

from collections.abc import Sequence
from weakref import ref

import msgspec

from netra_sim.factory import Agent, AgentSession, Pipeline, UserExecutionContext, default_pipeline
from netra_sim.randomness import key, uniform
from netra_sim.simulation.fault_state import Injection
from netra_sim.simulation.faults import AgentFault
from netra_sim.simulation.pools import ResourcePools
from netra_sim.simulation.scenario import Agents


def simulated_pipeline(
    agents: Agents, faults: Sequence[Injection[AgentFault]], pools: ResourcePools, seed: int
) -> Pipeline:
    """The default pipeline as a scenario changes it.

    Args:
        agents: the durations of steps, and the length of thoughts.
        faults: each hits one agent of every run that it is for; the seed and the run determine which.
        pools: the limited resources that the agents use.
        seed: determines all draws.
    """
    healthy = default_pipeline(DrawnTiming(agents, key(seed, "timing")), pools.slots)
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
