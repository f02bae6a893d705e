"""`Verdict`: what the evidence says of the plan, and the file that it is saved in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from netra_sim.checks import CheckResult
from netra_sim.files import save_json
from netra_sim.fingerprint import Fingerprint
from netra_sim.parameters import Weaker
from netra_sim.tables import Html, command_line, table
from netra_sim.verdict.claim_tables import claims_table, scores_table
from netra_sim.verdict.claims import JudgedClaim
from netra_sim.verdict.parameters import ValidationParameters
from netra_sim.verdict.sources import label_of

VERDICT_FILE = "verdict.json"
RUNS_FOLDER = "runs"

Decision = Literal["GO", "NO-GO", "UNDECIDED"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict of the validation.

    Attributes:
        decision: "GO", "NO-GO" or "UNDECIDED". GO requires that no check failed, that every claim with a proof is proven,
            that every check was seen to detect something and is as certified, that every defect was caught, and that no
            check fired on the clean runtime. UNDECIDED requires the same, except for checks that a busy machine left
            inconclusive.
        headline: the decision with its limits, in one line.
        reasons: why it is not GO; empty for GO.
        weaker: objectives and amounts of evidence that demand less than the plan and the defaults.
        unseen: the checks that were never seen to detect anything.
        seen: for each check, what it was seen to detect.
        scores: for each score, the share of its claims that are proven, out of 10; given figures do not count.
        claims: every claim, judged.
        evidence: for each source, the results of its checks.
        commands: for each source, the command that repeats it.
        caught: for each defect, the checks that caught it, with the number of seeds.
        digests: the digest of each recorded history, by source.
        about: the digests of the judged code and data.
        reused: which simulations of seeded defects an earlier run of the same code made, in a sentence; "" for none.
        changes: the differences from the previous run.
        regressions: what is worse than in the previous run.
    """

    decision: Decision
    headline: str
    reasons: list[str]
    weaker: list[Weaker]
    unseen: list[str]
    seen: dict[str, list[str]]
    scores: dict[str, float]
    claims: list[JudgedClaim]
    evidence: dict[str, list[CheckResult]]
    commands: dict[str, str]
    caught: dict[str, dict[str, int]]
    digests: dict[str, str]
    about: Fingerprint
    parameters: ValidationParameters
    version: str
    environment: dict[str, str]
    nest_asyncio: bool
    reused: str = ""
    changes: list[str] = []
    regressions: list[str] = []

    @property
    def title(self) -> str:
        """The decision with its limits, in a few words."""
        return title(self.decision, self.weaker)

    def section(self, heading: str) -> Html:
        """The judged claims under the headings that begin with this text.

        Raises:
            KeyError: the plan has no such heading.
        """
        claims = [(number, one) for number, one in enumerate(self.claims) if one.claim.heading.startswith(heading)]
        if not claims:
            raise KeyError(f"the plan has no heading {heading!r}")
        return claims_table(claims)

    def score_table(self) -> Html:
        """The scores, with their definition."""
        return scores_table(self.scores)

    def changes_table(self) -> Html:
        """The differences from the previous run, regressions first."""
        rows = [("regression", one) for one in self.regressions] + [("change", one) for one in self.changes]
        return table("Since the last run in this folder", ("Kind", "What"), rows)

    def commands_table(self) -> Html:
        """For each source, the command that repeats its figures."""
        rows = [(label_of(source), command_line(line)) for source, line in self.commands.items()]
        return table("Reproduce every figure", ("Evidence", "Command"), rows)


def read_verdict(path: Path) -> Verdict | None:
    """Read a verdict from a file; None if there is none, or if it has another form than this version's."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Verdict)
    except (OSError, msgspec.DecodeError):
        return None


def save_verdict(path: Path, verdict: Verdict) -> None:
    """Write a verdict, and add each check's state, which other programs cannot derive from its figures.

    Raises:
        OSError: the file cannot be written.
    """
    document: dict[str, object] = msgspec.to_builtins(verdict)
    document["evidence"] = {
        str(source): [msgspec.to_builtins(result) | {"state": result.state} for result in results]
        for source, results in verdict.evidence.items()
    }
    save_json(path, document)


def title(decision: str, weaker: Sequence[Weaker]) -> str:
    """A decision with its limits, in a few words."""
    kinds = {one.kind for one in weaker}
    limits = ["against weaker objectives"] if "objective" in kinds else []
    limits += ["from less evidence"] if "evidence" in kinds else []
    return " ".join([decision, " and ".join(limits)]).strip()
