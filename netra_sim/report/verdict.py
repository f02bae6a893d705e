"""The verdict: GO or NO-GO, computed from the claims, with what changed since the last one."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from netra_sim.history import replacing
from netra_sim.report.claims import CLAIMS, JudgedClaim, State, judge
from netra_sim.report.evidence import Evidence
from netra_sim.report.parameters import Parameters
from netra_sim.report.tables import claims_table
from netra_sim.runtime import nest_asyncio_enabled
from netra_sim.version import __version__

VERDICT_FILE = "verdict.json"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the report says.

    Attributes:
        decision: "GO" or "NO-GO". GO takes that no check failed and that every claim for which there is evidence is shown.
        reasons: what failed, where and by how much; empty for GO.
        scores: for each section of the plan the share of its claims that are shown, out of 10.
        claims: every claim, judged.
        evidence: for each source its checks.
        digests: for each history its digest.
        changes: what is different from the verdict that stood in the same folder before.
    """

    decision: str
    reasons: list[str]
    scores: dict[str, float]
    claims: list[dict[str, str]]
    evidence: dict[str, list[dict[str, Any]]]
    digests: dict[str, str]
    parameters: dict[str, Any]
    version: str
    nest_asyncio: bool
    changes: list[str] = []

    def _repr_html_(self) -> str:
        return claims_table(self.claims)


def reach_verdict(parameters: Parameters, *evidence: Evidence) -> Verdict:
    """Judge every claim; with an ``output`` folder, compare with the verdict there and replace it."""
    results = {one.source: one.results for one in evidence}
    judged = [judge(claim, results) for claim in CLAIMS]
    reasons = [
        f"{one.source}: {result.check}: {finding.message}"
        for one in evidence
        for result in one.results
        if result.state == "failed"
        for finding in result.findings[:1]
    ]
    reasons += [f"not shown: {one.claim.sentence} ({one.evidence})" for one in judged if _lacks_evidence(one)]
    verdict = Verdict(
        decision="NO-GO" if reasons else "GO",
        reasons=reasons,
        scores=_scores(judged),
        claims=[
            {"section": one.claim.section, "claim": one.claim.sentence, "state": one.state, "evidence": one.evidence}
            for one in judged
        ],
        evidence={
            one.source: [msgspec.to_builtins(result) | {"state": result.state} for result in one.results]
            for one in evidence
        },
        digests={one.source: one.history.digest() for one in evidence if one.history is not None},
        parameters=msgspec.to_builtins(parameters),
        version=__version__,
        nest_asyncio=nest_asyncio_enabled(),
    )
    if not parameters.output:
        return verdict
    path = Path(parameters.output) / VERDICT_FILE
    verdict = msgspec.structs.replace(verdict, changes=_changes(path, verdict))
    save_json(path, msgspec.to_builtins(verdict))
    return verdict


def save_json(path: Path, content: object) -> None:
    """Write a JSON file; an earlier one is replaced only when the new one is complete."""
    with replacing(path) as beside:
        beside.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _lacks_evidence(judged: JudgedClaim) -> bool:
    return judged.state is State.OPEN and bool(judged.claim.needs)


def _scores(judged: Sequence[JudgedClaim]) -> dict[str, float]:
    scores: dict[str, float] = {}
    for section in dict.fromkeys(one.claim.section for one in judged):
        own = [one for one in judged if one.claim.section == section]
        scores[section] = round(10 * sum(one.state is State.SHOWN for one in own) / len(own), 1)
    return scores


def _changes(path: Path, verdict: Verdict) -> list[str]:
    try:
        before = msgspec.json.decode(path.read_bytes(), type=Verdict)
    except (OSError, msgspec.DecodeError):
        return ["this is the first run in this folder"]
    changes = []
    if before.decision != verdict.decision:
        changes.append(f"the verdict was {before.decision} and is {verdict.decision}")
    states = {claim["claim"]: claim["state"] for claim in before.claims}
    for claim in verdict.claims:
        was = states.get(claim["claim"], "not there")
        if was != claim["state"]:
            changes.append(f"{claim['claim']}: was {was}, is {claim['state']}")
    for name, value in verdict.parameters.items():
        if name != "output" and before.parameters.get(name) != value:
            changes.append(f"the parameter {name} was {before.parameters.get(name)} and is {value}")
    return changes or ["nothing"]
