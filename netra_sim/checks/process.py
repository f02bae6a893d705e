"""Checks of what all users share: the event loop, the asyncio functions, context variables."""

import numpy as np

from netra_sim.checks.definition import define
from netra_sim.checks.isolation import USERS_AT_ONCE
from netra_sim.checks.records import Records
from netra_sim.checks.results import Finding, Measurement, Observation, counted
from netra_sim.history import ASYNCIO_REPLACED, CONTEXTS_READ, LOOP_STEPS, Kind, Objectives


@define("liveness", question="Did everything come to rest, without a deadlock, a hang or spinning?", unit="requests")
def liveness(records: Records, objectives: Objectives) -> Observation:
    """The system must come to rest. A finding says whether it is a deadlock, a hang or spinning, and which tasks wait."""
    requested, stuck = records.rows(Kind.REQUESTED), records.rows(Kind.STUCK)
    looked_at = len(requested) if records.records(Kind.STUCK) else 0
    return Observation(
        looked_at=looked_at,
        found=len(stuck),
        findings=records.findings(stuck, lambda row: f"{records.text('event', row)}: {records.text('detail', row)}"),
    )


@define(
    "context-isolation",
    question="Was every run carried out in the context of its own user's request?",
    unit="events published in a marked context",
)
def context_isolation(records: Records, objectives: Objectives) -> Observation:
    """No event may be published in a context with the mark of another user."""
    leaked = records.rows(Kind.LEAKED_CONTEXT)

    def describe(row: int) -> str:
        return f"{records.text('event', row)} was published in the context of {records.text('subject', row)}'s request"

    return Observation(
        looked_at=int(records.numbers["value"][records.samples(CONTEXTS_READ)].sum()),
        found=len(leaked),
        findings=records.findings(leaked, describe),
        measured={USERS_AT_ONCE: counted(records.users_at_once)},
    )


@define("unhandled-errors", question="Was every error handled before it reached the event loop?", unit="requests")
def unhandled_errors(records: Records, objectives: Objectives) -> Observation:
    """No error may reach the event loop because no code handled it."""
    requested, errors = records.rows(Kind.REQUESTED), records.rows(Kind.LOOP_ERROR)

    def describe(row: int) -> str:
        kind, detail = records.text("event", row), records.text("detail", row)
        return f"no code handled {kind}: {detail}" if kind else f"asyncio reported: {detail}"

    return Observation(
        looked_at=max(len(requested), len(errors)) if records.records(Kind.LOOP_ERROR) else 0,
        found=len(errors),
        findings=records.findings(errors, describe),
    )


@define(
    "faults-acted",
    question="Did every injected fault hit a user, a run or a message?",
    unit="faults that count what they hit",
)
def faults_acted(records: Records, objectives: Objectives) -> Observation:
    """Every fault that ended with a count must have hit at least one user, run or message; else it tested nothing."""
    ended, hit = records.rows(Kind.FAULT_ENDED), records.numbers["value"]
    counted_ones = ended[~np.isnan(hit[ended])]
    idle = counted_ones[hit[counted_ones] == 0]
    return Observation(
        looked_at=len(counted_ones),
        found=len(idle),
        findings=records.findings(idle, lambda row: f"the fault {records.text('detail', row)} hit nobody"),
    )


@define(
    "asyncio-untouched", question="Was no asyncio function replaced for code that is not decorated?", unit="samples"
)
def asyncio_untouched(records: Records, objectives: Objectives) -> Observation:
    """At no sample may code that is not decorated see a replaced asyncio function."""
    looks = records.samples(ASYNCIO_REPLACED)
    wrong = looks[records.numbers["value"][looks] > 0]

    def describe(row: int) -> str:
        return f"{records.numbers['value'][row]:.0f} asyncio functions are replaced for the whole process"

    return Observation(
        looked_at=len(looks),
        found=len(wrong),
        findings=records.findings(wrong, describe),
    )


@define(
    "idle-cost", question="Did the event loop take steps only when something happened?", unit="things that happened"
)
def idle_cost(records: Records, objectives: Objectives) -> Observation:
    """The event loop's steps per record must not exceed the objective `steps_per_record`; polling takes many steps.

    Samples do not count as records.
    """
    steps = records.numbers["value"][records.samples(LOOP_STEPS)]
    happened = len(records) - len(records.rows(Kind.SAMPLE))
    each = float(steps.max()) / happened if len(steps) and happened else 0.0
    findings: tuple[Finding, ...] = ()
    if each > objectives.steps_per_record:
        message = (
            f"the loop took {each:.1f} steps for each of {happened:,} things that happened; the objective is "
            f"{objectives.steps_per_record:g}: something polls"
        )
        findings = (Finding(message=message),)
    return Observation(
        looked_at=len(steps) and happened,
        found=len(findings),
        findings=findings,
        measured={"steps for each": Measurement(each, "ratio", "lower", objectives.steps_per_record)},
    )
