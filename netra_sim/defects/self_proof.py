"""Self-proofs: each check must find its planted defect, and must find nothing without the defect.

A check that passes proves something only if it can fail. The detection matrix shows that for seeded defects, in minutes;
self-proofs show it for every check, in seconds, and also that the check is still the certified one.
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import msgspec

from netra_sim.audit import Config, as_results, audit
from netra_sim.checks import CheckResult, check
from netra_sim.defects.certificate import RUNTIME, misread, runtime_as_certified
from netra_sim.defects.detection import Detection
from netra_sim.defects.hazards import Hazard
from netra_sim.defects.planted.histories import PLANTED_HISTORIES
from netra_sim.defects.planted.sources import PLANTED_SOURCES
from netra_sim.defects.seeded import DEFECTS
from netra_sim.defects.windows_record import WindowsRun, recorded_code, recorded_on_windows


class SelfProof(msgspec.Struct, frozen=True, kw_only=True):
    """The results of a check with and without its planted defect.

    Attributes:
        check: its name.
        defect: the planted defect, in a sentence.
        planted: the result with the defect.
        clean: the result without it; None if the report's evidence already has it.
        misread: how its readings of the reference histories differ from the certificate; "" if they do not.
    """

    check: str
    defect: str
    planted: CheckResult
    clean: CheckResult | None = None
    misread: str = ""

    @property
    def holds(self) -> bool:
        """Whether the check fails with the defect, passes without it, and reads the reference histories as certified."""
        is_right_on_both = self.planted.state == "failed" and (self.clean is None or self.clean.state == "passed")
        return is_right_on_both and not self.misread


def self_proofs() -> list[SelfProof]:
    """Run every check on its planted defect: checks on histories, audit rules on source trees, and the runtime."""
    return [*_of_histories(), *_of_sources(), _of_the_runtime(), *_of_windows()]


def seen_to_detect(proofs: Iterable[SelfProof], detection: Detection) -> dict[str, list[str]]:
    """For each check the defects that it was seen to detect: planted ones, and those of the detection matrix.

    The detection matrix counts nothing for a check that fails on the clean runtime, or that is not as certified.
    """
    proofs, found = list(proofs), dict[str, list[str]]()
    others = {proof.check for proof in proofs if proof.misread}
    for proof in proofs:
        found.setdefault(proof.check, []).extend([proof.defect] if proof.holds else [])
    for name in detection.checks:
        caught = [row.defect for row in detection.rows if name in row.caught]
        found.setdefault(name, []).extend([] if name in detection.false_alarms or name in others else caught)
    return found


def _of_histories() -> list[SelfProof]:
    others = misread()
    return [
        SelfProof(
            check=name,
            defect=one.defect,
            planted=_named(name, check(one.planted(), one.objectives)),
            clean=_named(name, check(one.clean(), one.objectives)),
            misread=others.get(name, ""),
        )
        for name, one in PLANTED_HISTORIES.items()
    ]


def _of_the_runtime() -> SelfProof:
    defect = DEFECTS["gap-one-short"]
    with defect.switched_on():
        return SelfProof(check=RUNTIME, defect=defect.symptom, planted=runtime_as_certified())


def _of_windows() -> list[SelfProof]:
    """The checks of Windows records, with a record that has the faults of the original layer and one that has none."""
    early = Hazard(name="early sleep", question="", tried=60, stock=60, safe=32)
    planted = WindowsRun(
        python="3.11.9",
        system="nowhere",
        loop=("SelectorEventLoop",),
        date="2025-09-05",
        code=recorded_code(),
        hazards=(early,),
        digests_equal=39,
        digests=40,
    )
    clean = msgspec.structs.replace(
        planted, loop=("ProactorEventLoop",), hazards=(msgspec.structs.replace(early, safe=0),), digests_equal=40
    )
    with_defects, without = recorded_on_windows((planted,)), recorded_on_windows((clean,))
    defects = {
        "proactor-loop": "a program on Windows gets a selector loop",
        "windows-hazards": "sleeps end early on Windows",
        "windows-digests": "a scenario makes another History on Windows",
    }
    return [
        SelfProof(check=name, defect=defect, planted=_named(name, with_defects), clean=_named(name, without))
        for name, defect in defects.items()
    ]


def _of_sources() -> list[SelfProof]:
    return [
        SelfProof(
            check=name,
            defect=one.defect,
            planted=_named(name, _audited(one.planted())),
            clean=_named(name, _audited(one.clean())),
        )
        for name, one in PLANTED_SOURCES.items()
    ]


def _audited(files: dict[str, str]) -> list[CheckResult]:
    with tempfile.TemporaryDirectory(prefix="netra-") as folder:
        for name, text in files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        return as_results(audit(folder, Config()))


def _named(name: str, results: Iterable[CheckResult]) -> CheckResult:
    return next(result for result in results if result.check == name)
