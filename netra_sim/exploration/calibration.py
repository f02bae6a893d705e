"""`calibrate`: measures on this machine how much CPU time a step of the event loop takes."""

import asyncio
import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np

from netra_sim.bridge import AgentWebSocketBridge, AuthenticatedUser, MemoryTransport
from netra_sim.checks import nearest_rank
from netra_sim.exceptions import NetraSimError
from netra_sim.factory import ExecutionEngineFactory, RunOutcome, answer_message
from netra_sim.files import save_json
from netra_sim.runtime import new_event_loop
from netra_sim.simulation import Scenario, VirtualTimeLoop
from netra_sim.version import __version__

RUNS = 50
"""The runs of one batch, all at the same time, each of its own user."""


class CalibrationError(NetraSimError, ValueError):
    """A file is no calibration."""


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The CPU time of a step, and where it was measured; times in seconds.

    Attributes:
        step_cost: the median over the batches.
        p10: 10 of 100 batches have this or less.
        p90: 90 of 100 batches have this or less.
        batches: how many batches were timed.
        steps: the steps of a run, on average.
        machine: the system, the processor and the number of CPUs.
        python: the implementation and its version.
        version: of netra_sim.
    """

    step_cost: float
    p10: float
    p90: float
    batches: int
    steps: float
    machine: str
    python: str
    version: str

    def __str__(self) -> str:
        return (
            f"step cost {decimal(self.step_cost)} s, calibrated on {self.machine}, {self.python}, netra_sim {self.version} "
            f"({self.batches} batches; 80 % of them {decimal(self.p10)} to {decimal(self.p90)} s)"
        )

    @classmethod
    def load(cls, path: str | Path) -> "Calibration":
        """Read a file that `save` wrote.

        Raises:
            CalibrationError: the file is no calibration.
            OSError: the file cannot be read.
        """
        try:
            return msgspec.json.decode(Path(path).read_bytes(), type=cls)
        except msgspec.DecodeError as error:
            raise CalibrationError(f"{path} is no file of `netra-sim calibrate`: {error}") from error

    def save(self, path: Path) -> None:
        """Write the calibration as JSON.

        Raises:
            OSError: the file cannot be written.
        """
        save_json(path, self)

    def apply(self, scenario: Scenario) -> Scenario:
        """The scenario with steps that take time, and with the CPU as a resource."""
        from netra_sim.exploration.capacity import with_cpu  # a command that only loads this needs no search

        return with_cpu(scenario.with_settings({"platform.step_cost": self.step_cost}))


def calibrate(*, seconds: float = 3.0, on_batch: Callable[[], None] = lambda: None) -> Calibration:
    """Time runs of the default pipeline without thinking and tool time, on the real factory, bridge and event loop.

    A batch runs on the loop of `new_event_loop`, and its CPU time is measured; another loop has counted its steps
    before. The clients' transports are in memory: system calls and TLS are not measured. It works in a thread of its own,
    so it can be called where an event loop runs already, as in a notebook.

    Args:
        seconds: how long to measure.
        on_batch: called after every batch, in that thread.
    """
    with ThreadPoolExecutor(1) as threads:
        costs, steps = threads.submit(_batches, seconds, on_batch).result()
    measured = np.array(costs)
    return Calibration(
        step_cost=float(f"{np.median(measured):.3g}"),
        p10=float(f"{nearest_rank(measured, 0.1):.3g}"),
        p90=float(f"{nearest_rank(measured, 0.9):.3g}"),
        batches=len(costs),
        steps=round(steps / RUNS, 1),
        machine=f"{platform.system()} {platform.machine()} with {os.cpu_count()} CPUs",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        version=__version__,
    )


def _batches(seconds: float, on_batch: Callable[[], None]) -> tuple[list[float], int]:
    """The CPU time of a step in each batch, and the steps of a batch."""
    counting = VirtualTimeLoop()
    with asyncio.Runner(loop_factory=lambda: counting) as runner:
        runner.run(_batch())
        before = counting.steps
        runner.run(_batch())
        steps = counting.steps - before
    costs: list[float] = []
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_batch())
        ends = time.monotonic() + seconds
        while time.monotonic() < ends or not costs:
            began = time.thread_time()
            runner.run(_batch())
            costs.append((time.thread_time() - began) / steps)
            on_batch()
    return costs, steps


def cpu_sentence(scenario: Scenario, calibration: Calibration | None) -> str:
    """What the CPU times of a scenario's results rest on, in a sentence."""
    if calibration is not None:
        return str(calibration)
    if scenario.platform.step_cost:
        return f"step cost {decimal(scenario.platform.step_cost)} s, as the scenario states; not calibrated"
    return "no step cost: CPU takes no time in this simulation"


def decimal(seconds: float) -> str:
    """A small number without an exponent."""
    return np.format_float_positional(seconds, trim="-")


async def _batch() -> None:
    bridge = AgentWebSocketBridge()
    await bridge.ensure_integration()
    factory = ExecutionEngineFactory(websocket_bridge=bridge)
    await asyncio.gather(*(_run(bridge, factory, f"user-{number}") for number in range(RUNS)))
    await factory.shutdown()
    await bridge.shutdown()


async def _run(bridge: AgentWebSocketBridge, factory: ExecutionEngineFactory, user_id: str) -> None:
    connection = bridge.connect(AuthenticatedUser(user_id), MemoryTransport())
    message = {
        "type": "execute_agent",
        "message": "How can we spend less?",
        "request_id": "1",
        "thread_id": f"{user_id}-1",
    }
    result = await answer_message(message, connection, bridge=bridge, execution_factory=factory)
    if result is None or result.status is not RunOutcome.SUCCESS:
        raise RuntimeError(f"a run without think time ended with {result}, so that its steps say nothing")
    bridge.disconnect(connection)
