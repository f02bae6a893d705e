"""What the bridge adds to an event, from the emitter's method to the transport, in units of `json.dumps` of that event."""

import asyncio
import gc
import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from measure import Measure, Measured, clock, in_turn, main, per_operation

from netra_sim.bridge import AgentWebSocketBridge, AuthenticatedUser, MemoryTransport
from netra_sim.runtime import new_event_loop

EVENTS = 2_000
BURST = 10
GOAL = 0.8
REPETITIONS = 25

THOUGHT = "Comparing the unit costs of inference and storage, month by month, to see which of them drives the bill."
RESULTS = {"services": ["inference", "storage"], "dearest": {"service": "inference", "cost": 1240.5}}


class Publisher:
    """A run in the middle of its life, its replay buffer full, with one connection of its owner's."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.transport = MemoryTransport()
        self.runner = runner
        runner.run(self._open())

    async def _open(self) -> None:
        bridge = AgentWebSocketBridge()
        await bridge.ensure_integration()
        bridge.connect(AuthenticatedUser("user-1234"), self.transport)
        self.emitter = bridge.open_run(user_id="user-1234", thread_id="thread-5678", run_id="run-0123456789abcdef")
        self.emitter.agent_started("data")
        for _ in range(EVENTS):
            self.emitter.agent_thinking(THOUGHT)
        await asyncio.sleep(0)

    def executing(self) -> None:
        for _ in range(EVENTS):
            self.emitter.tool_executing("query_usage", {})

    def event(self, publish: Callable[[], object]) -> dict[str, Any]:
        """The whole event as it comes out at the client's end."""

        async def publish_one() -> None:
            self.executing()
            publish()
            await asyncio.sleep(0)

        self.runner.run(publish_one())
        event: dict[str, Any] = json.loads(self.transport.frames[-1])
        return event

    def cost(self, publish: Callable[[], object], a_turn: int) -> Measure:
        """Seconds an event, with its flush, without the turn of the loop in which the events are published."""
        received = self.transport.frames

        async def published() -> float:
            self.executing()
            await asyncio.sleep(0)
            gc.collect()
            began = clock()
            for _ in range(EVENTS // a_turn):
                for _ in range(a_turn):
                    publish()
                await asyncio.sleep(0)
                received.clear()
            both = clock()
            for _ in range(EVENTS // a_turn):
                for _ in range(a_turn):
                    pass
                await asyncio.sleep(0)
                received.clear()
            turns = clock()
            return ((both - began) - (turns - both)) / EVENTS

        return lambda: self.runner.run(published())


def _dumps(event: dict[str, Any]) -> Measure:
    def work() -> None:
        for _ in range(EVENTS):
            json.dumps(event)

    return per_operation(work, EVENTS)


def measure_all() -> Sequence[Measured]:
    lines: list[Measured] = []
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        publisher = Publisher(runner)
        emitter = publisher.emitter
        for name, publish in (
            ("agent_thinking", partial(emitter.agent_thinking, THOUGHT)),
            ("tool_completed", partial(emitter.tool_completed, "query_usage", RESULTS, 0.25)),
        ):
            event = publisher.event(publish)
            size = len(publisher.transport.frames[-1])
            measures = _dumps(event), publisher.cost(publish, BURST), publisher.cost(publish, 1)
            dumps, burst, single = in_turn(*measures, repetitions=REPETITIONS)
            for manner, seconds in ((f"{BURST} a turn", burst), ("1 a turn", single)):
                ratios = tuple(mine / other for mine, other in zip(seconds, dumps, strict=True))
                # An event that is alone in its turn also pays for the turn's flush: told, and not held against the goal.
                goal = GOAL if seconds is burst else None
                lines.append(Measured(f"{name} ({size} bytes), {manner} / json.dumps", ratios, goal))
            for what, seconds in (
                ("json.dumps", dumps),
                (f"the bridge, {BURST} a turn", burst),
                ("the bridge, 1 a turn", single),
            ):
                lines.append(Measured(f"{name}: {what}", tuple(1e6 * each for each in seconds), unit="us"))
    return lines


if __name__ == "__main__":
    main("bridge_publish", measure_all)
