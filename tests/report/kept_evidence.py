"""Made-up evidence: every check passes, every defect is caught, every self-proof holds."""

from netra_sim.checks import CheckResult, Finding
from netra_sim.defects import DEFECTS, Detected, Detection, SelfProof
from netra_sim.verdict import CLAIMS, Evidence, Proofs, Source

NEEDS = tuple(dict.fromkeys(need for claim in CLAIMS for need in claim.needs))


def result(check, found=0, **fields):
    findings = tuple(Finding(message="p95 is 140 ms, 40 ms over the objective of 100 ms") for _ in range(found))
    values = {"looked_at": 5, "unit": "things", "found": found, "findings": findings} | fields
    return CheckResult(check=check, question="?", **values)


def passing(**other):
    """Evidence in which every check of every claim passes, except the given results, by "source/check"."""
    changed = {tuple(name.split("/", 1)): one for name, one in other.items()}
    return [
        Evidence(
            source=source,
            label=source.label,
            results=[
                changed.get((str(source), need.check), result(need.check)) for need in NEEDS if need.source is source
            ],
            command="",
        )
        for source in Source
    ]


def caught():
    names = tuple(dict.fromkeys(need.check for need in NEEDS))
    rows = [Detected(one.name, one.incidents, one.symptom, dict.fromkeys(names, 1)) for one in DEFECTS.values()]
    return Detection(seeds=1, checks=names, rows=tuple(rows), clean={})


def proven():
    names = dict.fromkeys(need.check for need in NEEDS)
    return Proofs(tuple(SelfProof(check=name, defect="a defect", planted=result(name, 1)) for name in names))
