"""One trial: a scenario simulated with a seed, and checked."""

import shlex
from typing import Any

import msgspec
import tomli_w

from netra_sim.checks import CheckResult, all_checks, check
from netra_sim.exploration.comparison import LoggedRun, PairOfRuns
from netra_sim.exploration.plans import scenario_plan
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.history import History
from netra_sim.simulation import Scenario, simulate
from netra_sim.simulation.schedule import Hold
from netra_sim.simulation.schedule_log import ScheduleLog


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One simulation with the results of its checks.

    Attributes:
        scenario: the scenario.
        seed: of the simulation.
        digest: of the history.
        results: of all checks.
        ignored: checks that count as no failure here, as their figures rest on times that the search has made up.
        sentence: which order of steps the failure needs, once `shrink` has found it.
        comparison: the failing run beside the nearest one that passes, once `shrink` has run; None in "fifo" order.
    """

    scenario: Scenario
    seed: int
    digest: str
    results: tuple[CheckResult, ...]
    ignored: tuple[str, ...] = ()
    sentence: str = ""
    comparison: PairOfRuns | None = None

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the checks that failed."""
        return tuple(result.check for result in self.results if result.state == "failed")

    @property
    def failed_checks(self) -> tuple[str, ...]:
        """The checks that failed unexpectedly. A fault that hit nothing ("faults-acted") is no failure of the system."""
        accepted = (*self.scenario.expect, "faults-acted", *self.ignored)
        return tuple(name for name in self.failed if name not in accepted)

    @property
    def is_as_expected(self) -> bool:
        """Whether exactly the expected checks failed."""
        return set(self.failed) == set(self.scenario.expect)


def checked(history: History, scenario: Scenario) -> tuple[CheckResult, ...]:
    """The results of all checks for the history of a scenario, those that the scenario names among them."""
    return tuple(check(history, checks=all_checks(scenario.own_checks)))


def run_trial(
    scenario: Scenario,
    seed: int,
    factory_class: type[ExecutionEngineFactory] = ExecutionEngineFactory,
    ignored: tuple[str, ...] = (),
    log: ScheduleLog | None = None,
) -> Trial:
    """Simulate a scenario and run all checks on its history."""
    return _checked(simulate(scenario, seed, factory_class=factory_class, log=log), scenario, seed, ignored)


def logged_run(
    trial: Trial, factory_class: type[ExecutionEngineFactory], checks: set[str], holds: tuple[Hold, ...] | None
) -> LoggedRun:
    """Simulate a trial again with a log.

    Args:
        trial: its scenario has the order and the step cost.
        factory_class: makes the engines.
        checks: those whose failure counts.
        holds: how the order differs from asyncio's; None if it is not known.
    """
    log = ScheduleLog()
    history = simulate(trial.scenario, trial.seed, factory_class=factory_class, log=log)
    failed = sorted(checks & set(_checked(history, trial.scenario, trial.seed, trial.ignored).failed_checks))
    error = f"{', '.join(failed)} fail{'s' * (len(failed) == 1)}" if failed else ""
    return LoggedRun(holds, error, log, history)


def _checked(history: History, scenario: Scenario, seed: int, ignored: tuple[str, ...]) -> Trial:
    results = checked(history, scenario)
    return Trial(scenario=scenario, seed=seed, digest=history.digest(), results=results, ignored=ignored)


TIMED = ("latency", "silence")
"""The checks of times: with pauses, or a step cost, that nobody has measured, they say nothing about the system."""


def explored_trial(scenario: Scenario, seed: int, factory_class: type[ExecutionEngineFactory]) -> Trial:
    """One trial of a search: the seed also decides the order of steps and their cost, unless the scenario sets them."""
    platform = scenario.platform
    if platform.order != "random":
        return run_trial(scenario, seed, factory_class)
    plan = scenario_plan(seed)
    is_drawn = plan.step_cost > platform.step_cost == 0.0
    step_cost = plan.step_cost if is_drawn else platform.step_cost
    varied = msgspec.structs.replace(platform, order=plan.order, step_cost=step_cost)
    varied_scenario = msgspec.structs.replace(scenario, platform=varied)
    return run_trial(varied_scenario, seed, factory_class, TIMED if is_drawn or plan.has_pauses else ())


def replay_line(
    origin: str,
    original: Scenario,
    trial: Trial,
    factory_class: type[ExecutionEngineFactory] = ExecutionEngineFactory,
) -> str:
    """The one command that repeats a trial.

    Args:
        origin: the name or the file of the original scenario.
        original: the scenario as it is there.
        trial: the trial to repeat.
        factory_class: made the engines; the command finds it if it is at the top of a module that can be imported.
    """
    parts = ["netra-sim", "simulate", origin, "--seed", str(trial.seed)]
    if factory_class is not ExecutionEngineFactory:
        parts += ["--factory", f"{factory_class.__module__}:{factory_class.__qualname__}"]
    before, after = (msgspec.to_builtins(scenario) for scenario in (original, trial.scenario))
    for path, value in _differences(before, after, ""):
        parts += ["--set", f"{path}={toml(value)}"]
    return shlex.join(parts)


def _differences(before: Any, after: Any, path: str) -> list[tuple[str, Any]]:
    # Only a whole scenario leaves out fields that are unset; elsewhere other fields mean another kind.
    if isinstance(before, dict) and isinstance(after, dict) and (before.keys() == after.keys() or not path):
        return [
            difference
            for key in after
            for difference in _differences(before.get(key), after[key], f"{path}.{key}" if path else key)
        ]
    return [] if before == after else [(path, after)]


def toml(value: Any) -> str:
    """A value on one line, as ``--set`` takes it and a scenario file may have it."""
    # Lists around it keep a table on its line, and no string has an end of line in it.
    lines = tomli_w.dumps({"_": [[msgspec.to_builtins(value)]]}, indent=0)
    line = lines.replace("[\n", "[").replace(",\n]", "]").replace("\n", " ")
    return line.removeprefix("_ = [[").removesuffix("]] ")
