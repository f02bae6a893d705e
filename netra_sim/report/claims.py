"""What the remediation plan claims, and which checks, over which evidence, would have to pass for each claim to stand."""

from enum import StrEnum

import msgspec

from netra_sim.checks import CheckResult


class Source(StrEnum):
    """Where evidence comes from."""

    SIMULATED = "simulated"
    WINDOWS_CLOCK = "simulated, Windows clock"
    SERVER = "real server"
    RUNTIME = "runtime"


EVERYWHERE = (Source.SIMULATED, Source.WINDOWS_CLOCK, Source.SERVER)


class Claim(msgspec.Struct, frozen=True):
    """One sentence of the plan that can be true or false.

    Attributes:
        section: the plan's heading.
        sentence: the plan's words, shortened.
        needs: the evidence, as (source, check) pairs; all must pass. Empty where no evidence exists.
        why_open: for a claim without evidence, why there is none.
    """

    section: str
    sentence: str
    needs: tuple[tuple[Source, str], ...] = ()
    why_open: str = ""


class State(StrEnum):
    """What the evidence says of a claim."""

    SHOWN = "shown"
    REFUTED = "refuted"
    OPEN = "open"


class JudgedClaim(msgspec.Struct, frozen=True):
    """A claim with what the evidence says of it.

    Attributes:
        evidence: which evidence, and what it says, in words.
    """

    claim: Claim
    state: State
    evidence: str


def _over(sources: tuple[Source, ...], *checks: str) -> tuple[tuple[Source, str], ...]:
    return tuple((source, check) for source in sources for check in checks)


SSOT = "SSOT compliance"
ARCHITECTURE = "Architecture alignment"
BUSINESS = "Business value"
CHECKLIST = "Implementation checklist"

CLAIMS: tuple[Claim, ...] = (
    Claim(
        SSOT,
        "Windows asyncio: streaming code uses the windows_asyncio_safe patterns, and works on Windows' clock",
        (*_over((Source.WINDOWS_CLOCK,), "every-run-ends", "critical-events", "nothing-left"),
         *_over((Source.RUNTIME,), "windows-layer")),
    ),
    Claim(
        SSOT,
        "WebSocket bridge: all events go through AgentWebSocketBridge, and what it says is true",
        (*_over(EVERYWHERE, "truthfulness", "delivery"), *_over((Source.RUNTIME,), "bridge-integration")),
    ),
    Claim(
        SSOT,
        "Factory patterns: ExecutionEngineFactory keeps users apart",
        (*_over(EVERYWHERE, "cross-user-isolation", "shared-state"), *_over((Source.RUNTIME,), "factory-needs-bridge")),
    ),
    Claim(SSOT, "Zero new SSOT: no competing implementations were created",
          why_open="It takes an audit of the source code, which this version does not make."),
    Claim(ARCHITECTURE, "User context architecture: isolation by factory is preserved",
          _over(EVERYWHERE, "shared-state", "cross-user-isolation")),
    Claim(ARCHITECTURE, "Factory orchestration: every request has a scope of its own, from its beginning to its end",
          _over(EVERYWHERE, "critical-events", "nothing-left")),
    Claim(ARCHITECTURE, "WebSocket integration: the bridge coordinates all traffic between agents and clients",
          _over(EVERYWHERE, "truthfulness")),
    Claim(ARCHITECTURE, "User-specific resource limits: the number of a user's engines is bounded under concurrency",
          _over(EVERYWHERE, "engine-limit")),
    Claim(ARCHITECTURE, "Resource management: clean-up and boundaries are intact",
          _over(EVERYWHERE, "nothing-left", "memory")),
    Claim(BUSINESS, "$120K+ MRR protected",
          why_open="Revenue is in none of the recorded data; no run of the software can show it."),
    Claim(BUSINESS, "WebSocket events: all critical events are preserved",
          _over(EVERYWHERE, "critical-events", "every-run-ends", "delivery")),
    Claim(BUSINESS, "Multi-user support: concurrent users are isolated", _over(EVERYWHERE, "cross-user-isolation")),
    Claim(BUSINESS, "Streaming reliability: no deadlock under Windows' clock",
          _over((Source.WINDOWS_CLOCK,), "every-run-ends", "nothing-left")),
    Claim(CHECKLIST, "windows_asyncio_safe exists and contains the required patterns",
          _over((Source.RUNTIME,), "windows-layer")),
    Claim(CHECKLIST, "AgentWebSocketBridge is properly initialised at start-up",
          _over((Source.RUNTIME,), "bridge-integration")),
    Claim(CHECKLIST, "ExecutionEngineFactory accepts websocket_bridge, and nothing less",
          _over((Source.RUNTIME,), "factory-needs-bridge")),
    Claim(CHECKLIST, "WebSocket agent events are delivered correctly, in time",
          _over(EVERYWHERE, "delivery", "truthfulness", "timestamps", "latency", "completion", "refusals")),
    Claim(CHECKLIST, "Multi-user isolation is preserved under concurrent load",
          _over(EVERYWHERE, "cross-user-isolation", "shared-state")),
)  # fmt: skip


def judge(claim: Claim, results: dict[Source, list[CheckResult]]) -> JudgedClaim:
    """Hold a claim against the evidence: shown if all that it needs passed, refuted if anything failed, else open."""
    if not claim.needs:
        return JudgedClaim(claim, State.OPEN, claim.why_open)
    found = {(source, result.check): result for source, own in results.items() for result in own}
    states = {need: found[need].state if need in found else "missing" for need in claim.needs}
    failed = [need for need, state in states.items() if state == "failed"]
    if failed:
        return JudgedClaim(claim, State.REFUTED, "failed: " + _listed(failed))
    unseen = [need for need, state in states.items() if state != "passed"]
    if unseen:
        return JudgedClaim(claim, State.OPEN, "nothing was looked at in: " + _listed(unseen))
    looked_at = sum(found[need].looked_at for need in claim.needs)
    return JudgedClaim(claim, State.SHOWN, f"{looked_at:,} looked at, none wrong: " + _listed(claim.needs))


def _listed(needs: "list[tuple[Source, str]] | tuple[tuple[Source, str], ...]") -> str:
    sources: dict[str, list[str]] = {}
    for source, check in needs:
        sources.setdefault(check, []).append(source)
    return "; ".join(f"{check} ({', '.join(own)})" for check, own in sources.items())
