"""`make_report`: runs notebooks with parameters, writes the report's folder, and returns the exit code."""

import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from netra_sim.exit_code import ExitCode
from netra_sim.files import WriteError, naming
from netra_sim.near_names import nearest
from netra_sim.notebooks.catalogue import NOTEBOOKS, Notebook
from netra_sim.notebooks.outcome import CODES, outcome_of
from netra_sim.notebooks.runner import TIME_LIMIT, OnCell, OnEnd, Task, run_notebooks
from netra_sim.parameters import ParameterError
from netra_sim.schema import fields_of, takes
from netra_sim.site.folder import move_into_place, room_inside, will_keep_earlier
from netra_sim.site.site import INDEX
from netra_sim.site.writing import write_last_words, write_site
from netra_sim.verdict.verdict import RUNS_FOLDER


class Report(msgspec.Struct, frozen=True):
    """A finished report.

    Attributes:
        code: the exit code.
        page: the path of the index.
        headline: the outcome in one line.
        reasons: why it is not GO.
        not_written: why the folder could not be written; an earlier report is in it then.
    """

    code: ExitCode
    page: Path
    headline: str
    reasons: list[str]
    not_written: WriteError | None = None


def plan(
    texts: Sequence[tuple[str, str]],
    given: Mapping[str, Any] | None = None,
    names: Sequence[str] = (),
    notebooks: Sequence[Notebook] | None = None,
) -> list[Task]:
    """Choose the notebooks to run, with their parameters.

    Args:
        texts: pairs of a parameter and its text; ``users`` is for every notebook that has it, ``validation.users`` for one.
        given: typed values, each for every notebook that has it.
        names: the notebooks to run; if empty, those that are in every report.
        notebooks: the notebooks to choose from, all of which run if ``names`` is empty; `NOTEBOOKS` by default.

    Raises:
        ParameterError: a notebook or a parameter does not exist, or does not take its value.
    """
    there_are = NOTEBOOKS.values() if notebooks is None else notebooks
    by_name = {notebook.name: notebook for notebook in there_are}
    by_file = {notebook.path.stem: notebook.name for notebook in there_are}
    names = [by_file.get(Path(name).name.removesuffix(".ipynb"), name) for name in names]
    for name in names:
        _must_be_among(by_name, "notebook", name, by_file)
    by_default = [one for one in there_are if one.in_every_report or notebooks is not None]
    chosen = [by_name[name] for name in dict.fromkeys(names)] or by_default
    known = {name for one in chosen for name in one.parameters.__struct_fields__} - {"output"}
    for name in [*(text[0] for text in texts), *(given or {})]:
        of, dot, parameter = name.rpartition(".")
        if dot:
            _must_be_among({one.name for one in chosen}, "notebook", of)
        own = set(by_name[of].parameters.__struct_fields__) - {"output"} if dot else known
        _must_be_among(own, "parameter", parameter)
    return [_task(notebook, texts, given or {}) for notebook in chosen]


def explain(notebook: Notebook) -> list[str]:
    """Describe each parameter of a notebook in a line: name, default, meaning, type and bounds."""
    about = notebook.parameters.descriptions()
    return [
        f"{field.name} = {field.default}: {about[field.name]} ({takes(field.kind)})"
        for field in fields_of(notebook.parameters)
        if field.name != "output"
    ]


def make_report(
    tasks: Sequence[Task],
    folder: Path,
    *,
    jobs: int | None = None,
    time_limit: float = TIME_LIMIT,
    base: Path | None = None,
    on_cell: OnCell = lambda *_: None,
    on_end: OnEnd = lambda *_: None,
) -> Report:
    """Run the notebooks and write the report, even if a notebook breaks or Ctrl+C interrupts the run.

    The new report replaces an earlier one in the folder when it is complete. If it is BROKEN, the last complete report
    moves to ``earlier/``. The verdicts in ``runs/`` stay, and so do files that no report wrote.

    Args:
        tasks: see `plan`.
        folder: the folder for the report.
        jobs: how many notebooks run at a time; one for each core by default.
        time_limit: seconds that each notebook may take.
        base: another run's ``verdict.json`` to compare with.
        on_cell: called when a cell of a notebook begins.
        on_end: called when a notebook has ended.

    Raises:
        FileNotFoundError: a notebook does not exist.
        OSError: the folder cannot be made. One that cannot be written later, as of a full disk, is in the result.
        KeyboardInterrupt: the run was interrupted while it wrote the pages; the earlier report is unchanged.
    """
    given, folder = folder, folder.resolve()
    began = time.monotonic()
    with room_inside(folder, RUNS_FOLDER) as room:
        runs = run_notebooks(tasks, room, jobs=jobs, time_limit=time_limit, on_cell=on_cell, on_end=on_end)
        outcome = outcome_of(runs, room, base)
        earlier = will_keep_earlier(folder)
        outcome = msgspec.structs.replace(outcome, earlier=earlier and outcome.decision == "BROKEN")
        not_written: WriteError | None = None
        try:
            with naming(given):
                try:
                    with naming(given):
                        write_site(outcome, room, seconds=time.monotonic() - began)
                except WriteError as error:
                    reasons = [str(error), *outcome.reasons]
                    outcome = msgspec.structs.replace(outcome, decision="BROKEN", reasons=reasons, earlier=earlier)
                    write_last_words(outcome, room)
                move_into_place(room, folder, keep_earlier=outcome.decision == "BROKEN")
        except WriteError as error:
            not_written = error
    return Report(CODES[outcome.decision], folder / INDEX, outcome.headline, outcome.reasons, not_written)


def _task(notebook: Notebook, texts: Sequence[tuple[str, str]], given: Mapping[str, Any]) -> Task:
    own = set(notebook.parameters.__struct_fields__) - {"output"}
    mine = []
    for name, text in texts:
        of, dot, parameter = name.rpartition(".")
        if of == notebook.name or (not dot and parameter in own):
            mine.append((parameter, text))
    try:
        values = {name: value for name, value in given.items() if name in own}
        named = dict.fromkeys([*(name for name, _ in mine), *values])
        return Task(notebook, notebook.parameters.parse(mine, values).with_whole_paths(), tuple(named))
    except ParameterError as error:
        raise ParameterError(f"{notebook.name}: {error}") from error


def _must_be_among(known: Collection[str], what: str, name: str, other_names: Mapping[str, str] | None = None) -> None:
    if name in known:
        return
    if what == "parameter" and name == "output":
        raise ParameterError("output is set by the report; use -o FOLDER")
    others = other_names or {}
    near = nearest(name, [*known, *others])
    hint = f"did you mean {others.get(near, near)}?" if near else f"there are: {', '.join(sorted(known))}"
    raise ParameterError(f"there is no {what} {name}; {hint}")
