"""`reach_verdict`: the decision, computed from the claims and from what the checks were seen to detect."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from netra_sim.checks import CheckResult
from netra_sim.defects import Detection, seen_to_detect
from netra_sim.fingerprint import fingerprint
from netra_sim.history import environment
from netra_sim.parameters import Weaker
from netra_sim.runtime import nest_asyncio_enabled
from netra_sim.verdict.changes import changes_since, regressions_since
from netra_sim.verdict.claims import CLAIMS, JudgedClaim, State, judge, was_busy
from netra_sim.verdict.evidence import Evidence, Proofs
from netra_sim.verdict.parameters import ValidationParameters
from netra_sim.verdict.verdict import RUNS_FOLDER, VERDICT_FILE, Decision, Verdict, read_verdict, save_verdict, title
from netra_sim.version import __version__


def reach_verdict(
    parameters: ValidationParameters,
    evidence: Sequence[Evidence],
    detection: Detection,
    proofs: Proofs,
) -> Verdict:
    """Judge every claim. With an ``output`` folder, compare with the last run saved there, and save this one.

    Args:
        parameters: the parameters of the validation.
        evidence: the evidence of every source.
        detection: which check caught which defect.
        proofs: the self-proofs of every check.

    Raises:
        OSError: the folder cannot be written to.
    """
    given = {"mrr": f"${parameters.mrr:,.0f} a month, according to {parameters.mrr_source}. Given, not measured."}
    seen = seen_to_detect(proofs.proofs, detection)
    judged = judge({one.source: one.results for one in evidence}, detection.by_incident, seen, given)
    unseen = _unseen(evidence, judged, seen)
    against = [*_failures(evidence), *_blindness(unseen, detection, proofs), *_unproven(judged)]
    undecided = [
        f"{one.label}: {result.check}: not judged: {result.inconclusive}"
        for one in evidence
        for result in one.results
        if was_busy(result)
    ]
    decision: Decision = "NO-GO" if against else "UNDECIDED" if undecided else "GO"
    verdict = Verdict(
        decision=decision,
        headline=_headline(decision, parameters.weaker, undecided, judged),
        reasons=against + undecided,
        weaker=list(parameters.weaker),
        unseen=unseen,
        seen=seen,
        scores=_scores(judged),
        claims=judged,
        evidence={one.source: [_with_figures_that_are_numbers(result) for result in one.results] for one in evidence},
        commands={one.source: one.command for one in evidence},
        caught={row.defect: dict(row.caught) for row in detection.rows},
        digests={one.source: one.history.digest() for one in evidence if one.history is not None},
        about=fingerprint(),
        parameters=parameters,
        version=__version__,
        environment=environment(),
        nest_asyncio=nest_asyncio_enabled(),
        reused=detection.origin,
    )
    return _kept(Path(parameters.output), verdict) if parameters.output else verdict


def _headline(
    decision: Decision, weaker: Sequence[Weaker], undecided: Sequence[str], judged: Sequence[JudgedClaim]
) -> str:
    proven = sum(one.state is State.PROVEN for one in judged)
    said = list(map(str, weaker))
    said += list(undecided[:1]) if decision == "UNDECIDED" else []
    said.append(f"{proven} of {len(judged)} claims are proven")
    return f"{title(decision, weaker)}: {'; '.join(said)}"


def _failures(evidence: Sequence[Evidence]) -> list[str]:
    return [
        f"{one.label}: {result.check}: {finding.message}"
        for one in evidence
        for result in one.results
        if result.state == "failed"
        for finding in result.findings[:1]
    ]


def _unseen(
    evidence: Sequence[Evidence], judged: Sequence[JudgedClaim], seen: Mapping[str, Sequence[str]]
) -> list[str]:
    """The checks that looked at something, or that a claim needs, and were never seen to detect anything."""
    names = [result.check for one in evidence for result in one.results if result.looked_at]
    names += [need.check for one in judged if one.claim.proof for need in one.claim.needs]
    return [name for name in dict.fromkeys(names) if not seen.get(name)]


def _blindness(unseen: Sequence[str], detection: Detection, proofs: Proofs) -> list[str]:
    others = {one.check: f"the check {one.check} is another than was certified: {one.misread}" for one in proofs.others}
    blind = [others.pop(name, f"the check {name} was never seen to detect anything") for name in unseen]
    blind += others.values()
    blind += [f"no check caught the defect {name}" for name in detection.undetected]
    return blind + [f"the check {name} fires on the clean runtime" for name in detection.false_alarms]


def _unproven(judged: Sequence[JudgedClaim]) -> list[str]:
    lacking = [one for one in judged if one.claim.proof and not one.is_undecided]
    return [
        f"{one.state}: {one.claim.says} ({one.evidence})"
        for one in lacking
        if one.state in (State.UNPROVEN, State.NOT_ENOUGH)
    ]


def _scores(judged: Sequence[JudgedClaim]) -> dict[str, float]:
    scores: dict[str, float] = {}
    for score in dict.fromkeys(claim.score for claim in CLAIMS if claim.score):
        own = [one.state for one in judged if one.claim.score == score and one.state is not State.GIVEN]
        scores[score] = round(10 * own.count(State.PROVEN) / len(own), 1)
    return scores


def _with_figures_that_are_numbers(result: CheckResult) -> CheckResult:
    """Drop figures that are not finite, because JSON has no NaN."""
    measured = {name: one for name, one in result.measured.items() if math.isfinite(one.value)}
    return msgspec.structs.replace(result, measured=measured)


def _kept(folder: Path, verdict: Verdict) -> Verdict:
    runs = folder / RUNS_FOLDER
    runs.mkdir(parents=True, exist_ok=True)
    earlier = sorted(runs.glob("[0-9]*.json"))
    before = read_verdict(earlier[-1]) if earlier else None
    if before is not None:
        verdict = msgspec.structs.replace(
            verdict, changes=changes_since(before, verdict), regressions=regressions_since(before, verdict)
        )
    number = int(earlier[-1].stem) + 1 if earlier else 1
    for path in (runs / f"{number:04d}.json", folder / VERDICT_FILE):
        save_verdict(path, verdict)
    return verdict
