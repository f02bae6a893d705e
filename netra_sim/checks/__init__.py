"""Checks: each examines a History of any source and returns its findings and figures."""

from collections.abc import Iterable

from netra_sim.checks.answers import answers
from netra_sim.checks.cleanup import nothing_left
from netra_sim.checks.definition import Check, CheckError, define
from netra_sim.checks.delivery import delivery, truthfulness
from netra_sim.checks.events import completion, critical_events, every_run_ends
from netra_sim.checks.isolation import (
    connection_isolation,
    content_isolation,
    cross_user_isolation,
    shared_state,
    thread_isolation,
)
from netra_sim.checks.latency import delivery_latencies, latency, refusals, request_latencies
from netra_sim.checks.leaving import work_after_leaving
from netra_sim.checks.noticed import disclosure, event_order, tokens
from netra_sim.checks.process import (
    asyncio_untouched,
    context_isolation,
    faults_acted,
    idle_cost,
    liveness,
    unhandled_errors,
)
from netra_sim.checks.records import Records
from netra_sim.checks.recovery import recovery
from netra_sim.checks.requirements import lacks
from netra_sim.checks.resources import engine_limit, memory, unsent_bytes
from netra_sim.checks.results import CheckResult, Finding, Measurement, Observation, State
from netra_sim.checks.scopes import scopes
from netra_sim.checks.silence import silence
from netra_sim.checks.statistics import nearest_rank
from netra_sim.checks.steady import SteadyState, steady_state
from netra_sim.checks.times import timestamps
from netra_sim.checks.tools import tools
from netra_sim.checks.usage import POOLED, ResourceUse, Visits, resource_use, use_over_time, visits, which_saturates
from netra_sim.history import History, Objectives
from netra_sim.own_code import OwnCodeError, own_object
from netra_sim.registry import Registry

OWN_CHECKS: tuple[Check, ...] = (
    cross_user_isolation,
    connection_isolation,
    content_isolation,
    context_isolation,
    thread_isolation,
    shared_state,
    liveness,
    unhandled_errors,
    critical_events,
    tools,
    answers,
    every_run_ends,
    scopes,
    delivery,
    truthfulness,
    nothing_left,
    engine_limit,
    timestamps,
    memory,
    unsent_bytes,
    asyncio_untouched,
    idle_cost,
    latency,
    silence,
    completion,
    refusals,
    recovery,
    faults_acted,
    event_order,
    tokens,
    disclosure,
    work_after_leaving,
)
"""This package's checks, in the order in which a report shows them."""

CHECKS: Registry[Check] = Registry("netra_sim.checks", OWN_CHECKS, kind=Check)
"""All checks by their names, those of other packages included."""


def all_checks(places: Iterable[str] = ()) -> list[Check]:
    """All of `CHECKS`, and checks of one's own.

    Args:
        places: of one's own checks, such as "mine:my_check".

    Raises:
        OwnCodeError: there is no check at a place, or its name is taken.
    """
    found = dict(CHECKS)
    for place in places:
        one = own_object(place, Check, "check")
        if found.setdefault(one.name, one) is not one:
            raise OwnCodeError(f"check is {place!r}, and its name {one.name!r} is taken; choose another")
    return list(found.values())


def check(
    history: History, objectives: Objectives | None = None, checks: Iterable[Check] | None = None
) -> list[CheckResult]:
    """Run checks over a history.

    Args:
        history: of any source.
        objectives: what is good enough; by default those of the history's meta, or else the defaults of `Objectives`.
        checks: by default all of `CHECKS`.

    Raises:
        HistoryError: the history's meta holds objectives that this version does not know.
        CheckError: a check broke; the error has the results of the others.
    """
    objectives = history.objectives() if objectives is None else objectives
    records = Records(history)
    results: list[CheckResult] = []
    broken: dict[str, str] = {}
    for one in CHECKS.values() if checks is None else checks:
        try:
            results.append(one(records, objectives))
        except CheckError as error:
            broken |= error.broken
    if broken:
        raise CheckError(broken, results)
    return results


__all__ = [
    "CHECKS",
    "OWN_CHECKS",
    "POOLED",
    "Check",
    "CheckError",
    "CheckResult",
    "Finding",
    "Measurement",
    "Objectives",
    "Observation",
    "Records",
    "ResourceUse",
    "State",
    "SteadyState",
    "Visits",
    "all_checks",
    "check",
    "define",
    "delivery_latencies",
    "lacks",
    "nearest_rank",
    "request_latencies",
    "resource_use",
    "steady_state",
    "use_over_time",
    "visits",
    "which_saturates",
]
