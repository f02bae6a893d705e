"""The pytest plugin: collects ``*.scenario.toml`` files, and searches interleavings of tests marked with ``netra_sim``.

Pytest loads it in every environment that has netra-sim, so it imports the simulator only when a test needs it.
"""

import functools
import inspect
import shlex
from collections.abc import Callable, Coroutine, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from netra_sim.exceptions import NetraSimError

SUFFIX = ".scenario.toml"
SEEDS = 100
"""The seeds that a marked test runs with by default."""

_MARKER = "netra_sim"
_FINDINGS_SHOWN = 3


class SimulationFailedError(NetraSimError):
    """A test failed in a simulation. Pytest prints the message alone, since the traceback would show only this plugin."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the plugin."""
    group = parser.getgroup("netra-sim", "simulations in virtual time")
    group.addoption(
        "--netra-sim-seeds", type=int, metavar="N", help=f"Seeds for every marked test and every *{SUFFIX} file."
    )
    group.addoption("--netra-sim-seed", type=int, metavar="SEED", help="Only this seed, to repeat a failure.")
    group.addoption("--netra-sim-order", metavar="ORDER", help="With a seed: the order of steps that a failure prints.")
    group.addoption(
        "--netra-sim-step-cost", type=float, default=0.0, metavar="SECONDS", help="With an order: CPU time of a step."
    )


def pytest_configure(config: pytest.Config) -> None:
    """Describe the marker, and refuse wrong options."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(seeds={SEEDS}, seconds=60, **limits): run the async test in virtual time with many interleavings",
    )
    seeds = config.getoption("--netra-sim-seeds")
    if seeds is not None and seeds < 1:
        raise pytest.UsageError(f"--netra-sim-seeds is at least 1, and not {seeds}")
    if config.getoption("--netra-sim-order") and config.getoption("--netra-sim-seed") is None:
        raise pytest.UsageError("--netra-sim-order repeats one failure; give its --netra-sim-seed too")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Print of a failed simulation the message, and the values by which Hypothesis made it fail."""
    report = yield
    if call.excinfo is not None and isinstance(error := call.excinfo.value, SimulationFailedError):
        report.longrepr = "\n".join([str(error), *getattr(error, "__notes__", ())])
    return report


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "ScenarioFile | None":
    """Collect a scenario file."""
    return ScenarioFile.from_parent(parent, path=file_path) if file_path.name.endswith(SUFFIX) else None


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a marked test with one interleaving after another; with Hypothesis, every example of it."""
    marker = pyfuncitem.get_closest_marker(_MARKER)
    if marker is None:
        return None
    search = functools.partial(_search, pyfuncitem, marker)
    tested = getattr(pyfuncitem.obj, "hypothesis", None)
    if tested is not None and inspect.iscoroutinefunction(tested.inner_test):
        inner = tested.inner_test

        @functools.wraps(inner)
        def example(*values: Any, **named: Any) -> None:
            search(functools.partial(inner, *values, **named))

        del example.__wrapped__  # else Hypothesis takes it for the coroutine function that it wraps
        tested.inner_test = example
        return None
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        raise pytest.UsageError(f"{pyfuncitem.nodeid}: the marker {_MARKER} is for `async def` tests")
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    search(functools.partial(pyfuncitem.obj, **arguments))
    return True


def _search(item: pytest.Function, marker: pytest.Mark, test: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Run a test until a seed fails.

    Raises:
        SimulationFailedError: a seed failed.
        pytest.skip.Exception: the test skipped itself.
    """
    limits = _limits(item, marker)
    from netra_sim.exploration import explore
    from netra_sim.simulation.hosts.own_process import refused_exit

    outcomes: list[BaseException] = []

    async def main() -> None:
        try:
            await test()
        except (pytest.skip.Exception, pytest.xfail.Exception) as outcome:
            outcomes.append(outcome)

    with refused_exit():
        found = explore(main, jobs=1, **limits)
    if outcomes:
        raise outcomes[0]
    if (failure := found.failure) is not None:
        words = ["pytest", item.nodeid, "--netra-sim-seed", str(failure.seed)]
        if failure.holds:
            words += ["--netra-sim-order", failure.order]
        if failure.holds and failure.step_cost:
            words += ["--netra-sim-step-cost", f"{failure.step_cost:g}"]
        raise SimulationFailedError(f"{failure.story}\nto repeat it: {shlex.join(words)}")


def _limits(item: pytest.Function, marker: pytest.Mark) -> dict[str, Any]:
    """The arguments of `explore`, from the marker and the options."""
    option = item.config.getoption
    limits = {"seeds": SEEDS} | dict(marker.kwargs)
    if marker.args or (unknown := limits.keys() - {"seeds", "seconds", "time_limit", "spin_limit"}):
        wrong = repr(marker.args[0]) if marker.args else sorted(unknown)[0]
        raise pytest.UsageError(
            f"{item.nodeid}: {_MARKER} takes seeds, seconds, time_limit and spin_limit by name, and not {wrong}"
        )
    if (seeds := option("--netra-sim-seeds")) is not None:
        limits["seeds"] = seeds
    if (seed := option("--netra-sim-seed")) is not None:
        limits |= {"first_seed": seed, "seeds": 1}
    if (order := option("--netra-sim-order")) is not None:
        limits |= {"order": order, "step_cost": option("--netra-sim-step-cost")}
    return limits


class ScenarioFile(pytest.File):
    """A scenario file; it holds one test."""

    def collect(self) -> Iterator["ScenarioItem"]:
        """The test: all checks come out as the scenario expects."""
        yield ScenarioItem.from_parent(self, name=self.path.name.removesuffix(SUFFIX))


class ScenarioItem(pytest.Item):
    """Simulates a scenario, and fails at the first seed that comes out otherwise than the scenario expects."""

    def runtest(self) -> None:
        """Simulate and check.

        Raises:
            SimulationFailedError: a check failed unexpectedly, an expected failure did not come, or the file is no valid
                scenario.
        """
        from netra_sim.exploration import run_trial
        from netra_sim.simulation import Scenario, ScenarioError
        from netra_sim.simulation.hosts.own_process import refused_exit

        try:
            scenario = Scenario.load(self.path)
        except ScenarioError as error:
            raise SimulationFailedError(str(error)) from error
        seed, seeds = self.config.getoption("--netra-sim-seed"), self.config.getoption("--netra-sim-seeds")
        with refused_exit():
            for number in range(1, (seeds or 1) + 1) if seed is None else [seed]:
                trial = run_trial(scenario, number)
                if not trial.is_as_expected:
                    raise SimulationFailedError(_report(trial, self.path))

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """The heading of a failure."""
        return self.path, None, f"scenario {self.name}"


def _report(trial: Any, path: Path) -> str:
    from netra_sim.exploration import replay_line, shrink

    missing = sorted(set(trial.scenario.expect) - set(trial.failed))
    lines = [f"seed {trial.seed}: {name} should fail and does not" for name in missing]
    smallest = shrink(trial) if trial.failed_checks else trial
    for result in smallest.results:
        if result.check in smallest.failed_checks:
            lines.append(
                f"seed {smallest.seed}: {result.check} fails: {result.found:,} of {result.looked_at:,} {result.unit}"
            )
            lines += [f"  {finding.message}" for finding in result.findings[:_FINDINGS_SHOWN]]
    if smallest is not trial:
        lines.append(f"the smallest failing scenario has {smallest.scenario.users} users, seed {smallest.seed}")
    return "\n".join([*lines, f"to repeat it: {replay_line(str(path), trial.scenario, smallest)}"])
