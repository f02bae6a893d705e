"""`make_report`: from parameters to the executed notebook, the page, the verdict and the exit code."""

import json
from pathlib import Path
from typing import Any

import msgspec

from netra_sim.exit_code import ExitCode
from netra_sim.report.html import broken_banner, verdict_banner, write_page
from netra_sim.report.notebooks import NOTEBOOKS, run_notebook
from netra_sim.report.parameters import Parameters
from netra_sim.report.verdict import VERDICT_FILE, save_json

TITLE = "Remediation validation report"
NOTEBOOK = NOTEBOOKS / "remediation_validation.ipynb"
PAGE_FILE = "report.html"


class Report(msgspec.Struct, frozen=True):
    """A finished report.

    Attributes:
        code: what to exit with.
        page: the HTML page.
        headline: the outcome, in a line.
        reasons: why it is not GO.
    """

    code: ExitCode
    page: Path
    headline: str
    reasons: list[str]


def make_report(parameters: Parameters, *, notebook: Path = NOTEBOOK, progress: bool = False) -> Report:
    """Run the validation notebook and render it. The page is written whatever happens, with the outcome on top.

    Args:
        parameters: ``output`` names the folder for everything.
        notebook: the notebook to run.
        progress: whether the cells' progress is shown on standard error.

    Raises:
        ValueError: the parameters name no output folder.
        FileNotFoundError: there is no such notebook.
        OSError: the folder cannot be written to.
    """
    if not parameters.output:
        raise ValueError("output must name a folder for the report")
    folder = Path(parameters.output).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    values = msgspec.to_builtins(parameters) | {"output": str(folder)}
    verdict_path = folder / VERDICT_FILE
    stamp = _stamp(verdict_path)
    ran = run_notebook(notebook, folder / notebook.name, values, progress=progress)
    problem = ran.problem
    if not problem and _stamp(verdict_path) == stamp:
        problem = f"the notebook wrote no {VERDICT_FILE}"
    if problem:
        save_json(folder / VERDICT_FILE, {"decision": "BROKEN", "reasons": [problem], "parameters": values})
        page = write_page(ran.notebook, folder / PAGE_FILE, title=TITLE, banner=broken_banner(problem))
        return Report(ExitCode.BROKE, page, f"BROKEN: {problem}", [problem])
    verdict: dict[str, Any] = json.loads(verdict_path.read_text(encoding="utf-8"))
    page = write_page(ran.notebook, folder / PAGE_FILE, title=TITLE, banner=verdict_banner(verdict))
    code = ExitCode.GO if verdict["decision"] == "GO" else ExitCode.NO_GO
    shown = sum(claim["state"] == "shown" for claim in verdict["claims"])
    headline = f"{verdict['decision']}: {shown} of {len(verdict['claims'])} claims are shown"
    return Report(code, page, headline, verdict["reasons"])


def _stamp(path: Path) -> tuple[int, int] | None:
    """Tells whether a file has been replaced since."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns
