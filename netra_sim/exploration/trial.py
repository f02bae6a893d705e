"""One trial: a scenario simulated with a seed, and checked."""

import shlex
from typing import Any

import msgspec
import tomli_w

from netra_sim.checks import CheckResult, check
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.simulation import Scenario, simulate


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One simulation with the results of its checks.

    Attributes:
        scenario: the scenario.
        seed: of the simulation.
        digest: of the history.
        results: of all checks.
    """

    scenario: Scenario
    seed: int
    digest: str
    results: tuple[CheckResult, ...]

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the checks that failed."""
        return tuple(result.check for result in self.results if result.state == "failed")

    @property
    def failed_checks(self) -> tuple[str, ...]:
        """The checks that failed unexpectedly. A fault that hit nothing ("faults-acted") is no failure of the system."""
        return tuple(name for name in self.failed if name not in (*self.scenario.expect, "faults-acted"))

    @property
    def is_as_expected(self) -> bool:
        """Whether exactly the expected checks failed."""
        return set(self.failed) == set(self.scenario.expect)


def run_trial(
    scenario: Scenario, seed: int, factory_class: type[ExecutionEngineFactory] = ExecutionEngineFactory
) -> Trial:
    """Simulate a scenario and run all checks on its history."""
    history = simulate(scenario, seed, factory_class=factory_class)
    return Trial(scenario=scenario, seed=seed, digest=history.digest(), results=tuple(check(history)))


def replay_line(origin: str, original: Scenario, trial: Trial) -> str:
    """The one command that repeats a trial.

    Args:
        origin: the name or the file of the original scenario.
        original: the scenario as it is there.
        trial: the trial to repeat.
    """
    parts = ["netra-sim", "simulate", origin, "--seed", str(trial.seed)]
    before, after = (msgspec.to_builtins(scenario) for scenario in (original, trial.scenario))
    for path, value in _differences(before, after, ""):
        parts += ["--set", f"{path}={toml(value)}"]
    return shlex.join(parts)


def _differences(before: Any, after: Any, path: str) -> list[tuple[str, Any]]:
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys():
        return [
            difference
            for key in before
            for difference in _differences(before[key], after[key], f"{path}.{key}" if path else key)
        ]
    return [] if before == after else [(path, after)]


def toml(value: Any) -> str:
    """A value on one line, as ``--set`` takes it and a scenario file may have it."""
    # Lists around it keep a table on its line, and no string has an end of line in it.
    lines = tomli_w.dumps({"_": [[msgspec.to_builtins(value)]]}, indent=0)
    line = lines.replace("[\n", "[").replace(",\n]", "]").replace("\n", " ")
    return line.removeprefix("_ = [[").removesuffix("]] ")
