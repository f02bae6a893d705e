"""What Windows' clock does to waits, with the stock functions and with the Windows-safe ones."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Annotated

import pandas as pd
from msgspec import Meta

from netra_sim.exploration import Detection, detect
from netra_sim.history import History
from netra_sim.report.held import keep_p95
from netra_sim.report.parameters import DeliveryP95, NotebookParameters
from netra_sim.runtime import windows_safe_sleep
from netra_sim.simulation import WINDOWS_TICK, find_scenario, run_virtual, simulate
from netra_sim.violations import VIOLATIONS

DETECTION_SEEDS = 5


class WindowsParameters(NotebookParameters, frozen=True, kw_only=True):
    """What the notebook on the Windows runtime takes."""

    users: Annotated[int, Meta(description="simulated users", ge=1, le=100_000)] = 200
    sleeps: Annotated[int, Meta(description="sleeps of up to 0.2 s that are timed", ge=1, le=100_000)] = 2000
    delivery_p95: DeliveryP95 = 0.1


def on_both_clocks(parameters: WindowsParameters) -> dict[str, History]:
    """The same users on an exact clock and on one that ticks as Windows' does."""
    scenario = find_scenario("steady-load").with_settings({"users": parameters.users})
    coarse = scenario.with_settings({"platform.tick": WINDOWS_TICK})
    histories = {
        "exact clock": simulate(scenario, parameters.seed),
        "Windows clock": simulate(coarse, parameters.seed),
    }
    keep_p95(parameters.output, histories, parameters.delivery_p95)
    return histories


def detected_windows(parameters: WindowsParameters) -> Detection:
    """Try every check against the violations of the Windows-safe layer."""
    names = [one.name for one in VIOLATIONS.values() if any(incident.startswith("W") for incident in one.incidents)]
    return detect(range(parameters.seed, parameters.seed + DETECTION_SEEDS), violations=names)


def sleep_errors(parameters: WindowsParameters) -> pd.DataFrame:
    """By `function`, how much longer than asked each sleep took on Windows' clock: `error` in seconds, early is negative."""
    functions = {"asyncio.sleep": asyncio.sleep, "windows_safe_sleep": windows_safe_sleep}
    return pd.concat(
        [
            pd.DataFrame({"function": name, "error": _errors(function, parameters)})
            for name, function in functions.items()
        ],
        ignore_index=True,
    )


def _errors(sleep: Callable[[float], Awaitable[object]], parameters: WindowsParameters) -> list[float]:
    draw = random.Random(parameters.seed).uniform
    delays = [round(draw(0.001, 0.2), 6) for _ in range(parameters.sleeps)]

    async def timed(delay: float) -> float:
        clock = asyncio.get_running_loop().time
        began = clock()
        await sleep(delay)
        return clock() - began - delay

    async def work() -> list[float]:
        return [await timed(delay) for delay in delays]

    return run_virtual(work(), tick=WINDOWS_TICK)
