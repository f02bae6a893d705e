"""What is different between two verdicts, and which of it is worse."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netra_sim.report.verdict import Verdict

SLOWER = 1.05
"""A measured time that has grown by this factor, under the same parameters, is a regression."""

_DRIFTS = frozenset({"output"})
_MEASURED_IN_REAL_TIME = "server"


def changes_since(before: "Verdict", after: "Verdict") -> list[str]:
    """What is different from an earlier verdict, in sentences; ["nothing"] if nothing is."""
    changes = []
    if before.decision != after.decision:
        changes.append(f"the verdict was {before.decision} and is {after.decision}")
    for name, value in after.parameters.items():
        if name not in _DRIFTS and before.parameters.get(name) != value:
            changes.append(f"the parameter {name} was {before.parameters.get(name)} and is {value}")
    if before.version != after.version:
        changes.append(f"the version was {before.version} and is {after.version}")
    states = {(claim["heading"], claim["claim"]): claim["state"] for claim in before.claims}
    for claim in after.claims:
        was = states.get((claim["heading"], claim["claim"]), "not there")
        if was != claim["state"]:
            changes.append(f"{claim['heading']}: {claim['claim']}: was {was}, is {claim['state']}")
    if _same_parameters(before, after):
        for source, digest in after.digests.items():
            if source != _MEASURED_IN_REAL_TIME and before.digests.get(source, digest) != digest:
                changes.append(f"the recorded run {source} is another one, for the same parameters")
    return changes or ["nothing"]


def regressions_since(before: "Verdict", after: "Verdict") -> list[str]:
    """What is worse than in an earlier verdict, in sentences."""
    worse = []
    if before.decision == "GO" and after.decision != "GO":
        worse.append(f"the verdict was GO and is {after.decision}")
    states = {(claim["heading"], claim["claim"]): claim["state"] for claim in after.claims}
    for claim in before.claims:
        now = states.get((claim["heading"], claim["claim"]), "no longer there")
        if claim["state"] == "proven" and now != "proven":
            worse.append(f"was proven and is {now}: {claim['claim']}")
    for source, check, was, now in _checks_of_both(before, after):
        if was["state"] == "passed" and now["state"] != "passed":
            worse.append(f"{source}: {check} had passed, and is {now['state']}")
        if source != _MEASURED_IN_REAL_TIME and _same_parameters(before, after):
            slower = {
                name: (figure["value"], now["measured"].get(name, figure)["value"])
                for name, figure in was["measured"].items()
                if name.endswith((", mean", ", p95"))
            }
            worse += [
                f"{source}: {name} has grown from {old * 1000:.1f} ms to {new * 1000:.1f} ms"
                for name, (old, new) in slower.items()
                if new > old * SLOWER
            ]
    for violation, checks in before.caught.items():
        if violation in after.caught:
            lost = [name for name in checks if name not in after.caught[violation]]
            worse += [f"{name} no longer catches the violation {violation}" for name in lost]
    return worse


def _checks_of_both(before: "Verdict", after: "Verdict") -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    for source, results in after.evidence.items():
        earlier = {result["check"]: result for result in before.evidence.get(source, [])}
        for result in results:
            if result["check"] in earlier:
                yield source, result["check"], earlier[result["check"]], result


def _same_parameters(before: "Verdict", after: "Verdict") -> bool:
    names = (before.parameters.keys() | after.parameters.keys()) - _DRIFTS
    return all(before.parameters.get(name) == after.parameters.get(name) for name in names)
