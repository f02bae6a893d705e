"""`explore` simulates many seeds of one scenario until one fails a check; `shrink` finds a smaller failing scenario."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing

import msgspec

from netra_sim.exploration.pool import in_order
from netra_sim.exploration.trial import Trial, run_trial
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.simulation import Scenario

SEEDS_PER_STEP = 8
"""Seeds tried for each smaller scenario: a race may need several seeds to show, and more so in a small scenario."""


def explore(
    scenario: Scenario,
    *,
    first_seed: int = 1,
    seeds: int = 1000,
    seconds: float = 60.0,
    jobs: int | None = None,
    factory_class: type[ExecutionEngineFactory] = ExecutionEngineFactory,
    on_trial: Callable[[], None] = lambda: None,
) -> Trial | None:
    """Simulate a scenario with one seed after another; each seed gives other interleavings.

    Args:
        scenario: the scenario.
        first_seed: the first seed.
        seeds: the most seeds to try.
        seconds: wall-clock time after which the search stops.
        jobs: processes; all cores by default.
        factory_class: makes the engines.
        on_trial: called after every trial.

    Returns:
        The failing trial with the lowest seed, or None if there was none within the budget.
    """
    ends = time.monotonic() + seconds
    calls = ((scenario, seed, factory_class) for seed in range(first_seed, first_seed + seeds))
    with closing(in_order(run_trial, calls, jobs)) as trials:
        for trial in trials:
            on_trial()
            if trial.failed_checks:
                return trial
            if time.monotonic() > ends:
                return None
    return None


def shrink(
    trial: Trial,
    *,
    factory_class: type[ExecutionEngineFactory] = ExecutionEngineFactory,
    on_trial: Callable[[], None] = lambda: None,
) -> Trial:
    """Reduce a failing scenario: fewer users, faults, requests, tabs, seconds, while one of its checks still fails.

    The search is greedy: it applies the first reduction that still fails, large ones first, and starts again, until no
    reduction fails any more.
    """
    smallest = trial
    while True:
        smaller = _first_failing(smallest, set(trial.failed_checks), factory_class, on_trial)
        if smaller is None:
            return smallest
        smallest = smaller


def _first_failing(
    trial: Trial, checks: set[str], factory_class: type[ExecutionEngineFactory], on_trial: Callable[[], None]
) -> Trial | None:
    for smaller in _reductions(trial.scenario):
        for seed in range(trial.seed, trial.seed + SEEDS_PER_STEP):
            tried = run_trial(smaller, seed, factory_class)
            on_trial()
            if checks & set(tried.failed_checks):
                return tried
    return None


def _reductions(scenario: Scenario) -> Iterator[Scenario]:
    replace = msgspec.structs.replace
    for users in _smaller(scenario.users):
        yield replace(scenario, users=users)
    for index in range(len(scenario.faults)):
        yield replace(scenario, faults=scenario.faults[:index] + scenario.faults[index + 1 :])
    workload = scenario.workload
    for runs in _smaller(workload.runs_per_user):
        yield replace(scenario, workload=replace(workload, runs_per_user=runs))
    for tabs in _smaller(workload.tabs_per_user):
        yield replace(scenario, workload=replace(workload, tabs_per_user=tabs))
    if workload.window > 1.0:
        yield replace(scenario, workload=replace(workload, window=round(workload.window / 2, 6)))


def _smaller(number: int) -> Iterator[int]:
    """1, 2, 3, 5, 8, ... below a number."""
    step = 1
    while step < number:
        yield step
        step = max(step + 1, step * 8 // 5)
