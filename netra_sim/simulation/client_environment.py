"""What a simulated client or user needs from the simulation that it takes part in."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from netra_sim.recording import Recorder
from netra_sim.simulation.fault_state import FaultState
from netra_sim.simulation.instance import Instance
from netra_sim.simulation.loop import VirtualTimeLoop
from netra_sim.simulation.scenario import Scenario


class ClientEnvironment(Protocol):
    """The simulation as its clients and users see it.

    Attributes:
        scenario: what happens.
        seed: determines all draws.
        loop: the clock and the timers.
        recorder: takes what clients observe.
        faults: which faults are active.
        on_answer: called at the end of every request.
    """

    scenario: Scenario
    seed: int
    loop: VirtualTimeLoop
    recorder: Recorder
    faults: FaultState
    on_answer: Callable[[], None]

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Start background work; an error in it ends the simulation with a `HarnessError` of this name."""

    def server(self, *, is_elsewhere: bool) -> Instance | None:
        """The server that clients reach now, None while it is down; or the other server."""

    def has_room(self, instance: Instance) -> bool:
        """Whether a server accepts one more connection."""

    def right_answer(self, user_id: str, run_id: str) -> object:
        """The right answer to the question of a run, or None if it is not known."""
