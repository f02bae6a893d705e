"""The outcome of a report: the validation's verdict, and how the notebooks ran."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import msgspec

from netra_sim.exit_code import ExitCode
from netra_sim.files import save_json
from netra_sim.notebooks.catalogue import VALIDATION
from netra_sim.notebooks.runner import NotebookRun, work_folder
from netra_sim.parameters import Weaker
from netra_sim.studies.objectives import ObjectiveResult, read_results
from netra_sim.verdict.changes import changes_since, regressions_since
from netra_sim.verdict.verdict import VERDICT_FILE, Verdict, read_verdict, title

Decision = Literal["GO", "NO-GO", "UNDECIDED", "OBJECTIVES MET", "NO VERDICT", "BROKEN"]

CODES: dict[Decision, ExitCode] = {
    "GO": ExitCode.GO,
    "OBJECTIVES MET": ExitCode.GO,
    "NO-GO": ExitCode.NO_GO,
    "UNDECIDED": ExitCode.NO_GO,
    "NO VERDICT": ExitCode.USAGE,
    "BROKEN": ExitCode.BROKE,
}
"""The exit code for each decision."""


class BrokenVerdict(msgspec.Struct, frozen=True):
    """The content of ``verdict.json`` if there is no verdict."""

    decision: Literal["BROKEN"]
    headline: str
    reasons: list[str]

    @classmethod
    def of(cls, reasons: list[str]) -> Self:
        """A broken verdict with at least one reason."""
        return cls("BROKEN", f"BROKEN: {reasons[0]}", reasons)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a report.

    Attributes:
        decision: "BROKEN" if a notebook did not run to its end; else "NO-GO" if a notebook missed a given objective; else
            the validation's decision, or "UNDECIDED" if that is better than "NO-GO" and a given objective was not judged.
            Without the validation: "OBJECTIVES MET" if all given objectives were met, else "NO VERDICT".
        reasons: why it is not GO.
        verdict: the validation's verdict; None if there is none.
        runs: the notebooks that ran.
        results: how other notebooks met the objectives that they were given, each with the notebook's name.
        since_base: the differences from the base's verdict; None without a base or a verdict.
        worse_than_base: the differences that are worse.
        no_pdf: why there is no PDF, or "".
        earlier: whether an earlier, complete report is in ``earlier/``.
    """

    decision: Decision
    reasons: list[str]
    verdict: Verdict | None
    runs: list[NotebookRun]
    results: list[tuple[str, ObjectiveResult]] = []
    since_base: list[str] | None = None
    worse_than_base: list[str] = []
    no_pdf: str = ""
    earlier: bool = False

    @property
    def weaker(self) -> list[Weaker]:
        """Parameters that demand less than the plan or the defaults, of the validation and of notebooks with results."""
        judging = {name for name, _ in self.results}
        others = [run.task.parameters.weaker for run in self.runs if run.task.notebook.name in judging]
        return [*(self.verdict.weaker if self.verdict else ()), *(one for own in others for one in own)]

    @property
    def title(self) -> str:
        """The decision with its limits, in a few words."""
        return title(self.decision, self.weaker)

    @property
    def objectives(self) -> list[str]:
        """The given objectives of other notebooks with the measured values, in sentences."""
        return [f"{name}: {one.where}: {one.state}: {one.measured}" for name, one in self.results]

    @property
    def headline(self) -> str:
        """The decision with its limits and the first reason, in one line."""
        if self.verdict and self.decision == self.verdict.decision and not self.results:
            return self.verdict.headline
        also = f"; the validation says {self.verdict.headline}" if self.verdict else ""
        met = f"the given objectives are met in {len(self.results)} of {len(self.results)} measurements"
        met += "" if self.verdict else "; no claim of the plan was judged"
        limits = [] if self.verdict else list(map(str, self.weaker))
        return f"{self.title}: {'; '.join([*limits, self.reasons[0] if self.reasons else met])}{also}"


def outcome_of(runs: list[NotebookRun], room: Path, base: Path | None) -> Outcome:
    """The joint outcome of notebooks that ran.

    A validation without a readable verdict is broken, and ``verdict.json`` then says so.

    Args:
        runs: the notebooks that ran.
        room: the folder that they wrote to.
        base: another run's ``verdict.json`` to compare with.

    Raises:
        OSError: the folder cannot be written to.
    """
    problems = [f"{run.task.notebook.name}: {run.problem}" for run in runs if run.problem]
    validation = next((run for run in runs if run.task.notebook.name == VALIDATION.name), None)
    verdict = None
    if validation is not None and not validation.problem:
        verdict = read_verdict(room / VERDICT_FILE)
        if verdict is None:
            problems.append(f"{VALIDATION.name}: it left no {VERDICT_FILE} that can be read")
    if validation is not None and verdict is None:
        save_json(room / VERDICT_FILE, BrokenVerdict.of(problems))
    results = _results(runs, room)
    missed = [f"{name}: {one.where}: {one.measured}" for name, one in results if one.state == "missed"]
    not_judged = [
        f"{name}: {one.where}: not judged: {one.measured}" for name, one in results if one.state == "not judged"
    ]
    decision: Decision
    if problems:
        decision = "BROKEN"
    elif missed:
        decision = "NO-GO"
    elif verdict is not None:
        decision = verdict.decision if not not_judged or verdict.decision == "NO-GO" else "UNDECIDED"
    else:
        decision = "OBJECTIVES MET" if results and not not_judged else "NO VERDICT"
    reasons = [*problems, *missed, *(verdict.reasons if verdict else ()), *not_judged]
    if decision == "NO VERDICT" and not reasons:
        reasons = [f"nothing was judged; run the notebook {VALIDATION.name}, or give an objective such as delivery_p95"]
    since, worse = _since_base(base, verdict)
    return Outcome(
        decision=decision,
        reasons=reasons,
        verdict=verdict,
        runs=runs,
        results=results,
        since_base=since,
        worse_than_base=worse,
    )


def _results(runs: Sequence[NotebookRun], room: Path) -> list[tuple[str, ObjectiveResult]]:
    """The results for given objectives. Default objectives do not count: a search for the knee misses them on purpose."""
    return [
        (run.task.notebook.name, one)
        for run in runs
        if run.task.notebook.name != VALIDATION.name and not run.problem
        for one in read_results(work_folder(room, run.task))
        if one.parameter in run.task.given
    ]


def _since_base(path: Path | None, verdict: Verdict | None) -> tuple[list[str] | None, list[str]]:
    if path is None or verdict is None:
        return None, []
    base = read_verdict(path)
    if base is None:
        return [f"{path} is no verdict of this version's form, so there is nothing to compare with"], []
    return changes_since(base, verdict), regressions_since(base, verdict)
