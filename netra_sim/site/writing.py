"""Writes the files of a report: pages, PDF, summaries, index, manifest."""

import datetime
import os
import platform
import shlex
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from netra_sim.audit import as_sarif
from netra_sim.files import save_json, save_text
from netra_sim.fingerprint import Fingerprint, fingerprint
from netra_sim.notebooks.catalogue import FOLDER, NOTEBOOKS, VALIDATION
from netra_sim.notebooks.outcome import BrokenVerdict, Outcome
from netra_sim.notebooks.quick_nbformat import nbformat
from netra_sim.notebooks.runner import NotebookRun
from netra_sim.parameters import NotebookParameters
from netra_sim.site import summaries
from netra_sim.site.folder import MANIFEST, FileDigest, digests, files_in
from netra_sim.site.html import notebook_page
from netra_sim.site.pdf import write_pdf
from netra_sim.site.site import INDEX, banner, index_page, last_words, links
from netra_sim.site.surroundings import made_here, revision_of, run_link
from netra_sim.verdict import saved_audit
from netra_sim.verdict.evidence import AUDIT_FILE
from netra_sim.verdict.sources import label_of
from netra_sim.verdict.verdict import VERDICT_FILE
from netra_sim.version import __version__

_PACKAGES = ("ipykernel", "matplotlib", "msgspec", "nbconvert", "numpy", "pandas", "papermill", "pyarrow", "websockets")


def write_site(outcome: Outcome, folder: Path, *, seconds: float) -> None:
    """Write every file that the notebooks did not write themselves.

    Args:
        outcome: what the report says.
        folder: the folder to write to.
        seconds: how long the notebooks took together.

    Raises:
        OSError: a file cannot be written.
    """
    navigation = links(outcome.runs)
    for run in outcome.runs:
        name = run.task.notebook.name
        executed = folder / f"{name}.ipynb"
        if run.problem or not executed.exists():
            save_text(executed, nbformat.writes(run.executed))  # type: ignore[no-untyped-call]
        on_top = banner(_of_validation(outcome)) if name == VALIDATION.name and not run.problem else ""
        for with_code, file in ((False, f"{name}.html"), (True, f"{name}-code.html")):
            save_text(folder / file, notebook_page(run, links=navigation, banner=on_top, with_code=with_code))
        if name == VALIDATION.name:
            # No PDF after an interruption: starting a browser takes seconds.
            page_file, pdf = folder / f"{name}.html", folder / f"{name}.pdf"
            no_pdf = "the notebook did not run to its end" if run.problem else write_pdf(page_file, pdf)
            outcome = msgspec.structs.replace(outcome, no_pdf=no_pdf)
    _write_summaries(outcome, folder)
    manifest = _manifest(outcome, seconds)
    shown = {
        f"{run.task.notebook.name}{end}" for run in outcome.runs for end in (".html", "-code.html", ".ipynb", ".pdf")
    }
    others = [name for name in files_in(folder) if name not in shown]
    sizes = {name: (folder / name).stat().st_size for name in others} | {MANIFEST: 0}
    save_text(
        folder / INDEX,
        index_page(outcome, facts=_facts(manifest, outcome.verdict.reused if outcome.verdict else ""), files=sizes),
    )
    _remove_empty_folders(folder)
    _save_manifest(manifest, folder)


def write_last_words(outcome: Outcome, folder: Path) -> None:
    """Free space: delete the files of this run, then write in a few kilobytes that it broke, and why.

    Raises:
        OSError: even these files cannot be written.
    """
    for name in files_in(folder):
        if not name.startswith("runs/"):
            (folder / name).unlink()
    save_text(folder / INDEX, last_words(outcome))
    save_json(folder / VERDICT_FILE, BrokenVerdict.of(outcome.reasons))
    _save_manifest(_manifest(outcome, 0.0), folder)


def _of_validation(outcome: Outcome) -> Outcome:
    """The outcome with the validation's own decision and reasons, without those of the other notebooks."""
    if outcome.verdict is None:
        return outcome
    decision, reasons = outcome.verdict.decision, outcome.verdict.reasons
    return msgspec.structs.replace(outcome, decision=decision, reasons=reasons, results=[], earlier=False)


