"""The page of one run: what the checks found and measured, and pictures, the slowest request step by step among them."""

from collections.abc import Sequence
from typing import NamedTuple

from netra_sim.charts import (
    Measure,
    Picture,
    around_faults,
    isolation_matrix,
    latency_ecdfs,
    request_endings,
    resources_over_time,
    work_after_leaving,
    worst_run_timeline,
)
from netra_sim.checks import CheckResult
from netra_sim.history import History, Kind
from netra_sim.simulation import Scenario
from netra_sim.site.plain_words import in_plain_words
from netra_sim.site.safe_html import SafeHtml
from netra_sim.site.scripts import FILTER, live_if_used
from netra_sim.studies.systems import allowed_after_leaving, objective_for, request_figures, system_checks_table
from netra_sim.tables import Html, render
from netra_sim.version import __version__


class RunPage(NamedTuple):
    """What the page says besides what the history holds.

    Attributes:
        name: what was run or checked.
        command: the command that writes the page again.
        assumptions: what the figures rest on, in sentences.
    """

    name: str
    command: str
    assumptions: Sequence[str] = ()


def run_page(history: History, results: Sequence[CheckResult], about: RunPage) -> Html:
    """The page, which loads nothing and is complete without JavaScript."""
    failed = [one for one in results if one.state == "failed"]
    safe = SafeHtml()
    pictures = [safe(picture._repr_html_()) for picture in run_pictures(history)]
    return render(
        "site/templates/run.html",
        scripts=[FILTER, *live_if_used(pictures)],
        title=f"{about.name}: {'failed' if failed else 'passed'}",
        about=about,
        headline=_headline(results),
        failed=failed,
        told=[in_plain_words(one) for one in failed],
        reasons=[f"{one.check}: {one.findings[0].message}" for one in failed],
        facts=_facts(history),
        checks=safe(system_checks_table("What the checks found", history, results)),
        pictures=pictures,
        version=__version__,
    )


def run_pictures(history: History) -> list[Picture]:
    """The pictures of one run, those left out for which the history has nothing."""
    kinds = set(history.numbers["kind"].tolist())
    pictures = []
    if Kind.RECEIVED in kinds or Kind.SENT in kinds:
        pictures.append(isolation_matrix(history))
    if {Kind.PUBLISHED, Kind.RECEIVED} <= kinds:
        pictures.append(latency_ecdfs(around_faults(history), history.objectives().delivery_p95, Measure.DELIVERY))
    if {Kind.REQUESTED, Kind.RECEIVED} <= kinds:
        measure = Measure.FIRST_CONTENT if Kind.FIRST_CONTENT in kinds else Measure.FIRST_EVENT
        pictures.append(latency_ecdfs({"all requests": history}, objective_for(history, measure), measure))
        pictures.append(request_endings(history, history.objectives().response_p95))
        pictures.append(worst_run_timeline(history))
    if Kind.LEFT in kinds:
        pictures.append(work_after_leaving(history, allowed_after_leaving(history)))
    if history.meta.get("scenario", {}).get("resources"):
        pictures.append(resources_over_time(history))
    return pictures


def _headline(results: Sequence[CheckResult]) -> str:
    states = [one.state for one in results]
    failed, passed = states.count("failed"), states.count("passed")
    return (
        f"{failed:,} of {failed + passed:,} checks failed"
        if failed
        else f"All {passed:,} checks that could judge passed"
    )


_SOURCES = {
    "simulation": "a simulation, in virtual time",
    "server": "a load run, in real time",
    "system": "the clients of a system under test",
    "log": "another system, in its log",
}


def scenario_in_words(name: str, description: str) -> str:
    """A scenario's name, and its description unless that is the default: the default need not be true of it."""
    return name if description == Scenario().description and name != Scenario().name else f"{name}: {description}"


def _facts(history: History) -> dict[str, str]:
    meta, scenario = history.meta, history.meta.get("scenario") or {}
    facts = {"Recorded by": _SOURCES.get(meta.get("source", ""), "an unnamed source")}
    if scenario:
        facts["Scenario"] = scenario_in_words(scenario["name"], scenario["description"])
        facts["Users"] = f"{scenario['users']:,}"
        faults = [f"{one['kind']} from {one['at']:g} s for {one['lasts']:g} s" for one in scenario.get("faults", ())]
        facts["Faults"] = ", ".join(faults) or "none"
    if meta.get("seed") is not None:
        facts["Seed"] = str(meta["seed"])
    figures = request_figures(history)
    if figures["requests"]:
        facts["Requests"] = f"{figures['requests']:,}, of which {figures['answered']:,} were answered"
    facts["Records"] = f"{len(history):,}, digest {history.digest()[:16]}"
    return facts
