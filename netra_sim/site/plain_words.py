"""`in_plain_words`: what a check found as a sentence for everybody, with the figure, the promise and the cause."""

import math
from collections.abc import Iterator, Sequence

from netra_sim.checks import CheckResult, Finding, Measurement
from netra_sim.checks.judging import BUSY_SHARE
from netra_sim.quantities import quantity
from netra_sim.verdict.claims import Source
from netra_sim.verdict.sources import label_of

_WRONG = {
    "cross-user-isolation": "Users received events of other users",
    "connection-isolation": "A connection carried events of several users, or was used while it was closed",
    "content-isolation": "Messages held data of other users or of other requests",
    "context-isolation": "Requests were worked on in the name of another user",
    "thread-isolation": "Events named another conversation than their own",
    "shared-state": "Users shared memory that can change",
    "liveness": "Work hung, or went round in circles",
    "unhandled-errors": "Errors were handled by nobody",
    "critical-events": "Requests left out events that users rely on, or sent them out of order",
    "tools": "Tools began and did not complete, or took an impossible time",
    "answers": "Answers were cut, or belonged to another question",
    "every-run-ends": "Users never learned how their requests ended",
    "scopes": "Requests were worked on without a place of their own",
    "delivery": "Messages were lost, doubled or out of order",
    "truthfulness": "What the server says that it sent is not what arrived",
    "nothing-left": "Something was left behind when its work had ended",
    "engine-limit": "Users had more work or connections at once than the limit allows",
    "timestamps": "Times ran backwards",
    "memory": "The server kept too much for absent clients",
    "unsent-bytes": "Too much waited for clients that do not read",
    "asyncio-untouched": "Parts of Python were replaced for the whole program",
    "idle-cost": "Something in the server polled, and kept it busy while nothing happened",
    "latency": "Messages or answers arrived late",
    "silence": "Users saw nothing for too long",
    "completion": "Too few requests were answered",
    "refusals": "Too many requests or connections were refused",
    "recovery": "Users waited too long for service after a fault had ended",
    "faults-acted": "A fault that was meant to strike hit nobody",
    "event-order": "Events broke the order that their protocol demands",
    "tokens": "Parts of answers were lost or came twice",
    "disclosure": "Secrets reached a client",
    "work-after-leaving": "Work went on when its last reader had left",
    "unreadable-file": "Source files could not be read",
    "stale-allowance": "Allowances of the audit allow nothing any more",
    "raw-asyncio-in-streaming": "Code waits in a way that is not safe on Windows",
    "nested-wait-for": "Code sets one deadline inside another",
    "patched-asyncio": "Code replaces parts of Python for the whole program",
    "engine-outside-factory": "Code begins work for a user beside the factory, without limit and clean-up",
    "send-outside-bridge": "Code sends to users beside the bridge, without its guards",
    "swallowed-send-failure": "Code hides that a message could not be sent",
    "ignored-send-result": "Code does not look whether a message was sent",
    "module-state": "Code keeps data that all users share",
    "competing-implementations": "The same thing is implemented more than once",
    "windows-layer": "The Windows-safe layer does not wait as it should",
    "bridge-integration": "The bridge does not say that it cannot work",
    "factory-needs-bridge": "Work for users can begin without a bridge",
    "real-ids": "Placeholders are taken for users",
    "epochs": "A client that comes back to another server misses messages",
    "lab": "The test system itself is wrong",
    "reference-conversations": "The runtime behaves differently than when it was certified",
    "proactor-loop": "Programs on Windows get another event loop than promised",
    "windows-hazards": "The Windows-safe layer does not mend what goes wrong on Windows",
    "windows-digests": "Simulations give other results on Windows",
}
"""What is wrong if a check fails, by the name of the check."""

_FIGURES = {
    "delivery of events": ("Messages arrived late", "{}"),
    "first event of a request": ("Answers began late", "{}"),
    "first content of a request": ("The first words of answers came late", "{}"),
    "last event of a request": ("Answers were complete late", "{}"),
    "delivered": ("Messages were lost", "{} arrived"),
    "completed": ("Too few requests were answered", "{}"),
    "share of requests refused": ("Too many requests were refused", "{}"),
    "share of attempts to connect refused": ("Too many connections were refused", "{}"),
    "slowest": ("Users waited too long for service after a fault had ended", "{}"),
    "most bytes": ("", "{}"),
    "steps for each": ("", "{} steps for each thing that happened"),
    "longest pause": ("", "{}"),
    "pauses": ("", "{}"),
    "longest work after leaving": ("", "{}"),
}
"""What is wrong if a figure breaks its promise ("" for the words of its check), and how to say the figure."""