def _write_summaries(outcome: Outcome, folder: Path) -> None:
    save_text(
        folder / "summary.md", summaries.markdown(outcome, made_here(revision_of(FOLDER.parent)), run_link(os.environ))
    )
    save_text(folder / "junit.xml", summaries.report_junit(outcome))
    save_text(folder / "results.sarif", as_sarif(saved_audit(folder), occasion=outcome.headline))
    (folder / AUDIT_FILE).unlink(missing_ok=True)  # it says no more than the SARIF file


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """How a report was made; ``manifest.json`` holds it.

    Attributes:
        complete: whether the report did not break.
        made: the time, in UTC.
        seconds: how long the notebooks took together.
        command: the command that makes the same report.
        revision: the Git revision of the checkout; "" outside a checkout.
        about: the digests of the judged code and data.
        notebooks: how each notebook ran, by name.
        histories: the digest of each recorded history.
        no_pdf: why there is no PDF, or "".
        files: size and digest of each other file of the report.
    """

    decision: str
    headline: str
    complete: bool
    made: str
    seconds: float
    command: str
    version: str
    revision: str
    about: Fingerprint
    python: str
    platform: str
    packages: dict[str, str]
    notebooks: dict[str, "Ran"]
    histories: dict[str, str]
    no_pdf: str
    files: dict[str, FileDigest] = {}


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """A notebook's parameters, how many seconds it took, and why it did not run to its end, or ""."""

    parameters: NotebookParameters
    seconds: float
    problem: str


def _manifest(outcome: Outcome, seconds: float) -> Manifest:
    return Manifest(
        decision=outcome.decision,
        headline=outcome.headline,
        complete=outcome.decision != "BROKEN",
        made=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        seconds=round(seconds, 2),
        command=command(outcome.runs),
        version=__version__,
        revision=revision_of(FOLDER.parent),
        about=fingerprint(),
        python=platform.python_version(),
        platform=platform.platform(),
        packages={name: _version(name) for name in _PACKAGES},
        notebooks={
            run.task.notebook.name: Ran(
                parameters=run.task.parameters, seconds=round(run.seconds, 2), problem=run.problem
            )
            for run in outcome.runs
        },
        histories=outcome.verdict.digests if outcome.verdict else {},
        no_pdf=outcome.no_pdf,
    )


def _save_manifest(manifest: Manifest, folder: Path) -> None:
    save_json(folder / MANIFEST, msgspec.structs.replace(manifest, files=digests(folder)))


def command(runs: list[NotebookRun]) -> str:
    """The command that makes the same report."""
    parts = ["netra-sim report"]
    if {run.task.notebook.name for run in runs} != {one.name for one in NOTEBOOKS.values() if one.in_every_report}:
        parts += [f"--notebook {run.task.notebook.name}" for run in runs]
    for run in runs:
        name, own = run.task.notebook.name, run.task.parameters
        for field in own.__struct_fields__:
            value = getattr(own, field)
            if field != "output" and value != getattr(type(own)(), field):
                parts.append(f"-p {name}.{field} {shlex.quote(str(value))}")
    return " ".join(parts)


def _facts(manifest: Manifest, reused: str) -> dict[str, str]:
    packages = ", ".join(f"{name} {number}" for name, number in manifest.packages.items())
    facts = {
        "Made": f"{manifest.made.replace('T', ' ').replace('+00:00', ' UTC')}, in {manifest.seconds:.0f} s",
        "Reproduce with": manifest.command,
        "netra_sim": manifest.version + (f", revision {manifest.revision}" if manifest.revision else ""),
        "Python": f"{manifest.python} on {manifest.platform}",
        "Packages": packages,
    }
    if reused:
        facts["Reused"] = reused
    facts |= {f"SHA-256 of the {name}": getattr(manifest.about, name) for name in manifest.about.__struct_fields__}
    return facts | {f"History: {label_of(source)}": digest for source, digest in manifest.histories.items()}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _remove_empty_folders(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
