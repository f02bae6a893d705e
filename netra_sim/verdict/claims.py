"""The claims of the remediation plan, from ``claims.toml``, and how evidence decides each claim."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from netra_sim.checks import CheckResult

CLAIMS_FILE = Path(__file__).with_name("claims.toml")


class Source(StrEnum):
    """Where evidence comes from; ``claims.toml`` uses the values."""

    SIMULATED = "simulated"
    WINDOWS_CLOCK = "windows-clock"
    SERVER = "server"
    ROLLBACK = "rollback-drill"
    LIMITS = "limit-drill"
    CONFORMANCE = "conformance"
    AUDIT = "audit"
    TESTS = "tests"
    WINDOWS = "windows"

    @property
    def label(self) -> str:
        """The name of the source for readers."""
        return _TITLES[self]


_TITLES = {
    Source.SIMULATED: "simulated",
    Source.WINDOWS_CLOCK: "simulated on Windows' clock",
    Source.SERVER: "real server",
    Source.ROLLBACK: "rollback drill",
    Source.LIMITS: "users at their limits",
    Source.CONFORMANCE: "conformance checks of the runtime",
    Source.AUDIT: "audit of the source",
    Source.TESTS: "the plan's test files",
    Source.WINDOWS: "recorded on Windows CPython",
}
EVERYWHERE = (Source.SIMULATED, Source.WINDOWS_CLOCK, Source.SERVER)


class Need(NamedTuple):
    """One check over one source that a claim rests on."""

    source: str
    check: str


class Claim(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True, omit_defaults=True):
    """One statement of the plan that can be true or false.

    Attributes:
        says: the plan's words.
        proof: the checks that must pass, as SOURCE/CHECK.
        guards: ids of the incidents that the checks must catch.
        all_of: for a claim about other claims: a score's name, the beginning of their headings, or "everything".
        given: for a figure that nothing here can measure: the name of its parameter.
        why: for a claim that nothing here can prove: the reason.
        heading: the heading of the plan that contains it.
        score: the name of its score, or "".
    """

    says: str
    proof: tuple[str, ...] = ()
    guards: tuple[str, ...] = ()
    all_of: str = ""
    given: str = ""
    why: str = ""
    heading: str = ""
    score: str = ""

    @property
    def needs(self) -> tuple[Need, ...]:
        """Every check of the proof, with every source that it must pass on."""
        needs = []
        for entry in self.proof:
            where, _, name = entry.partition("/")
            sources = EVERYWHERE if where == "everywhere" else (Source(where),)
            needs += [Need(source, name) for source in sources]
        return tuple(needs)


class State(StrEnum):
    """The state of a claim."""

    PROVEN = "proven"
    REFUTED = "refuted"
    UNPROVEN = "unproven"
    NOT_ENOUGH = "not enough evidence"
    GIVEN = "given"


BUSY = "the machine was busy"
"""The beginning of `CheckResult.inconclusive` if the machine was too busy to judge a check."""


class JudgedClaim(msgspec.Struct, frozen=True, kw_only=True):
    """A claim with its state.

    Attributes:
        evidence: the reason for the state, in words; for a refuted claim, the figures and the objectives.
        minimum: the least evidence that its checks require, in words; a check without an entry requires one thing to look
            at.
        teeth: for each incident that it guards against, which of its checks caught it.
        is_undecided: whether a busy machine is the only reason that it is not proven.
    """

    claim: Claim
    state: State
    evidence: str
    minimum: tuple[str, ...] = ()
    teeth: tuple[str, ...] = ()
    is_undecided: bool = False


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
        ValueError: a claim names an unknown source, or not exactly one of proof, all-of, given and why.
    """
    claims = []
    for section in msgspec.toml.decode(path.read_bytes(), type=_File).section:
        for claim in section.claim:
            claims.append(replace(claim, heading=section.heading, score=section.score))
            ways = [bool(way) for way in (claim.proof, claim.all_of, claim.given, claim.why)]
            if sum(ways) != 1 or (claim.guards and not claim.proof):
                raise ValueError(f"{claim.says!r} must have exactly one of proof, all-of, given and why")
            assert claim.needs or not claim.proof  # noqa: S101 - reading `needs` raises for unknown sources
    return tuple(claims)


CLAIMS = read_claims()


