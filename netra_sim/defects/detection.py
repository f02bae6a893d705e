"""The detection matrix: every check against every defect and against the clean runtime, over many seeds."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from netra_sim.checks import check
from netra_sim.defects.conformance import conformance_checks
from netra_sim.defects.seeded import DEFECTS, silenced
from netra_sim.exploration.pool import in_order
from netra_sim.simulation import Scenario, simulate


class Detected(msgspec.Struct, frozen=True):
    """One defect's row.

    Attributes:
        defect: its name.
        incidents: ids of the failures that it brings back.
        symptom: what it does.
        caught: by the name of each check that failed under it, in how many of the seeds.
    """

    defect: str
    incidents: tuple[str, ...]
    symptom: str
    caught: dict[str, int]


class Detection(msgspec.Struct, frozen=True):
    """What the checks can see.

    Attributes:
        seeds: how many seeds each defect was tried with.
        checks: the names of all checks and conformance checks.
        rows: one for each defect.
        clean: by the name of each check that failed on the clean runtime, in how many simulations.
    """

    seeds: int
    checks: tuple[str, ...]
    rows: tuple[Detected, ...]
    clean: dict[str, int]

    @property
    def undetected(self) -> tuple[str, ...]:
        """The defects that no check caught."""
        return tuple(row.defect for row in self.rows if not row.caught)

    @property
    def false_alarms(self) -> tuple[str, ...]:
        """The checks that failed on the clean runtime."""
        return tuple(name for name in self.checks if self.clean.get(name))

    @property
    def by_incident(self) -> dict[str, dict[str, int]]:
        """For each incident the checks that caught a defect of it, with the most seeds."""
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
    defects: Sequence[str] = (),
    jobs: int | None = None,
    on_trial: Callable[[], None] = lambda: None,
) -> Detection:
    """Try every check against defects and against the clean runtime, in the defects' own scenarios.

    The conformance checks take no seed: one that catches a defect counts for all of them.

    Args:
        seeds: with which to simulate.
        defects: names; all unless given.
        jobs: processes; all cores by default. The outcome does not depend on it.
        on_trial: called for each defect, and each scenario of the clean runtime, that is done.

    Raises:
        KeyError: there is no such defect.
    """
    chosen = [DEFECTS[name] for name in defects or DEFECTS]
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
    # The conformance checks know no scenario, so once is enough on the clean runtime: they count for every simulation.
    clean |= {name: count for name, count in _experimented(len(seeds) * len(scenarios)).items() if count}
    rows = tuple(
        Detected(one.name, one.incidents, one.symptom, {name: count for name, count in outcome.items() if count})
        for one, outcome in zip(chosen, tried, strict=False)
    )
    return Detection(len(seeds), tuple(tried[0]), rows, clean)


def _try(name: str, seeds: Sequence[int], is_switched_on: bool) -> Mapping[str, int]:
    """How many times each check failed: over the seeds for those of histories, and at once for the conformance checks."""
    chosen = DEFECTS[name]
    if not is_switched_on:
        return _count(chosen.scenario, seeds)
    with chosen.switched_on(), silenced():
        return _count(chosen.scenario, seeds) | _experimented(len(seeds))


def _count(scenario: Scenario, seeds: Sequence[int]) -> dict[str, int]:
    failed: dict[str, int] = {}
    for seed in seeds:
        for result in check(simulate(scenario, seed)):
            failed[result.check] = failed.get(result.check, 0) + (result.state == "failed")
    return failed


def _experimented(simulations: int) -> dict[str, int]:
    return {result.check: simulations * (result.state == "failed") for result in conformance_checks()}
