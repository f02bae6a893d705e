"""What the remediation plan claims, in the words of ``claims.toml``, and what the evidence says of each claim."""

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import msgspec

from netra_sim.checks import CheckResult

CLAIMS_FILE = Path(__file__).with_name("claims.toml")


class Source(StrEnum):
    """Where evidence comes from; the values are the words that ``claims.toml`` uses."""

    SIMULATED = "simulated"
    WINDOWS_CLOCK = "windows-clock"
    SERVER = "server"
    ROLLBACK = "rollback-drill"
    EXPERIMENTS = "experiments"
    AUDIT = "audit"
    TESTS = "tests"

    @property
    def label(self) -> str:
        """For readers."""
        return _TITLES[self]


_TITLES = {
    Source.SIMULATED: "simulated",
    Source.WINDOWS_CLOCK: "simulated on Windows' clock",
    Source.SERVER: "real server",
    Source.ROLLBACK: "rollback drill",
    Source.EXPERIMENTS: "experiments on the runtime",
    Source.AUDIT: "audit of the source",
    Source.TESTS: "the plan's test files",
}
EVERYWHERE = (Source.SIMULATED, Source.WINDOWS_CLOCK, Source.SERVER)


class Need(NamedTuple):
    """One check over one source that a claim rests on."""

    source: Source
    check: str


