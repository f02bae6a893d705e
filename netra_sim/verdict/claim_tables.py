"""Tables of claims, scores and self-proofs."""

from collections.abc import Mapping, Sequence
from html import escape

from netra_sim.defects import SelfProof
from netra_sim.tables import badge, table
from netra_sim.verdict.claims import JudgedClaim, State

SCORE_DEFINITION = "A score is the share of its claims that are proven, out of 10. Given figures do not count."


def claims_table(claims: Sequence[tuple[int, JudgedClaim]]) -> str:
    """Claims of the plan, by heading, with what the evidence says of each.

    Args:
        claims: each with its number in the verdict, by which other pages link to it.
    """
    headings = dict.fromkeys(one.claim.heading for _, one in claims)
    return "".join(
        _claims_of(heading, [pair for pair in claims if pair[1].claim.heading == heading]) for heading in headings
    )


def claim_anchor(number: int) -> str:
    """The id of a claim on the validation's page."""
    return f"claim-{number + 1}"


def _claims_of(heading: str, claims: Sequence[tuple[int, JudgedClaim]]) -> str:
    rows = [
        (
            f'<span id="{claim_anchor(number)}">{escape(one.claim.says)}</span>',
            badge(one.state),
            escape(one.evidence),
            escape("; ".join(one.minimum)),
            escape("; ".join(one.teeth)),
        )
        for number, one in claims
    ]
    proven = sum(one.state is State.PROVEN for _, one in claims)
    caption = f"{heading}: {proven} of {len(rows)} proven"
    return table(caption, ("The plan says", "State", "Evidence", "Least evidence", "Seen to catch"), rows)


def proofs_table(proofs: Sequence[SelfProof]) -> str:
    """Each check with its planted defect: whether it found that and nothing else, and reads the references as certified."""
    rows = [
        (
            escape(one.check),
            escape(one.defect),
            "found" if one.planted.state == "failed" else "<strong>overlooked</strong>",
            "" if one.clean is None else escape(one.clean.state),
            f"<strong>{escape(one.misread)}</strong>"
            if one.misread
            else "as certified"
            if one.clean is not None
            else "",
        )
        for one in proofs
    ]
    held = sum(one.holds for one in proofs)
    caption = f"Each check against its own planted defect: {held} of {len(rows)} found"
    return table(caption, ("Check", "Planted defect", "With it", "Without it", "Reference histories"), rows)


def scores_table(scores: Mapping[str, float]) -> str:
    """The plan's scores, computed, with their definition."""
    rows = [(escape(name), f"{score:.1f} of 10") for name, score in scores.items()]
    return table("Scores", ("Score", "Value"), rows) + f"<p>{escape(SCORE_DEFINITION)}</p>"
