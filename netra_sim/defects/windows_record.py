"""Measurements from Windows CPython, kept in a file of the package, and the checks that read them.

Reports are rarely made on Windows, so this evidence is recorded: by `python -m tests.windows.record`, which continuous
integration runs on Windows CPython. A record counts only while the measured code is unchanged.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from netra_sim.checks import CheckResult, Finding
from netra_sim.defects.hazards import Hazard
from netra_sim.files import replacing
from netra_sim.fingerprint import digest_of_folders

RECORD = Path(__file__).with_name("windows.json")
FORMAT = 1
MEASURED_FOLDERS = ("runtime", "server")
"""The folders of the package whose code a record measures."""


class WindowsRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the hazards on one Windows CPython.

    Attributes:
        python: its version, such as "3.11.9".
        system: what it ran on, such as "Wine 8.0" or "Windows 10.0.20348".
        loop: the class of the loop from `new_event_loop` and its base classes, the most derived first.
        date: of the recording, as YYYY-MM-DD.
        code: SHA-256 of the measured folders.
        hazards: the measured situations.
        digests_equal: how many Histories of library scenarios had the same digest as on other platforms.
        digests: how many Histories of library scenarios were made.
    """

    python: str
    system: str
    loop: tuple[str, ...]
    date: str
    code: str
    hazards: tuple[Hazard, ...]
    digests_equal: int
    digests: int

    @property
    def label(self) -> str:
        """A description for readers."""
        under = "under" if self.system.startswith("Wine") else "on"
        return f"Windows CPython {self.python} {under} {self.system}, recorded on {self.date}"


class _File(msgspec.Struct, frozen=True):
    format: int
    runs: tuple[WindowsRun, ...]


def recorded_code() -> str:
    """SHA-256 of the measured folders as they are now."""
    return digest_of_folders(*MEASURED_FOLDERS)


def read_windows_runs(path: Path = RECORD) -> tuple[WindowsRun, ...]:
    """The recorded runs; none without a file.

    Raises:
        ValueError: the file is not of this format.
    """
    if not path.exists():
        return ()
    try:
        content = msgspec.json.decode(path.read_bytes(), type=_File)
    except msgspec.DecodeError as error:
        raise ValueError(f"{path} is no record of Windows runs: {error}; record it anew") from error
    if content.format != FORMAT:
        raise ValueError(f"{path} has format {content.format}, and this version reads {FORMAT}; record it anew")
    return content.runs


def keep_windows_runs(runs: tuple[WindowsRun, ...], path: Path = RECORD) -> None:
    """Write the recorded runs."""
    text = msgspec.json.format(msgspec.json.encode(_File(FORMAT, runs)), indent=1)
    with replacing(path) as temporary:
        temporary.write_bytes(text + b"\n")


def recorded_on_windows(runs: tuple[WindowsRun, ...] | None = None) -> list[CheckResult]:
    """The results of the checks of Windows records; inconclusive if all records are of other code.

    Args:
        runs: by default the recorded ones.
    """
    everything = read_windows_runs() if runs is None else runs
    code = recorded_code()
    usable = [one for one in everything if one.code == code]
    if everything and not usable:
        old = f"what was recorded on {everything[-1].date} speaks of other code"
        reason = f"{old}; `python .ci/windows_lane.py` records it anew"
        # The records are counted, so that readers see them, but prove nothing.
        results = [_loop(everything), _hazards(everything), _digests(everything)]
        return [msgspec.structs.replace(one, found=0, findings=(), inconclusive=reason) for one in results]
    return [_loop(usable), _hazards(usable), _digests(usable)]


def _loop(runs: Sequence[WindowsRun]) -> CheckResult:
    wrong = [one for one in runs if "ProactorEventLoop" not in one.loop]
    return CheckResult(
        check="proactor-loop",
        question="Does a program on Windows get a Proactor event loop?",
        looked_at=len(runs),
        unit="runs on Windows",
        found=len(wrong),
        findings=tuple(Finding(message=f"{one.label}: the loop is a {one.loop[0]}") for one in wrong),
    )


def _hazards(runs: Sequence[WindowsRun]) -> CheckResult:
    findings = tuple(
        Finding(message=f"{one.label}: {hazard.name}: {hazard.safe} of {hazard.tried}")
        for one in runs
        for hazard in one.hazards
        if hazard.safe
    )
    shown = {hazard.name for one in runs for hazard in one.hazards if hazard.stock}
    return CheckResult(
        check="windows-hazards",
        question="Does the Windows-safe layer get right what stock asyncio gets wrong on Windows?",
        looked_at=sum(hazard.tried for one in runs for hazard in one.hazards),
        unit="waits, cancellations, clients and transports",
        found=len(findings),
        findings=findings,
        inconclusive="" if shown else "no hazard was met: stock asyncio got nothing wrong",
    )


def _digests(runs: Sequence[WindowsRun]) -> CheckResult:
    wrong = [one for one in runs if one.digests_equal < one.digests]
    return CheckResult(
        check="windows-digests",
        question="Do scenarios make the same Histories on Windows as everywhere else?",
        looked_at=sum(one.digests for one in runs),
        unit="Histories",
        found=sum(one.digests - one.digests_equal for one in wrong),
        findings=tuple(
            Finding(message=f"{one.label}: {one.digests - one.digests_equal} of {one.digests} differ") for one in wrong
        ),
    )
