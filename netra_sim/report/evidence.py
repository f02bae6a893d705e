"""Evidence for the report: histories, each with its checks' results."""

from pathlib import Path

import msgspec

from netra_sim.checks import CheckResult, check
from netra_sim.history import History
from netra_sim.report.claims import Source
from netra_sim.report.parameters import Parameters
from netra_sim.report.probes import probe_runtime
from netra_sim.report.tables import checks_table
from netra_sim.runtime import run
from netra_sim.server import Load, load
from netra_sim.simulation import Platform, Scenario, simulate

WINDOWS_TICK = 1 / 64
"""Seconds between two ticks of Windows' clock, as CPython's event loop sees it before 3.13."""


class Evidence(msgspec.Struct, frozen=True):
    """One source's history, None where there is none, and what the checks say."""

    source: Source
    results: list[CheckResult]
    history: History | None = None

    def _repr_html_(self) -> str:
        return checks_table(self.source, self.results)


def simulated(parameters: Parameters) -> Evidence:
    """Simulate the users of the parameters."""
    history = simulate(Scenario(users=parameters.users), parameters.seed)
    return _judged(Source.SIMULATED, history, parameters)


def on_windows_clock(parameters: Parameters) -> Evidence:
    """Simulate users on a clock that ticks as coarsely as Windows'."""
    scenario = Scenario(name="windows-clock", users=parameters.windows_users, platform=Platform(tick=WINDOWS_TICK))
    return _judged(Source.WINDOWS_CLOCK, simulate(scenario, parameters.seed), parameters)


def on_real_server(parameters: Parameters) -> Evidence:
    """Have real clients ask a real server, on this machine, now."""
    history = run(load(Load(users=parameters.server_users, seed=parameters.seed)))
    return _judged(Source.SERVER, history, parameters)


def of_runtime() -> Evidence:
    """Make the short experiments on the runtime."""
    return Evidence(Source.RUNTIME, probe_runtime())


def _judged(source: Source, history: History, parameters: Parameters) -> Evidence:
    if parameters.output:
        folder = Path(parameters.output)
        folder.mkdir(parents=True, exist_ok=True)
        history.save(folder / f"{source.replace(',', '').replace(' ', '-')}.history.parquet")
    return Evidence(source, check(history, parameters.objectives), history)
