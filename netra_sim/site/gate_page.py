"""The page of a gate: the decision, what was tested, what failed, how long users waited, and what that rests on."""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
from msgspec import UNSET

from netra_sim.checks import CheckResult, Measurement
from netra_sim.checks.results import FINDINGS_SHOWN, Finding
from netra_sim.history import History
from netra_sim.quantities import counted
from netra_sim.simulation import Scenario
from netra_sim.site.plain_words import in_plain_words
from netra_sim.site.run_page import run_pictures, scenario_in_words
from netra_sim.site.safe_html import SafeHtml
from netra_sim.site.scripts import FILTER, live_if_used
from netra_sim.studies.systems import system_checks_table
from netra_sim.tables import Html, render, table
from netra_sim.version import __version__

FAILURES_REPEATED = 5
"""The most seeds that failed whose commands the page names."""


class SeedRun(msgspec.Struct, frozen=True, kw_only=True):
    """What happened with one seed.

    Attributes:
        seed: of the simulation.
        digest: of its history.
        failed: the checks that failed unexpectedly.
        figures: see `netra_sim.studies.systems.request_figures`.
        command: repeats the simulation.
        results: of all checks.
    """

    seed: int
    digest: str
    failed: list[str]
    figures: dict[str, float]
    command: str
    results: list[CheckResult]


class GateOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate found.

    Attributes:
        scenario: what was simulated.
        runs: one for each seed.
        shown: the history that the pictures show: of the first seed that failed, or else of the first one.
        command: makes the same folder.
        search: searches more seeds, and shrinks a failure.
    """

    scenario: Scenario
    runs: list[SeedRun]
    shown: History
    command: str
    search: str

    @property
    def failed(self) -> dict[str, list[int]]:
        """The checks that failed unexpectedly, each with the seeds."""
        found: dict[str, list[int]] = {}
        for run in self.runs:
            for name in run.failed:
                found.setdefault(name, []).append(run.seed)
        return found

    @property
    def decision(self) -> Literal["PASS", "FAIL"]:
        """Whether the system passed."""
        return "FAIL" if self.failed else "PASS"

    @property
    def headline(self) -> str:
        """The decision in one line."""
        name, users, seeds = self.scenario.name, len(self.scenario.present_users), len(self.runs)
        size = f"{counted(users, 'user')} and {counted(self.scenario.requests, 'request')} each"
        if not self.failed:
            passed = sum(one.state == "passed" for one in self.merged)
            return f"PASS: {name}: {counted(passed, 'check')} passed with {counted(seeds, 'seed')}, {size}"
        with_failure = sum(bool(run.failed) for run in self.runs)
        failed = (
            f"{counted(len(self.failed), 'check')} failed with {with_failure:,} of {counted(seeds, 'seed')}, {size}"
        )
        return f"FAIL: {name}: {failed}: {', '.join(self.failed)}"

    @property
    def reasons(self) -> list[str]:
        """For each check that failed unexpectedly its first finding, and how often it failed."""
        reasons = []
        for name, seeds in self.failed.items():
            results = [one for run in self.runs for one in run.results if one.check == name and one.state == "failed"]
            total = sum(one.found for one in results)
            more = f"; {total - 1:,} more findings" if total > 1 else ""
            reasons.append(f"{name}: {results[0].findings[0].message} (seed {seeds[0]}{more})")
        return reasons

    @property
    def merged(self) -> list[CheckResult]:
        """One result for each check over all seeds: all findings, all that was examined, and the worst figures."""
        return [_merged(of_check, self.runs) for of_check in zip(*(run.results for run in self.runs), strict=True)]

    @property
    def repeats(self) -> list[SeedRun]:
        """The first seeds that failed; the first seed if none did."""
        return [run for run in self.runs if run.failed][:FAILURES_REPEATED] or self.runs[:1]


def gate_page(outcome: GateOutcome) -> Html:
    """The page, which loads nothing and is complete without JavaScript."""
    history = outcome.shown
    safe = SafeHtml()
    pictures = [safe(picture._repr_html_()) for picture in run_pictures(history)]
    return render(
        "site/templates/gate.html",
        scripts=[FILTER, *live_if_used(pictures)],
        title=f"{outcome.decision}: {outcome.scenario.name}",
        outcome=outcome,
        shown_seed=history.meta["seed"],
        tested=_tested(outcome.scenario),
        told=_told(outcome),
        checks=safe(system_checks_table(f"With {counted(len(outcome.runs), 'seed')}", history, outcome.merged)),
        seeds=safe(_seeds_table(outcome.runs)),
        pictures=pictures,
        assumptions=_assumptions(outcome),
        version=__version__,
    )


def seed_rows(runs: Iterable[SeedRun]) -> list[tuple[str, ...]]:
    """For each seed: what failed, how many requests were answered, and the p95 of first piece and last event."""
    return [
        (
            str(run.seed),
            ", ".join(run.failed) or "passed",
            f"{run.figures['answered']:,.0f} of {run.figures['requests']:,.0f}",
            _seconds(run.figures["first"]),
            _seconds(run.figures["last"]),
        )
        for run in runs
    ]


def _told(outcome: GateOutcome) -> list[str]:
    """What failed unexpectedly, in everyday words."""
    count, failed = len(outcome.runs), outcome.failed
    results = [one for one in outcome.merged if one.check in failed]
    return [f"{in_plain_words(one)}. With {len(failed[one.check]):,} of {counted(count, 'seed')}" for one in results]


SEED_HEADER = ("Seed", "Unexpected failures", "Answered", "First piece, p95", "Last event, p95")


def _seeds_table(runs: Sequence[SeedRun]) -> Html:
    return table("Each seed, from the due time of a request on", SEED_HEADER, seed_rows(runs))


def _merged(results: tuple[CheckResult, ...], runs: Sequence[SeedRun]) -> CheckResult:
    reasons = dict.fromkeys(one.inconclusive for one in results if one.inconclusive)
    figures: dict[str, Measurement] = {}
    for one in results:
        for name, measured in one.measured.items():
            known = figures.get(name)
            figures[name] = measured if known is None else _worse(known, measured)
    return msgspec.structs.replace(
        results[0],
        looked_at=sum(one.looked_at for one in results),
        found=sum(one.found for one in results),
        findings=tuple(
            _with_seed(found, run) for one, run in zip(results, runs, strict=True) for found in one.findings
        )[:FINDINGS_SHOWN],
        measured=figures,
        inconclusive="; ".join(reasons) if all(one.state != "passed" for one in results) else "",
    )


def _with_seed(finding: Finding, run: SeedRun) -> Finding:
    return msgspec.structs.replace(finding, message=f"seed {run.seed}: {finding.message}")


def _worse(one: Measurement, other: Measurement) -> Measurement:
    choose = min if one.better == "higher" else max
    return choose(one, other, key=lambda measured: measured.value)


def _tested(scenario: Scenario) -> dict[str, str]:
    system, client = scenario.system, scenario.client
    assert system is not UNSET  # noqa: S101 - a gate refuses scenarios without one
    assert client is not UNSET  # noqa: S101 - a scenario with a system has one
    tested = {
        "Scenario": scenario_in_words(scenario.name, scenario.description),
        "System": f"{system.app or system.main} in {system.folder}, {counted(system.processes, 'process', 'processes')}",
        "Clients": client.name,
        "Users": f"{len(scenario.present_users):,}, with {scenario.requests:,} requests in all",
        "Services": ", ".join(
            f"{name} ({service.__struct_config__.tag})" for name, service in scenario.stand_ins.items()
        )
        or "none",
        "Faults": ", ".join(
            f"{fault.name} from {fault.at:g} to {fault.at + fault.lasts:g} s" for fault in scenario.faults
        )
        or "none",
    }
    if scenario.expect:
        tested["Failures that are expected"] = ", ".join(scenario.expect)
    return tested


def _assumptions(outcome: GateOutcome) -> list[str]:
    scenario, count = outcome.scenario, len(outcome.runs)
    cost = scenario.platform.step_cost
    lines = [
        "The system ran unmodified, in virtual time, over a simulated network; its users and its services were simulated.",
        f"Each step of its event loop took {cost * 1000:g} ms of CPU time, as the scenario says."
        if cost
        else "Its code took no time: the waits are those of the network and the services. To count the time of the "
        "code, set platform.step_cost in the scenario.",
        "The times of the network and of the services are those of the scenario, and not of a production system.",
    ]
    if scenario.stand_ins:
        lines.append("Stand-ins took the place of its services. They repeat the marks of a question in its answer.")
    if outcome.decision == "PASS":
        share = min(1.0, 3 / count)
        lines.append(
            f"None of {count:,} seeds failed, so that fewer than {share:.0%} of all seeds fail (95 % confidence)."
            if share < 1
            else f"No failure with {counted(count, 'seed')} says little about the others; --seeds takes more."
        )
    return lines


def _seconds(value: float) -> str:
    return "none arrived" if value != value else f"{value * 1000:,.0f} ms"
