"""Checks: each reads a History, whatever made it, and returns what it found."""

from collections.abc import Callable, Sequence

import msgspec

from netra_sim.checks.answers import answers
from netra_sim.checks.cleanup import nothing_left
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
from netra_sim.checks.needs import lacks
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
from netra_sim.checks.resources import engine_limit, memory, unsent_bytes
from netra_sim.checks.results import CheckResult, Finding, Measurement, State
from netra_sim.checks.scopes import scopes
from netra_sim.checks.silence import silence
from netra_sim.checks.times import timestamps
from netra_sim.checks.tools import tools
from netra_sim.history import History, Objectives

Check = Callable[[Records, Objectives], CheckResult]

CHECKS: tuple[Check, ...] = (
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
)
"""All checks, in the order in which a report shows them."""

CHECK_NAMES = tuple(one.__name__.replace("_", "-") for one in CHECKS)
"""The names that their results bear, in the same order."""


def check(
    history: History, objectives: Objectives | None = None, checks: Sequence[Check] = CHECKS
) -> list[CheckResult]:
    """Run checks over a history.

    Args:
        history: whatever made it.
        objectives: what is good enough; what the history's meta says, or the defaults, unless given.
        checks: which checks.
    """
    if objectives is None:
        objectives = msgspec.convert(history.meta.get("objectives", {}), Objectives)
    records = Records(history)
    return [one(records, objectives) for one in checks]


__all__ = [
    "CHECKS",
    "CHECK_NAMES",
    "Check",
    "CheckResult",
    "Finding",
    "Measurement",
    "Objectives",
    "Records",
    "State",
    "answers",
    "asyncio_untouched",
    "check",
    "completion",
    "connection_isolation",
    "content_isolation",
    "context_isolation",
    "critical_events",
    "cross_user_isolation",
    "delivery",
    "delivery_latencies",
    "engine_limit",
    "every_run_ends",
    "faults_acted",
    "idle_cost",
    "lacks",
    "latency",
    "liveness",
    "memory",
    "nothing_left",
    "recovery",
    "refusals",
    "request_latencies",
    "scopes",
    "shared_state",
    "silence",
    "thread_isolation",
    "timestamps",
    "tools",
    "truthfulness",
    "unhandled_errors",
    "unsent_bytes",
]