class Claim(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """One statement of the plan that can be true or false.

    Attributes:
        says: the plan's words.
        proof: what must pass, as SOURCE/CHECK.
        guards: ids of the incidents that the proof must be able to see.
        all_of: for a statement about other claims: a score's name, the beginning of their headings, or "everything".
        given: for a figure that nothing here can measure: the parameter that holds it.
        why: for a claim without a proof, why there is none.
        platform: the only platform on which the proof can be had, such as "win32".
        heading: where the plan says it.
        score: the score that it counts for, or "".
    """

    says: str
    proof: tuple[str, ...] = ()
    guards: tuple[str, ...] = ()
    all_of: str = ""
    given: str = ""
    why: str = ""
    platform: str = ""
    heading: str = ""
    score: str = ""

    @property
    def needs(self) -> tuple[Need, ...]:
        """The proof, each check over each of its sources."""
        needs = []
        for entry in self.proof:
            where, _, name = entry.partition("/")
            sources = EVERYWHERE if where == "everywhere" else (Source(where),)
            needs += [Need(source, name) for source in sources]
        return tuple(needs)

    @property
    def can_be_proven_here(self) -> bool:
        """Whether evidence for it can be had on this platform."""
        return bool(self.proof) and self.platform in ("", sys.platform)


class State(StrEnum):
    """What the evidence says of a claim."""

    PROVEN = "proven"
    REFUTED = "refuted"
    UNPROVEN = "unproven"
    GIVEN = "given"


class JudgedClaim(msgspec.Struct, frozen=True, kw_only=True):
    """A claim with what the evidence says of it.

    Attributes:
        evidence: why it is in its state, in words.
        teeth: for each incident that it guards against, which of its checks caught it.
    """

    claim: Claim
    state: State
    evidence: str
    teeth: tuple[str, ...] = ()


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    heading: str
    claim: tuple[Claim, ...]
    score: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    section: tuple[_Section, ...]


def read_claims(path: Path = CLAIMS_FILE) -> tuple[Claim, ...]:
    """The claims, in the plan's order.

    Raises:
        msgspec.ValidationError: the file has a field that claims do not have, or lacks one.
        ValueError: a claim names a source that does not exist, or has no one way to be judged.
    """
    claims = []
    for section in msgspec.toml.decode(path.read_bytes(), type=_File).section:
        for claim in section.claim:
            claims.append(msgspec.structs.replace(claim, heading=section.heading, score=section.score))
            ways = [bool(way) for way in (claim.proof, claim.all_of, claim.given, claim.why)]
            if sum(ways) != 1 or (claim.guards and not claim.proof):
                raise ValueError(f"{claim.says!r} must have exactly one of proof, all-of, given and why")
            assert claim.needs or not claim.proof  # noqa: S101 - reading them refuses unknown sources
    return tuple(claims)


CLAIMS = read_claims()


def judge(
    results: Mapping[Source, Sequence[CheckResult]],
    caught: Mapping[str, Mapping[str, int]],
    given: Mapping[str, str],
    claims: Sequence[Claim] = CLAIMS,
) -> list[JudgedClaim]:
    """Hold every claim against the evidence.

    A claim is proven if every check that it needs looked at something and found nothing wrong, and if its checks have
    caught every incident that it guards against. One failed check refutes it. Anything less leaves it unproven.

    Args:
        results: of the checks, by source.
        caught: for each incident the checks that caught its violations, with the number of seeds.
        given: in words, the parameters that claims may name.
        claims: which claims.
    """
    found = {Need(source, result.check): result for source, own in results.items() for result in own}
    judged = {claim: _judge(claim, found, caught, given) for claim in claims if not claim.all_of}
    for claim in claims:
        if claim.all_of:
            judged[claim] = _judge_together(
                claim, [judged[one] for one in claims if one in judged and _covers(claim, one)]
            )
    return [judged[claim] for claim in claims]


def _judge(
    claim: Claim, found: Mapping[Need, CheckResult], caught: Mapping[str, Mapping[str, int]], given: Mapping[str, str]
) -> JudgedClaim:
    if claim.given:
        return JudgedClaim(claim=claim, state=State.GIVEN, evidence=given[claim.given])
    if claim.why:
        return JudgedClaim(claim=claim, state=State.UNPROVEN, evidence=claim.why)
    if not claim.can_be_proven_here:
        reason = f"It takes a run on {claim.platform}; this one was made on {sys.platform}."
        return JudgedClaim(claim=claim, state=State.UNPROVEN, evidence=reason)
    states = {need: found[need].state if need in found else "missing" for need in claim.needs}
    failed = [need for need, state in states.items() if state == "failed"]
    if failed:
        return JudgedClaim(claim=claim, state=State.REFUTED, evidence="failed: " + _listed(failed))
    unseen = [need for need, state in states.items() if state != "passed"]
    if unseen:
        reason = "nothing was looked at in: " + _listed(unseen)
        return JudgedClaim(claim=claim, state=State.UNPROVEN, evidence=reason)
    own = {need.check for need in claim.needs}
    catches = {incident: sorted(own & caught.get(incident, {}).keys()) for incident in claim.guards}
    blind = [incident for incident, checks in catches.items() if not checks]
    if blind:
        reason = f"its checks caught no violation of {', '.join(blind)}, so that their passing says nothing of it"
        return JudgedClaim(claim=claim, state=State.UNPROVEN, evidence=reason)
    looked_at = sum(found[need].looked_at for need in claim.needs)
    return JudgedClaim(
        claim=claim,
        state=State.PROVEN,
        evidence=f"{looked_at:,} looked at, none wrong: " + _listed(claim.needs),
        teeth=tuple(f"{incident}: {', '.join(checks)}" for incident, checks in catches.items()),
    )


def _covers(whole: Claim, part: Claim) -> bool:
    if whole.all_of == "everything":
        return part.can_be_proven_here
    return bool(part.score == whole.all_of or part.heading.startswith(whole.all_of)) and not (
        part.given or (part.platform and not part.can_be_proven_here)
    )


def _judge_together(claim: Claim, parts: Sequence[JudgedClaim]) -> JudgedClaim:
    states = [part.state for part in parts]
    told = f"{states.count(State.PROVEN)} of the {len(parts)} claims that it rests on are proven"
    if State.REFUTED in states:
        return JudgedClaim(claim=claim, state=State.REFUTED, evidence=told)
    is_proven = bool(parts) and all(state is State.PROVEN for state in states)
    return JudgedClaim(claim=claim, state=State.PROVEN if is_proven else State.UNPROVEN, evidence=told)


def _listed(needs: Sequence[Need]) -> str:
    sources = {name: [source.label for source in Source if Need(source, name) in needs] for _, name in needs}
    together: dict[str, list[str]] = {}
    for name, labels in sources.items():
        together.setdefault(", ".join(labels), []).append(name)
    return "; ".join(f"{', '.join(names)} ({labels})" for labels, names in together.items())
