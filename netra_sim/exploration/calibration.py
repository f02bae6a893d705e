"""Calibration: what each check reads in the reference histories, beside what it read when it was certified.

A self-proof shows that a check sees one defect. Whether it still tells all those shades of right and wrong from each other
which its tests have shown it to tell, is seen here: one other reading, and it is not the check that was tested. Whoever
changes a check on purpose, and has tested it, certifies it with ``python -m netra_sim.exploration.calibration``.
"""

import hashlib
from importlib.resources import files
from pathlib import Path

import msgspec

from netra_sim.checks import CHECK_NAMES, CheckResult, check
from netra_sim.violations.reference_histories import reference_history

REFERENCES = 400
"""How many reference histories there are, numbered from 0."""

_CERTIFICATE = "certificate.json"


class Readings(msgspec.Struct, frozen=True):
    """What one check read in the reference histories, in their order.

    Attributes:
        found: how many findings; -1 where it had nothing to look at, -2 where it concluded nothing.
        digest: of the whole results, with their figures to nine digits and their findings word for word.
    """

    found: list[int]
    digest: str


def certified() -> dict[str, Readings]:
    """By the name of each check what it read when it was certified."""
    return msgspec.json.decode(
        files("netra_sim.exploration").joinpath(_CERTIFICATE).read_bytes(), type=dict[str, Readings]
    )


def readings() -> dict[str, Readings]:
    """By the name of each check what it reads now."""
    found: dict[str, list[int]] = {name: [] for name in CHECK_NAMES}
    digests = {name: hashlib.sha256() for name in CHECK_NAMES}
    for number in range(REFERENCES):
        reference = reference_history(number)
        for result in check(reference.history, reference.objectives):
            found[result.check].append(_count(result))
            digests[result.check].update(_canonical(result))
    return {name: Readings(found[name], digests[name].hexdigest()) for name in CHECK_NAMES}


def misread() -> dict[str, str]:
    """By its name each check that reads otherwise than it was certified to, and how, in a sentence."""
    before, now = certified(), readings()
    told = {}
    for name in CHECK_NAMES:
        expected = before.get(name)
        if expected is None:
            told[name] = "it has never been certified"
        elif expected != now[name]:
            pairs = enumerate(zip(expected.found, now[name].found, strict=True))
            others = [number for number, (one, other) in pairs if one != other]
            if others:
                told[name] = (
                    f"it finds more or less in {len(others)} of {REFERENCES} reference histories, first in {others[0]}"
                )
            else:
                told[name] = (
                    f"it finds as much in each of {REFERENCES} reference histories, and says something else of it"
                )
    return told


def _count(result: CheckResult) -> int:
    return {"not applicable": -1, "inconclusive": -2}.get(result.state, result.found)


def _canonical(result: CheckResult) -> bytes:
    figures = {name: f"{figure.value:.9g} {figure.unit} {figure.better}" for name, figure in result.measured.items()}
    findings = [(one.message, one.user, one.run, one.event, one.seq, one.row) for one in result.findings]
    return msgspec.json.encode((result.looked_at, result.found, findings, figures, result.inconclusive))


def main() -> None:
    """Certify the checks as they are."""
    path = Path(__file__).with_name(_CERTIFICATE)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(readings()), indent=0) + b"\n")


if __name__ == "__main__":
    main()