def judge(
    results: Mapping[str, Sequence[CheckResult]],
    caught: Mapping[str, Mapping[str, int]],
    seen: Mapping[str, Sequence[str]],
    given: Mapping[str, str],
    claims: Sequence[Claim] = CLAIMS,
) -> list[JudgedClaim]:
    """Decide the state of every claim.

    A claim is refuted if a check that it needs failed. It is unproven if a result is missing, a check was never seen to
    detect anything, or its checks did not catch an incident that it guards against. It has not enough evidence if a check
    did not pass. Otherwise it is proven. The first of these rules that applies decides.

    Args:
        results: the results of the checks, by source.
        caught: for each incident, the checks that caught its defects, with the number of seeds.
        seen: for each check, what it was seen to detect.
        given: the given figures in words, by parameter.
        claims: the claims to judge.
    """
    found = {Need(source, result.check): result for source, own in results.items() for result in own}
    judged: dict[Claim, JudgedClaim] = {}
    for claim in claims:
        if claim.given:
            judged[claim] = JudgedClaim(claim=claim, state=State.GIVEN, evidence=given[claim.given])
        elif claim.why:
            judged[claim] = JudgedClaim(claim=claim, state=State.UNPROVEN, evidence=claim.why)
        elif claim.proof:
            judged[claim] = _judge(claim, found, caught, seen)
    for claim in claims:
        if claim.all_of:
            judged[claim] = _judge_together(
                claim, [judged[one] for one in claims if one in judged and _covers(claim, one)]
            )
    return [judged[claim] for claim in claims]


def _judge(
    claim: Claim,
    found: Mapping[Need, CheckResult],
    caught: Mapping[str, Mapping[str, int]],
    seen: Mapping[str, Sequence[str]],
) -> JudgedClaim:
    own = {need: found[need] for need in claim.needs if need in found}
    minimum = tuple(dict.fromkeys(f"{need.check}: {one.minimum}" for need, one in own.items() if one.minimum))

    def judged(state: State, evidence: str) -> JudgedClaim:
        return JudgedClaim(claim=claim, state=state, evidence=evidence, minimum=minimum)

    if failed := [need for need, one in own.items() if one.state == "failed"]:
        return judged(State.REFUTED, "; ".join(_cause(need, found[need]) for need in failed))
    if missing := [need for need in claim.needs if need not in own]:
        return judged(State.UNPROVEN, "there is no result of: " + _listed(missing))
    checks = dict.fromkeys(need.check for need in claim.needs)
    if blind := [name for name in checks if not seen.get(name)]:
        return judged(
            State.UNPROVEN,
            f"never seen to detect anything, or not as certified: {', '.join(blind)}; their passing says nothing",
        )
    catches = {incident: sorted(checks.keys() & caught.get(incident, {}).keys()) for incident in claim.guards}
    if overlooked := [incident for incident, names in catches.items() if not names]:
        reason = f"its checks caught no defect of {', '.join(overlooked)}, so that their passing says nothing of it"
        return judged(State.UNPROVEN, reason)
    if weak := {need: one for need, one in own.items() if one.state != "passed"}:
        reason = "; ".join(_lack(need, one) for need, one in weak.items())
        is_undecided = all(map(was_busy, weak.values()))
        return replace(judged(State.NOT_ENOUGH, reason), is_undecided=is_undecided)
    looked_at = sum(one.looked_at for one in own.values())
    proven = judged(State.PROVEN, f"{looked_at:,} looked at, none wrong: " + _listed(claim.needs))
    return replace(proven, teeth=tuple(f"{incident}: {', '.join(names)}" for incident, names in catches.items()))


def was_busy(result: CheckResult) -> bool:
    """Whether a check is inconclusive because the machine was busy."""
    return result.state == "inconclusive" and result.inconclusive.startswith(BUSY)


def _cause(need: Need, result: CheckResult) -> str:
    more = f", and {result.found - 1:,} more" if result.found > 1 else ""
    message = result.findings[0].message if result.findings else f"{result.found:,} found"
    return f"{need.check} ({Source(need.source).label}): {message}{more}"


def _lack(need: Need, result: CheckResult) -> str:
    return f"{need.check} ({Source(need.source).label}): {result.inconclusive or 'there was nothing to look at'}"


def _covers(whole: Claim, part: Claim) -> bool:
    if whole.all_of == "everything":
        return bool(part.proof)
    return not part.given and (part.score == whole.all_of or part.heading.startswith(whole.all_of))


def _judge_together(claim: Claim, parts: Sequence[JudgedClaim]) -> JudgedClaim:
    states = [part.state for part in parts]
    evidence = f"{states.count(State.PROVEN)} of the {len(parts)} claims that it rests on are proven"
    worst = next(
        (state for state in (State.REFUTED, State.UNPROVEN, State.NOT_ENOUGH) if state in states), State.PROVEN
    )
    return JudgedClaim(claim=claim, state=worst if parts else State.UNPROVEN, evidence=evidence)


def _listed(needs: Sequence[Need]) -> str:
    sources = {name: [source.label for source in Source if Need(source, name) in needs] for _, name in needs}
    together: dict[str, list[str]] = {}
    for name, labels in sources.items():
        together.setdefault(", ".join(labels), []).append(name)
    return "; ".join(f"{', '.join(names)} ({labels})" for labels, names in together.items())
