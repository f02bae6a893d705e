"""`shrink` reduces a failing scenario to a smaller one that fails too, and its order of steps to the fewest holds."""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from netra_sim.exploration.comparison import PairOfRuns, compared
from netra_sim.exploration.holds import sentence, shrink_holds
from netra_sim.exploration.trial import Trial, logged_run, run_trial
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.simulation import Scenario
from netra_sim.simulation.schedule import Hold, holds_text
from netra_sim.simulation.schedule_log import ScheduleLog

SEEDS_PER_STEP = 8
"""Seeds tried for each smaller scenario: a race may need several seeds to show, and more so in a small scenario."""

MOST_RUNS = 600
"""Simulations after which no smaller scenario is looked for; the order of steps has a budget of its own."""

FEW_USERS, OTHER_SEEDS = 3, 3
"""With more users left than these, so many other failing seeds are tried: one whose race needs fewer of them."""

MOST_STEPS = 3_000
"""Steps above which the order is not shrunk: too many holds for the runs that this may take."""


def shrink(
    trial: Trial,
    *,
    factory_class: type[ExecutionEngineFactory] = ExecutionEngineFactory,
    on_trial: Callable[[], None] = lambda: None,
) -> Trial:
    """Reduce a failing scenario while one of its checks still fails: users, faults, requests, tabs, seconds, the order.

    The search is greedy: it applies the first reduction that still fails, large ones first, and starts again, until no
    reduction fails any more. All draws of a user are named by the user, so that those who race do so without the others.
    """
    checks, runs = set(trial.failed_checks), 0

    def tried(scenario: Scenario, seed: int, log: ScheduleLog | None = None) -> Trial:
        nonlocal runs
        runs += 1
        result = run_trial(scenario, seed, factory_class, trial.ignored, log)
        on_trial()
        return result

    def fails(scenario: Scenario, seed: int) -> Trial | None:
        result = tried(scenario, seed) if runs < MOST_RUNS else None
        return result if result is not None and checks & set(result.failed_checks) else None

    trial, holds = _least_holds(_reduced(_least_users(trial, fails), fails), checks, tried)
    return msgspec.structs.replace(trial, comparison=_compared(trial, checks, holds, factory_class))


Fails = Callable[[Scenario, int], Trial | None]
"""The trial of a scenario and a seed if it fails in the same way, else None."""


def _least_users(trial: Trial, fails: Fails) -> Trial:
    """The trial with the fewest users, with its own seed or with another one that fails."""
    least, seed = trial, trial.seed
    for _ in range(OTHER_SEEDS):
        found = _with_fewer_users(trial, fails)
        if len(found.scenario.present_users) < len(least.scenario.present_users):
            least = found
        if len(least.scenario.present_users) <= FEW_USERS:
            break
        others = (fails(trial.scenario, seed := seed + 1) for _ in range(5 * SEEDS_PER_STEP))
        other = next(filter(None, others), None)
        if other is None:
            break
        trial = other
    return least


def _with_fewer_users(trial: Trial, fails: Fails) -> Trial:
    """Leave out halves of the users, then quarters, down to single ones, as long as it fails with the same seed."""
    size = len(trial.scenario.present_users)
    while size > 1:
        size = (size + 1) // 2
        users = tuple(trial.scenario.present_users)
        for start in range(0, len(users), size):
            present, part = set(trial.scenario.present_users), set(users[start : start + size])
            for kept in (present & part, present - part):
                if 0 < len(kept) < len(present):
                    fewer = msgspec.structs.replace(trial.scenario, only_users=tuple(sorted(kept)))
                    if (found := fails(fewer, trial.seed)) is not None:
                        trial = found
                        break
        size = min(size, len(trial.scenario.present_users))
    return trial


def _reduced(trial: Trial, fails: Fails) -> Trial:
    while (smaller := _first_failing(trial, fails)) is not None:
        trial = smaller
    return trial


def _first_failing(trial: Trial, fails: Fails) -> Trial | None:
    for smaller in _reductions(trial.scenario):
        for seed in range(trial.seed, trial.seed + SEEDS_PER_STEP):
            if (result := fails(smaller, seed)) is not None:
                return result
    return None


def _reductions(scenario: Scenario) -> Iterator[Scenario]:
    replace = msgspec.structs.replace
    platform = scenario.platform
    if (platform.order, platform.step_cost) != ("random", 0.0):
        yield replace(scenario, platform=replace(platform, order="random", step_cost=0.0))
    present = tuple(scenario.present_users)
    for count in _smaller(len(present)):
        is_all = len(present) == scenario.users
        yield replace(scenario, users=count) if is_all else replace(scenario, only_users=present[:count])
    if platform.step_cost:
        yield replace(scenario, platform=replace(platform, step_cost=0.0))
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


def _least_holds(trial: Trial, checks: set[str], tried: Callable[..., Trial]) -> tuple[Trial, tuple[Hold, ...] | None]:
    """The trial in asyncio's order with the fewest holds, if few enough steps ran to look for them, and these holds."""
    if trial.scenario.platform.order == "fifo":  # the users take turns, which holds cannot say
        return trial, None
    log = ScheduleLog()
    tried(trial.scenario, trial.seed, log)
    if len(log.steps) > MOST_STEPS:
        return trial, None
    holds = shrink_holds(
        log.holds(), lambda held: bool(checks & set(tried(_ordered(trial, held).scenario, trial.seed).failed_checks))
    )
    if not holds:
        why = "" if holds is None else sentence((), log, trial.scenario.platform.step_cost)
        return msgspec.structs.replace(trial, sentence=why), holds
    log = ScheduleLog()
    least = tried(_ordered(trial, holds).scenario, trial.seed, log)
    return msgspec.structs.replace(least, sentence=sentence(holds, log, least.scenario.platform.step_cost)), holds


def _ordered(trial: Trial, holds: Sequence[Hold]) -> Trial:
    """The trial in asyncio's order with these holds, not run."""
    platform = msgspec.structs.replace(trial.scenario.platform, order=holds_text(holds))
    return msgspec.structs.replace(trial, scenario=msgspec.structs.replace(trial.scenario, platform=platform))


def _compared(
    trial: Trial,
    checks: set[str],
    holds: tuple[Hold, ...] | None,
    factory_class: type[ExecutionEngineFactory],
) -> PairOfRuns | None:
    if trial.scenario.platform.order == "fifo":  # this loop keeps no log
        return None
    failing = logged_run(trial, factory_class, checks, holds or None)
    if holds == ():
        return PairOfRuns(failing)
    return compared(failing, lambda held: logged_run(_ordered(trial, held), factory_class, checks, held))
