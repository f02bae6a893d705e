"""The certificate: what each check reads in the reference histories, compared with what it read when it was certified.

A self-proof shows that a check sees one defect. The certificate shows that it is still the check that its tests approved:
one different reading in one reference history reveals a changed check. In the same way, the certificate covers what the
runtime answers in the reference conversations. After an intended and tested change of a check or of the runtime, certify it
with ``python -m netra_sim.defects``.
"""

import hashlib
from importlib.resources import files
from pathlib import Path

import msgspec

from netra_sim.checks import OWN_CHECKS, CheckResult, Finding, check
from netra_sim.checks.results import FINDINGS_SHOWN
from netra_sim.defects.conversations import conversation
from netra_sim.defects.planted.reference import reference_history

REFERENCES = 720
"""How many reference histories there are, numbered from 0; the last 120 are of other systems."""

CONVERSATIONS = 150
"""How many reference conversations there are, numbered from 0."""

RUNTIME = "reference-conversations"
"""The name of the readings of the runtime."""

_CERTIFICATE = "certificate.json"
_NAMES = tuple(one.name for one in OWN_CHECKS)


class Readings(msgspec.Struct, frozen=True):
    """What one check read in the reference histories, in their order, or what the runtime said in the conversations.

    Attributes:
        found: for each history the number of findings, -1 for "not applicable", -2 for "inconclusive"; for each conversation
            a number derived from everything said in it.
        digest: of the complete results: figures to nine digits, and findings word for word.
    """

    found: list[int]
    digest: str

    def differing(self, other: "Readings") -> list[int]:
        """The numbers of the histories or conversations in which the other readings differ."""
        pairs = enumerate(zip(self.found, other.found, strict=True))
        return [number for number, (one, another) in pairs if one != another]


def certified() -> dict[str, Readings]:
    """For each check what it read when it was certified."""
    return msgspec.json.decode(files("netra_sim.defects").joinpath(_CERTIFICATE).read_bytes(), type=dict[str, Readings])


def runtime_readings() -> Readings:
    """What the runtime now says in the reference conversations."""
    said = [hashlib.sha256("\n".join(conversation(number)).encode()) for number in range(CONVERSATIONS)]
    found = [int.from_bytes(one.digest()[:3]) for one in said]
    return Readings(found, hashlib.sha256(b"".join(one.digest() for one in said)).hexdigest())


def runtime_as_certified() -> CheckResult:
    """Compare what the runtime says in the reference conversations with what it said when it was certified."""
    others = certified()[RUNTIME].differing(runtime_readings())
    return CheckResult(
        check=RUNTIME,
        question="Does the runtime say in the reference conversations what it said when it was certified?",
        looked_at=CONVERSATIONS,
        unit="conversations",
        found=len(others),
        findings=tuple(
            Finding(message=f"conversation {number} goes otherwise than when the runtime was certified")
            for number in others[:FINDINGS_SHOWN]
        ),
    )


def readings() -> dict[str, Readings]:
    """For each check what it reads now."""
    found: dict[str, list[int]] = {name: [] for name in _NAMES}
    digests = {name: hashlib.sha256() for name in _NAMES}
    for number in range(REFERENCES):
        reference = reference_history(number)
        for result in check(reference.history, reference.objectives, OWN_CHECKS):
            found[result.check].append(_count(result))
            digests[result.check].update(_canonical(result))
    return {name: Readings(found[name], digests[name].hexdigest()) for name in _NAMES}


def misread() -> dict[str, str]:
    """For each check that reads differently than when it was certified, how it differs, in a sentence."""
    before, now = certified(), readings()
    differences = {}
    for name in _NAMES:
        expected = before.get(name)
        if expected is None:
            differences[name] = "it has never been certified"
        elif expected != now[name]:
            others = expected.differing(now[name])
            if others:
                differences[name] = (
                    f"it finds more or less in {len(others)} of {REFERENCES} reference histories, first in {others[0]}"
                )
            else:
                differences[name] = (
                    f"it finds as much in each of {REFERENCES} reference histories, and says something else of it"
                )
    return differences


def _count(result: CheckResult) -> int:
    return {"not applicable": -1, "inconclusive": -2}.get(result.state, result.found)


def _canonical(result: CheckResult) -> bytes:
    figures = {name: f"{figure.value:.9g} {figure.unit} {figure.better}" for name, figure in result.measured.items()}
    findings = [(one.message, one.user, one.run, one.event, one.seq, one.row) for one in result.findings]
    return msgspec.json.encode((result.looked_at, result.found, findings, figures, result.inconclusive))


def certify() -> None:
    """Certify the checks and the runtime as they are."""
    path = Path(__file__).with_name(_CERTIFICATE)
    path.write_bytes(msgspec.json.encode(readings() | {RUNTIME: runtime_readings()}) + b"\n")
