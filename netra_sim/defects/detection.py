"""The detection matrix: which checks fail with each seeded defect and with the clean runtime, over many seeds."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from netra_sim.checks import check
from netra_sim.defects.conformance import conformance_checks
from netra_sim.defects.kept_outcomes import Call, KeptOutcomes
from netra_sim.defects.seeded import DEFECTS, silenced
from netra_sim.exploration.pool import in_order
from netra_sim.simulation import Scenario, simulate


class Detected(msgspec.Struct, frozen=True):
    """The row of one defect in the detection matrix.

    Attributes:
        defect: its name.
        incidents: ids of the incidents that it brings back.
        symptom: what it does.
        caught: for each check that failed with it, with how many of the seeds.
    """

    defect: str
    incidents: tuple[str, ...]
    symptom: str
    caught: dict[str, int]


class Detection(msgspec.Struct, frozen=True):
    """The detection matrix.

    Attributes:
        seeds: how many seeds each defect was simulated with.
        checks: the names of all checks and conformance checks.
        rows: one for each defect.
        clean: for each check that failed with the clean runtime, in how many simulations.
        reused: how many of the simulations an earlier run of the same code made.
        simulations: how many there are.
    """

    seeds: int
    checks: tuple[str, ...]
    rows: tuple[Detected, ...]
    clean: dict[str, int]
    reused: int = 0
    simulations: int = 0

    @property
    def origin(self) -> str:
        """Which of the simulations this run made, and which an earlier run of the same code, in a sentence."""
        if not self.reused:
            return ""
        return (
            f"{self.reused} of {self.simulations} simulations were made by an earlier run of the same code, interpreter and "
            "packages on this machine, and their results were reused; NETRA_SIM_CACHE=off makes them again."
        )

    @property
    def undetected(self) -> tuple[str, ...]:
        """The defects that no check caught."""
        return tuple(row.defect for row in self.rows if not row.caught)

    @property
    def false_alarms(self) -> tuple[str, ...]:
        """The checks that failed with the clean runtime."""
        return tuple(name for name in self.checks if self.clean.get(name))

    @property
    def by_incident(self) -> dict[str, dict[str, int]]:
        """For each incident the checks that caught one of its defects, and with how many seeds at most."""
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
    cache: Path | None = None,
) -> Detection:
    """Run all checks with each defect and with the clean runtime, in the scenarios of the defects.

    Conformance checks have no seed: one that catches a defect counts for all seeds.

    Args:
        seeds: of the simulations.
        defects: names; all by default.
        jobs: processes; all cores by default. The result does not depend on it.
        on_trial: called after each defect, and after each scenario of the clean runtime.
        cache: a folder that keeps outcomes between runs of the same code, such as that of `cache_folder`; by default nothing
            is kept.

    Raises:
        KeyError: there is no such defect.
    """
    chosen = [DEFECTS[name] for name in defects or DEFECTS]
    scenarios = {one.scenario.name: one.name for one in chosen}
    calls = [(one.name, tuple(seeds), True) for one in chosen] + [
        (name, tuple(seeds), False) for name in scenarios.values()
    ]
    kept = KeptOutcomes(cache)
    known = {call: outcome for call in calls if (outcome := kept.get(call)) is not None}
    left = [call for call in calls if call not in known]
    reused = len(seeds) * len(known)
    for _ in known:
        on_trial()
    made: dict[Call, Mapping[str, int]] = {}
    for call, failures in zip(left, in_order(_try, left, jobs), strict=True):
        made[call] = failures
        on_trial()
    kept.keep(made)
    tried = [known[call] if call in known else made[call] for call in calls]
    # Conformance checks have no scenario: one pass with the clean runtime counts for every simulation.
    clean = Counter(_conformance_failures(len(seeds) * len(scenarios)))
    for failures in tried[len(chosen) :]:
        clean.update(failures)
    rows = tuple(
        Detected(one.name, one.incidents, one.symptom, {name: count for name, count in failures.items() if count})
        for one, failures in zip(chosen, tried, strict=False)
    )
    return Detection(len(seeds), tuple(tried[0]), rows, dict(+clean), reused, len(seeds) * len(calls))


def _try(name: str, seeds: Sequence[int], is_switched_on: bool) -> Mapping[str, int]:
    """How many seeds each check failed with; conformance checks run only with the defect switched on."""
    chosen = DEFECTS[name]
    if not is_switched_on:
        return _failures(chosen.scenario, seeds)
    with chosen.switched_on(), silenced():
        return _failures(chosen.scenario, seeds) | _conformance_failures(len(seeds))


def _failures(scenario: Scenario, seeds: Sequence[int]) -> dict[str, int]:
    failed: dict[str, int] = {}
    for seed in seeds:
        for result in check(simulate(scenario, seed)):
            failed[result.check] = failed.get(result.check, 0) + (result.state == "failed")
    return failed


def _conformance_failures(simulations: int) -> dict[str, int]:
    return {result.check: simulations * (result.state == "failed") for result in conformance_checks()}
