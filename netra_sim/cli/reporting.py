"""Commands that write the report, list the notebooks, and write the reference."""

from pathlib import Path

import click

from netra_sim.cli.common import NEW_FILE, NEW_FOLDER, write_or_print, wrong_usage
from netra_sim.cli.printing import Printer, report_format_option
from netra_sim.cli.progress import progress
from netra_sim.exit_code import ExitCode
from netra_sim.formats import Case


@click.command("report")
@click.option("--users", type=int, help="The parameter `users` of every notebook that has it.")
@click.option("--seed", type=int, help="Seed of everything random, in every notebook.")
@click.option(
    "-p", "texts", nargs=2, multiple=True, metavar="NAME VALUE",
    help="A parameter for every notebook that has it, or NOTEBOOK.NAME for one notebook; repeatable.",
)  # fmt: skip
@click.option("--notebook", "names", multiple=True, metavar="NAME", help="Run only this notebook; repeatable.")
@click.option("--jobs", type=click.IntRange(min=1), help="Notebooks at a time; one for each core by default.")
@click.option(
    "--time-limit", type=click.FloatRange(min=1), default=1800.0, show_default=True, help="Seconds for each notebook."
)
@click.option(
    "--base", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="VERDICT_JSON",
    help="The verdict.json of another run to compare with.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=NEW_FOLDER, default="report", show_default=True,
    help="Folder for the report.",
)  # fmt: skip
@report_format_option
def report_command(
    users: int | None,
    seed: int | None,
    texts: tuple[tuple[str, str], ...],
    names: tuple[str, ...],
    jobs: int | None,
    time_limit: float,
    base: Path | None,
    output: Path,
    printer: Printer,
) -> None:
    """Run the notebooks, and write a folder with the verdict and the pages."""
    # Imported here: papermill, nbconvert and matplotlib take longer to import than a small simulation takes to run.
    from netra_sim.parameters import ParameterError
    from netra_sim.site.report import make_report, plan

    given = {"users": users, "seed": seed}
    with wrong_usage(ParameterError):
        tasks = plan(texts, {name: value for name, value in given.items() if value is not None}, names)
    cells = {task.notebook.name: task.cells for task in tasks}
    with progress(sum(cells.values()), "notebook cells") as shown:

        def on_cell(name: str, number: int) -> None:
            if number > 1:
                shown()  # the one before it is finished
            shown.begin(name, f"cell {number} of {cells[name]}")

        def on_end(name: str, is_whole: bool) -> None:
            if is_whole:
                shown()
            shown.end(name, "is done" if is_whole else "did not run to its end")

        made = make_report(tasks, output, jobs=jobs, time_limit=time_limit, base=base, on_cell=on_cell, on_end=on_end)
    if made.code is not ExitCode.GO:
        decision = made.headline.partition(":")[0]
        cases = [Case(group="report", name=decision, outcome="failure", message=one) for one in made.reasons]
        printer.cases("report", cases)
    for line in (made.headline, *(f"  {reason}" for reason in made.reasons)):
        printer.say(line)
    if made.not_written is None:
        printer.say(f"Report: {made.page}")
    printer.end(made.code, {"headline": made.headline}, made.not_written)


@click.command("notebooks")
@click.argument("name", required=False)
@click.option(
    "--copy", "folder", type=NEW_FOLDER,
    help="Copy them into this folder instead, to work in JupyterLab; what is there already stays as it is.",
)  # fmt: skip
def notebooks_command(name: str | None, folder: Path | None) -> None:
    """List all notebooks, or only NAME: the question, and each parameter with its default and allowed values."""
    from netra_sim.notebooks import NOTEBOOKS
    from netra_sim.notebooks.copies import copy_notebooks
    from netra_sim.parameters import ParameterError
    from netra_sim.site.report import explain, plan

    with wrong_usage(ParameterError):
        tasks = plan((), names=tuple(NOTEBOOKS) if name is None else (name,))
    if folder is not None:
        for path, is_new in copy_notebooks([task.notebook for task in tasks], folder):
            click.echo(f"{path}{'' if is_new else ' is there already, and stays as it is'}")
        click.echo(f"Open them with: jupyter lab {folder}")
        return
    for task in tasks:
        click.echo(f"{task.notebook.name:16} {task.notebook.question}")
        click.echo(f"{'':16} notebooks/{task.notebook.file}")
        for line in explain(task.notebook):
            click.echo(f"{'':16} {line}")


@click.command("reference")
@click.option("-o", "--output", type=NEW_FILE, help="Write to this file instead of printing.")
def reference_command(output: Path | None) -> None:
    """Print the reference: all scenarios, faults, checks, rules, claims, notebooks and commands."""
    from netra_sim.cli.group import cli
    from netra_sim.site.reference import reference

    write_or_print(reference(cli), output)
