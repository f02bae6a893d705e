"""Checks: each reads a History, whatever made it, and returns what it found."""

from collections.abc import Callable, Sequence

from netra_sim.checks.cleanup import nothing_left
from netra_sim.checks.delivery import delivery, truthfulness
from netra_sim.checks.events import critical_events, every_run_ends
from netra_sim.checks.isolation import cross_user_isolation, shared_state
from netra_sim.checks.latency import delivery_latencies, first_event_latencies, latency, refusals
from netra_sim.checks.results import CheckResult, Finding, Objectives
from netra_sim.history import History

Check = Callable[[History, Objectives], CheckResult]

CHECKS: tuple[Check, ...] = (
    cross_user_isolation,
    shared_state,
    critical_events,
    every_run_ends,
    delivery,
    truthfulness,
    nothing_left,
    latency,
    refusals,
)
"""All checks, in the order in which a report shows them."""


def check(
    history: History, objectives: Objectives | None = None, checks: Sequence[Check] = CHECKS
) -> list[CheckResult]:
    """Run checks over a history."""
    return [one(history, objectives or Objectives()) for one in checks]


__all__ = [
    "CHECKS",
    "Check",
    "CheckResult",
    "Finding",
    "Objectives",
    "check",
    "critical_events",
    "cross_user_isolation",
    "delivery",
    "delivery_latencies",
    "every_run_ends",
    "first_event_latencies",
    "latency",
    "nothing_left",
    "refusals",
    "shared_state",
    "truthfulness",
]
