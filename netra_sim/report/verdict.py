"""The verdict: GO or NO-GO, computed from the claims and from what the checks can see, and kept run by run."""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import msgspec

from netra_sim.exploration import Detection
from netra_sim.history import environment, replacing
from netra_sim.report.changes import changes_since, regressions_since
from netra_sim.report.claims import CLAIMS, JudgedClaim, Source, State, judge
from netra_sim.report.evidence import Evidence
from netra_sim.report.parameters import ValidationParameters
from netra_sim.report.tables import Html, claims_table, scores_table, table
from netra_sim.runtime import nest_asyncio_enabled
from netra_sim.version import __version__

VERDICT_FILE = "verdict.json"
RUNS_FOLDER = "runs"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the report says.

    Attributes:
        decision: "GO" or "NO-GO". GO takes that no check failed, that every claim that can be proven here is, that every
            violation was caught, and that no check fired on the clean runtime.
        reasons: what failed, where and by how much; empty for GO.
        scores: for each score the share of its claims that are proven, out of 10; given figures do not count.
        claims: every claim, judged: heading, claim, state, evidence, teeth.
        evidence: for each source its checks.
        commands: for each source what makes it again.
        caught: for each violation the checks that caught it, with the number of seeds.
        digests: for each recorded history its digest.
        changes: what is different from the run before.
        regressions: what is worse than in the run before.
    """

    decision: str
    reasons: list[str]
    scores: dict[str, float]
    claims: list[dict[str, Any]]
    evidence: dict[str, list[dict[str, Any]]]
    commands: dict[str, str]
    caught: dict[str, dict[str, int]]
    digests: dict[str, str]
    parameters: dict[str, Any]
    version: str
    environment: dict[str, str]
    nest_asyncio: bool
    changes: list[str] = []
    regressions: list[str] = []

    def section(self, heading: str) -> Html:
        """The claims under the headings that begin so, judged.

        Raises:
            KeyError: the plan has no such heading.
        """
        claims = [claim for claim in self.claims if claim["heading"].startswith(heading)]
        if not claims:
            raise KeyError(f"the plan has no heading {heading!r}")
        return Html(claims_table(claims))

    def score_table(self) -> Html:
        """The scores, with their definition."""
        return Html(scores_table(self.scores))

    def changes_table(self) -> Html:
        """What is different from the run before, what is worse first."""
        rows = [("regression", escape(one)) for one in self.regressions] + [
            ("change", escape(one)) for one in self.changes
        ]
        return Html(table("Since the last run in this folder", ("Kind", "What"), rows))

    def commands_table(self) -> Html:
        """For each source the command that makes its figures again."""
        rows = [
            (escape(Source(source).label), f"<code>{escape(line)}</code>") for source, line in self.commands.items()
        ]
        return Html(table("Every figure can be made again", ("Evidence", "Command"), rows))


def reach_verdict(parameters: ValidationParameters, evidence: Sequence[Evidence], detection: Detection) -> Verdict:
    """Judge every claim; with an ``output`` folder, compare with the last run that is kept there, and keep this one.

    Raises:
        OSError: the folder cannot be written to.
    """
    given = {"mrr": f"${parameters.mrr:,.0f} a month, according to {parameters.mrr_source}. Given, not measured."}
    judged = judge({one.source: one.results for one in evidence}, detection.by_incident, given)
    reasons = [*_failures(evidence), *_blindness(detection), *_unproven(judged)]
    verdict = Verdict(
        decision="NO-GO" if reasons else "GO",
        reasons=reasons,
        scores=_scores(judged),
        claims=[
            {
                "heading": one.claim.heading,
                "claim": one.claim.says,
                "state": one.state,
                "evidence": one.evidence,
                "teeth": list(one.teeth),
            }
            for one in judged
        ],
        evidence={
            one.source: [msgspec.to_builtins(result) | {"state": result.state} for result in one.results]
            for one in evidence
        },
        commands={one.source: one.command for one in evidence},
        caught={row.violation: dict(row.caught) for row in detection.rows},
        digests={one.source: one.history.digest() for one in evidence if one.history is not None},
        parameters=msgspec.to_builtins(parameters),
        version=__version__,
        environment=environment(),
        nest_asyncio=nest_asyncio_enabled(),
    )
    return _kept(Path(parameters.output), verdict) if parameters.output else verdict


def read_verdict(path: Path) -> Verdict | None:
    """The verdict in a file; None if there is none, or none of this version's form."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Verdict)
    except (OSError, msgspec.DecodeError):
        return None


def save_json(path: Path, content: object) -> None:
    """Write a JSON file; an earlier one is replaced only when the new one is complete."""
    with replacing(path) as beside:
        beside.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _failures(evidence: Sequence[Evidence]) -> list[str]:
    return [
        f"{one.source.label}: {result.check}: {finding.message}"
        for one in evidence
        for result in one.results
        if result.state == "failed"
        for finding in result.findings[:1]
    ]


def _blindness(detection: Detection) -> list[str]:
    unseen = [f"no check caught the violation {name}" for name in detection.undetected]
    return unseen + [f"the check {name} fires on the clean runtime" for name in detection.false_alarms]


def _unproven(judged: Sequence[JudgedClaim]) -> list[str]:
    lacking = [one for one in judged if one.state is State.UNPROVEN and one.claim.can_be_proven_here]
    return [f"unproven: {one.claim.says} ({one.evidence})" for one in lacking]


def _scores(judged: Sequence[JudgedClaim]) -> dict[str, float]:
    scores: dict[str, float] = {}
    for score in dict.fromkeys(claim.score for claim in CLAIMS if claim.score):
        own = [one.state for one in judged if one.claim.score == score and one.state is not State.GIVEN]
        scores[score] = round(10 * own.count(State.PROVEN) / len(own), 1)
    return scores


def _kept(folder: Path, verdict: Verdict) -> Verdict:
    runs = folder / RUNS_FOLDER
    runs.mkdir(parents=True, exist_ok=True)
    earlier = sorted(runs.glob("[0-9]*.json"))
    before = read_verdict(earlier[-1]) if earlier else None
    if before is not None:
        verdict = msgspec.structs.replace(
            verdict, changes=changes_since(before, verdict), regressions=regressions_since(before, verdict)
        )
    else:
        verdict = msgspec.structs.replace(verdict, changes=["this is the first run in this folder"])
    number = int(earlier[-1].stem) + 1 if earlier else 1
    for path in (runs / f"{number:04d}.json", folder / VERDICT_FILE):
        save_json(path, msgspec.to_builtins(verdict))
    return verdict
