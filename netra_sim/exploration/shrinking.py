"""`shrink` reduces a failing scenario to a smaller one that fails too."""

from collections.abc import Callable, Iterator

import msgspec

from netra_sim.exploration.trial import Trial, run_trial
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.simulation import Scenario

SEEDS_PER_STEP = 8
"""Seeds tried for each smaller scenario: a race may need several seeds to show, and more so in a small scenario."""


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
