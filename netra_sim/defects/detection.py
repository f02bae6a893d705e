"""The detection matrix: every check against every violation and against the clean runtime, over many seeds."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from netra_sim.checks import check
from netra_sim.defects.conformance import experiments
from netra_sim.defects.seeded.defect import VIOLATIONS, unheard
from netra_sim.exploration.pool import in_order
from netra_sim.simulation import Scenario, simulate


class Detected(msgspec.Struct, frozen=True):
    """One violation's row.

    Attributes:
        violation: its name.
        incidents: ids of the failures that it brings back.
        symptom: what it does.
        caught: by the name of each check that failed under it, in how many of the seeds.
    """

    violation: str
    incidents: tuple[str, ...]
    symptom: str
    caught: dict[str, int]


class Detection(msgspec.Struct, frozen=True):
    """What the checks can see.

    Attributes:
        seeds: how many seeds each violation was tried with.
        checks: the names of all checks and experiments.
        rows: one for each violation.
        clean: by the name of each check that failed on the clean runtime, in how many simulations.
    """

    seeds: int
    checks: tuple[str, ...]
    rows: tuple[Detected, ...]
    clean: dict[str, int]

    @property
    def undetected(self) -> tuple[str, ...]:
        """The violations that no check caught."""
        return tuple(row.violation for row in self.rows if not row.caught)

    @property
    def false_alarms(self) -> tuple[str, ...]:
        """The checks that failed on the clean runtime."""
        return tuple(name for name in self.checks if self.clean.get(name))

    @property
    def by_incident(self) -> dict[str, dict[str, int]]:
        """For each incident the checks that caught a violation of it, with the most seeds."""
        found: dict[str, dict[str, int]] = {}
        for row in self.rows:
            for incident in row.incidents:
                own = found.setdefault(incident, {})
                for name, count in row.caught.items():
                    own[name] = max(count, own.get(name, 0))
        return found


def detect(
    seeds: Sequence[int],
    *,
    violations: Sequence[str] = (),
    jobs: int | None = None,
    on_trial: Callable[[], None] = lambda: None,
) -> Detection:
    """Try every check against violations and against the clean runtime, in the violations' own scenarios.

    The experiments take no seed: one that catches a violation counts for all of them.

    Args:
        seeds: with which to simulate.
        violations: names; all unless given.
        jobs: processes; all cores by default. The outcome does not depend on it.
        on_trial: called for each violation, and each scenario of the clean runtime, that is done.

    Raises:
        KeyError: there is no such violation.
    """
    chosen = [VIOLATIONS[name] for name in violations or VIOLATIONS]
    scenarios = {one.scenario.name: one.name for one in chosen}
    calls = [(one.name, tuple(seeds), True) for one in chosen] + [
        (name, tuple(seeds), False) for name in scenarios.values()
    ]
    tried = []
    for outcome in in_order(_try, calls, jobs):
        tried.append(outcome)
        on_trial()
    clean: dict[str, int] = {}
    for outcome in tried[len(chosen) :]:
        for name, count in outcome.items():
            if count:
                clean[name] = clean.get(name, 0) + count
    # The experiments know no scenario, so once is enough on the clean runtime: they count for every simulation.
    clean |= {name: count for name, count in _experimented(len(seeds) * len(scenarios)).items() if count}
    rows = tuple(
        Detected(one.name, one.incidents, one.symptom, {name: count for name, count in outcome.items() if count})
        for one, outcome in zip(chosen, tried, strict=False)
    )
    return Detection(len(seeds), tuple(tried[0]), rows, clean)


def _try(name: str, seeds: Sequence[int], is_switched_on: bool) -> Mapping[str, int]:
    """How many times each check failed: over the seeds for those of histories, and at once for the experiments."""
    chosen = VIOLATIONS[name]
    if not is_switched_on:
        return _count(chosen.scenario, seeds)
    with chosen.switched_on(), unheard():
        return _count(chosen.scenario, seeds) | _experimented(len(seeds))


def _count(scenario: Scenario, seeds: Sequence[int]) -> dict[str, int]:
    failed: dict[str, int] = {}
    for seed in seeds:
        for result in check(simulate(scenario, seed)):
            failed[result.check] = failed.get(result.check, 0) + (result.state == "failed")
    return failed


def _experimented(simulations: int) -> dict[str, int]:
    return {result.check: simulations * (result.state == "failed") for result in experiments()}
