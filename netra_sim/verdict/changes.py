"""The differences between two verdicts, and those that are worse."""

from collections.abc import Iterator

from netra_sim.checks import CheckResult, Measurement
from netra_sim.quantities import quantity
from netra_sim.verdict.claims import JudgedClaim, Source, State
from netra_sim.verdict.verdict import Verdict

WORSE = 1.05
"""A figure that is worse by this factor, under the same parameters, is a regression."""

WORSE_SHARE = 0.001
"""A share that is worse by more than this is a regression: near 1, a factor would hide a tenfold loss."""

_DRIFTS = frozenset({"output"})
_MEASURED_IN_REAL_TIME = Source.SERVER
"""The source with figures that differ in every run: no factor separates a busy machine from slower code."""


def changes_since(before: Verdict, after: Verdict) -> list[str]:
    """The differences from an earlier verdict, in sentences; ["nothing"] if there are none."""
    changes = []
    if before.decision != after.decision:
        changes.append(f"the verdict was {before.decision} and is {after.decision}")
    for name in after.parameters.__struct_fields__:
        was, now = getattr(before.parameters, name), getattr(after.parameters, name)
        if name not in _DRIFTS and was != now:
            changes.append(f"the parameter {name} was {was} and is {now}")
    if before.version != after.version:
        changes.append(f"the version was {before.version} and is {after.version}")
    for name in after.about.__struct_fields__:
        if getattr(before.about, name) != getattr(after.about, name):
            changes.append(f"the {name} {'is' if name == 'package' else 'are'} not the same as before")
    states = {_key(one): one.state for one in before.claims}
    for one in after.claims:
        state = states.get(_key(one), "not there")
        if state != one.state:
            changes.append(f"{one.claim.heading}: {one.claim.says}: was {state}, is {one.state}")
    if _same_parameters(before, after):
        for source, digest in after.digests.items():
            if source != _MEASURED_IN_REAL_TIME and before.digests.get(source, digest) != digest:
                changes.append(f"the recorded run {source} is another one, for the same parameters")
    return changes or ["nothing"]


def regressions_since(before: Verdict, after: Verdict) -> list[str]:
    """The differences from an earlier verdict that are worse, in sentences."""
    worse = []
    if before.decision == "GO" and after.decision != "GO":
        worse.append(f"the verdict was GO and is {after.decision}")
    states = {_key(one): one.state for one in after.claims}
    for one in before.claims:
        now = states.get(_key(one), "no longer there")
        if one.state is State.PROVEN and now != State.PROVEN:
            worse.append(f"was proven and is {now}: {one.claim.says}")
    for source, earlier, later in _checks_of_both(before, after):
        if earlier.state == "passed" and later.state != "passed":
            worse.append(f"{source}: {later.check} had passed, and is {later.state}")
        if source != _MEASURED_IN_REAL_TIME and _same_parameters(before, after):
            worse += [
                f"{source}: {later.check}: {name} was {_figure(was)} and is {_figure(is_now)}"
                for name, was in earlier.measured.items()
                if (is_now := later.measured.get(name, was)) and _is_worse(was, is_now)
            ]
    for defect, checks in before.caught.items():
        if defect in after.caught:
            lost = [name for name in checks if name not in after.caught[defect]]
            worse += [f"{name} no longer catches the defect {defect}" for name in lost]
    return worse


def _is_worse(was: Measurement, now: Measurement) -> bool:
    """Whether a figure changed in the worse direction by more than its tolerance."""
    if now.better == "neither" or was.unit != now.unit:
        return False
    low, high = (was.value, now.value) if now.better == "lower" else (now.value, was.value)
    if now.unit == "share":
        return high - low > WORSE_SHARE
    return high > low * WORSE and _figure(was) != _figure(now)


def _figure(measured: Measurement) -> str:
    return quantity(measured.value, measured.unit)


def _key(one: JudgedClaim) -> tuple[str, str]:
    return one.claim.heading, one.claim.says


def _checks_of_both(before: Verdict, after: Verdict) -> Iterator[tuple[str, CheckResult, CheckResult]]:
    for source, results in after.evidence.items():
        earlier = {result.check: result for result in before.evidence.get(source, [])}
        for result in results:
            if result.check in earlier:
                yield source, earlier[result.check], result


def _same_parameters(before: Verdict, after: Verdict) -> bool:
    names = set(after.parameters.__struct_fields__) - _DRIFTS
    return all(getattr(before.parameters, name) == getattr(after.parameters, name) for name in names)