_STATISTICS = {
    "mean": "{} on average",
    "p50": "{} for half of them",
    "p95": "{} for 95 of 100",
    "p99": "{} for 99 of 100",
    "max": "{} for the longest",
}
"""How to say a figure of many values, by the end of its name."""

_PLACES = {
    Source.SIMULATED: "in the simulation",
    Source.WINDOWS_CLOCK: "in the simulation of Windows' clock",
    Source.SERVER: "on the real server",
    Source.ROLLBACK: "in the rollback drill",
    Source.LIMITS: "with users at their limits",
    Source.CONFORMANCE: "in the conformance checks",
    Source.AUDIT: "in the source",
    Source.TESTS: "in the plan's own tests",
    Source.WINDOWS: "as recorded on Windows",
}

_MOST_CAUSE = 160
"""The most characters of a finding in a sentence."""


def in_plain_words(result: CheckResult, source: str = "") -> str:
    """Say what a check found, for a reader who knows none of the checks.

    Examples: "Messages arrived late on the real server: 140 ms for 95 of 100, promised 100 ms (the machine was not busy)"
    and "Users received events of other users: 2 found in 22 events, promised none (first: carol was sent bob's event)".

    Args:
        result: of any check; of a failed one that this version does not know, the sentence begins with its question.
        source: the name of the source of evidence, to say where; "" leaves it out.
    """
    if result.state != "failed":
        answers = {"passed": "Yes", "not applicable": "There was nothing to look at"}
        return f"{result.question} {answers.get(result.state, f'Not judged: {result.inconclusive}')}"
    where = f" {_PLACES[Source(source)] if source in _PLACES else f'in {label_of(source)}'}" if source else ""
    said: dict[str, list[str]] = {}
    for wrong, told in _broken(result):
        said.setdefault(wrong, []).append(told)
    if not said:
        unit = result.unit.partition(",")[0]
        found = f"{result.found:,} found in {result.looked_at:,} {unit}, promised none"
        return f"{_wrong(result)}{where}: {found}{_cause(result, result.findings)}"
    of_users = [one for one in result.findings if one.user]  # the others only repeat the figure
    return "; ".join(f"{wrong}{where}: {', and '.join(told)}" for wrong, told in said.items()) + _cause(
        result, of_users
    )


def _wrong(result: CheckResult) -> str:
    return _WRONG.get(result.check, f"{result.question} No")


def _broken(result: CheckResult) -> Iterator[tuple[str, str]]:
    """What is wrong, and the figure with its promise, for each figure that breaks its promise."""
    for name, measured in result.measured.items():
        if measured.bound is None or not _breaks(measured, measured.bound):
            continue
        subject, _, statistic = name.rpartition(", ")
        if statistic not in _STATISTICS:
            subject, statistic = name, ""
        event = subject.removeprefix("delivery of ")
        other = f"Messages {event} arrived late" if event != subject else f"{_wrong(result)}, {subject}"
        wrong, way = _FIGURES.get(subject, (other, "{}"))
        value, promise = _told_apart(measured, measured.bound)
        said = way.format(_STATISTICS.get(statistic, "{}").format(value))
        yield wrong or _wrong(result), f"{said}, promised {promise}"


def _breaks(measured: Measurement, bound: float) -> bool:
    if math.isclose(measured.value, bound, rel_tol=1e-5):
        return False  # rounding of times that are seconds since 1970
    return measured.value < bound if measured.better == "higher" else measured.value > bound


def _told_apart(measured: Measurement, bound: float) -> tuple[str, str]:
    """The figure and its promise, with as many digits as show that they differ."""
    for digits in range(3, 8):
        value, promise = quantity(measured.value, measured.unit, digits), quantity(bound, measured.unit, digits)
        if value != promise:
            break
    return value, promise


def _cause(result: CheckResult, findings: Sequence[Finding]) -> str:
    """Whether the machine was busy, if a bare echo was measured; else the first of the findings."""
    if (echo := result.measured.get("bare echo, p95")) is not None:
        bounds = [one.bound for one in result.measured.values() if one.unit == "s" and one.bound is not None]
        is_busy = echo.value > BUSY_SHARE * min(bounds, default=math.inf)
        return f" (the machine was {'busy: a bare echo took ' + quantity(echo.value, echo.unit) if is_busy else 'not busy'})"
    if not findings:
        return ""
    message = " ".join(findings[0].message.split())
    shown = message if len(message) <= _MOST_CAUSE else message[: _MOST_CAUSE - 1].rstrip() + "…"
    return f" (first: {shown})"
