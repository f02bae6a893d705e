"""What the first page says before anything else: three sentences, and the refuted claims with their causes."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from netra_sim.notebooks.outcome import Outcome
from netra_sim.quantities import counted
from netra_sim.site.plain_words import in_plain_words
from netra_sim.verdict.claim_tables import claim_anchor
from netra_sim.verdict.claims import JudgedClaim, Need, State
from netra_sim.verdict.verdict import Verdict

RESTING = "They rest on claims that are refuted"
"""The cause of claims about other claims."""


class RefutedClaim(NamedTuple):
    """A refuted claim in the plan's words, and the id of its evidence on the validation's page."""

    says: str
    anchor: str


class Refutation(msgspec.Struct, frozen=True):
    """A cause in everyday words, and the claims that it refutes; none if no claim rests on the check that failed."""

    cause: str
    claims: list[RefutedClaim]


class Opening(NamedTuple):
    """Three sentences: what was tested, what failed, and what that means."""

    tested: str
    failed: str
    means: str


def refutations(verdict: Verdict) -> list[Refutation]:
    """What failed, cause by cause, with the claims that it refutes; each claim once, below its first cause."""
    causes = {
        Need(source, result.check): in_plain_words(result, source)
        for source, results in verdict.evidence.items()
        for result in results
        if result.state == "failed"
    }
    claims: dict[str, list[RefutedClaim]] = {cause: [] for cause in causes.values()}
    resting: list[RefutedClaim] = []
    for number, one in enumerate(verdict.claims):
        if one.state is not State.REFUTED:
            continue
        named = RefutedClaim(one.claim.says, claim_anchor(number))
        if one.claim.all_of:
            resting.append(named)
        else:
            cause = next((causes[need] for need in one.claim.needs if need in causes), one.evidence)
            claims.setdefault(cause, []).append(named)
    found = [Refutation(cause, own) for cause, own in claims.items()]
    found.sort(key=lambda one: not one.claims)
    return [*found, Refutation(RESTING, resting)] if resting else found


def opening(outcome: Outcome) -> Opening:
    """What a report tested, what failed, and what that means, in a sentence each."""
    return Opening(_tested(outcome), _failed(outcome), _means(outcome))


def _tested(outcome: Outcome) -> str:
    verdict = outcome.verdict
    if verdict is None:
        titles = [run.task.notebook.title for run in outcome.runs]
        return f"No claim of the plan was judged; the report ran {_listed(titles) or 'nothing to its end'}."
    own = verdict.parameters
    return (
        f"The remediation plan's {len(verdict.claims):,} claims, with {own.users + own.windows_users:,} simulated users, "
        f"with {own.server_users:,} real clients of a real server on one machine, and with {len(verdict.caught):,} defects "
        "of the original system put back on purpose, to see that they are noticed."
    )


def _failed(outcome: Outcome) -> str:
    claims = outcome.verdict.claims if outcome.verdict else []
    refuted = sum(one.state is State.REFUTED for one in claims)
    causes = [one.cause for one in refutations(outcome.verdict) if one.cause != RESTING] if outcome.verdict else []
    first, *others = causes or outcome.reasons or [""]
    more = f"; and {len(others):,} more, below" if others else ""
    if refuted:
        return f"{refuted:,} of {counted(len(claims), 'claim')} {_are(refuted)} refuted. {first}{more}."
    if first:
        return f"{'No claim is refuted. ' if claims else ''}{first[:1].upper()}{first[1:]}{more}."
    return f"Nothing{': ' + _states(claims) if claims else ''}."


def _means(outcome: Outcome) -> str:
    match outcome.decision:
        case "GO":
            limits = outcome.title.removeprefix("GO").strip()
            return (
                f"GO{f' {limits}' if limits else ''}: these tests saw every promise kept that they can judge. Times in a "
                "simulation are not those of your production system."
            )
        case "NO-GO" if outcome.verdict and any(one.state is State.REFUTED for one in outcome.verdict.claims):
            return (
                "NO-GO: the plan promises what these tests saw broken. Mend the cause, or change the promise, before "
                "anything goes live."
            )
        case "NO-GO" if outcome.verdict and outcome.verdict.decision == "NO-GO":
            return "NO-GO: the evidence is not good enough to rely on; the reasons are below."
        case "NO-GO":
            return "NO-GO: an objective that was given for this report is missed."
        case "UNDECIDED":
            return "UNDECIDED: it does not count as GO. Make the report again, on a machine that is less busy."
        case "OBJECTIVES MET":
            return (
                "OBJECTIVES MET: the objectives that were given for this report are kept; it says nothing of the plan."
            )
        case "NO VERDICT":
            return "NO VERDICT: nothing was judged, so that nothing is decided."
        case "BROKEN":
            return "BROKEN: the report did not come to its end, and decides nothing. Mend the cause, and make it again."


def _states(claims: Sequence[JudgedClaim]) -> str:
    states = [one.state for one in claims]
    proven, given = states.count(State.PROVEN), states.count(State.GIVEN)
    open_ones = len(states) - proven - given - states.count(State.REFUTED)
    parts = [f"{proven:,} claims are proven"]
    parts += [f"{open_ones:,} cannot be proven by tests"] if open_ones else []
    parts += [f"{given:,} {_are(given)} figures from outside"] if given else []
    return _listed(parts)


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _listed(parts: Iterable[str]) -> str:
    *before, last = list(parts) or [""]
    return f"{', '.join(before)} and {last}" if before else last
