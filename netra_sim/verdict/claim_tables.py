"""Tables of claims, scores and self-proofs."""

from collections.abc import Mapping, Sequence

from netra_sim.defects import SelfProof
from netra_sim.tables import Html, badge, table
from netra_sim.verdict.claims import JudgedClaim, State

SCORE_DEFINITION = "A score is the share of its claims that are proven, out of 10. Given figures do not count."
_STRONG = Html("<strong>{}</strong>")


def claims_table(claims: Sequence[tuple[int, JudgedClaim]]) -> Html:
    """Tables of judged claims, one for each heading of the plan.

    Args:
        claims: claims with their numbers in the verdict; links from other pages use the number.
    """
    headings = dict.fromkeys(one.claim.heading for _, one in claims)
    return Html().join(
        _claims_of(heading, [pair for pair in claims if pair[1].claim.heading == heading]) for heading in headings
    )


def claim_anchor(number: int) -> str:
    """The id of a claim on the validation's page."""
    return f"claim-{number + 1}"


def _claims_of(heading: str, claims: Sequence[tuple[int, JudgedClaim]]) -> Html:
    rows = [
        (
            Html('<span id="{}">{}</span>').format(claim_anchor(number), one.claim.says),
            badge(one.state),
            one.evidence,
            "; ".join(one.minimum),
            "; ".join(one.teeth),
        )
        for number, one in claims
    ]
    proven = sum(one.state is State.PROVEN for _, one in claims)
    caption = f"{heading}: {proven} of {len(rows)} proven"
    return table(caption, ("The plan says", "State", "Evidence", "Least evidence", "Seen to catch"), rows)


def proofs_table(proofs: Sequence[SelfProof]) -> Html:
    """For each check: whether it found its planted defect and nothing else, and reads the references as certified."""
    held = sum(one.holds for one in proofs)
    caption = f"Each check against its own planted defect: {held} of {len(proofs)} found"
    header = ("Check", "Planted defect", "With it", "Without it", "Reference histories")
    return table(caption, header, map(_proof, proofs))


def _proof(one: SelfProof) -> tuple[str, ...]:
    planted = "found" if one.planted.state == "failed" else _STRONG.format("overlooked")
    clean, certified = ("", "") if one.clean is None else (one.clean.state, "as certified")
    return one.check, one.defect, planted, clean, _STRONG.format(one.misread) if one.misread else certified


def scores_table(scores: Mapping[str, float]) -> Html:
    """The computed scores, with their definition."""
    rows = [(name, f"{score:.1f} of 10") for name, score in scores.items()]
    return table("Scores", ("Score", "Value"), rows) + Html("<p>{}</p>").format(SCORE_DEFINITION)
