"""`netra-sim sweep`: a scenario over a grid of settings and seeds."""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from netra_sim.cli.common import NEW_FOLDER
from netra_sim.cli.printing import Printer, format_option
from netra_sim.cli.progress import progress
from netra_sim.cli.scenarios import check_option, chosen_scenario, factory_option, refusing
from netra_sim.exit_code import ExitCode
from netra_sim.exploration import SweepError, cells, sweep
from netra_sim.exploration.sweeps import TABLE_FILE
from netra_sim.formats import Case
from netra_sim.simulation import parse_setting


@click.command("sweep")
@click.argument("scenario", default="steady-load")
@click.option("--set", "grid", multiple=True, metavar="PATH=[VALUES]", help="A list of values, as TOML; repeatable.")
@click.option(
    "--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Seeds 1 to N for every combination."
)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; all cores by default.")
@click.option("--scheduler", metavar="ADDRESS", help="Use this Dask scheduler instead of local processes.")
@click.option(
    "-o", "--output", type=NEW_FOLDER, default="sweep", show_default=True,
    help="Folder; the command continues an interrupted sweep in it.",
)  # fmt: skip
@factory_option
@check_option
@format_option
def sweep_command(
    scenario: str,
    grid: tuple[str, ...],
    seeds: int,
    jobs: int | None,
    scheduler: str | None,
    output: Path,
    factory: str | None,
    own_checks: tuple[str, ...],
    printer: Printer,
) -> None:
    """Simulate SCENARIO over a grid of values and seeds, and write one table of all results."""
    chosen = chosen_scenario(scenario, (), None, factory=factory, own_checks=own_checks)
    with refusing():
        values = {path: value if isinstance(value, list) else [value] for path, value in map(parse_setting, grid)}
        planned = cells(chosen, values, range(1, seeds + 1))
    with refusing(SweepError), progress(len(planned), "simulations") as shown:
        table = sweep(
            planned, output, jobs=jobs, scheduler=scheduler, on_cell=shown,
            on_next=lambda cell: shown.now(_named(cell.settings, cell.seed)),
        )  # fmt: skip
    unexpected = int((~table["as_expected"]).sum())
    printer.say(f"{len(table)} simulations in {output / TABLE_FILE}, {unexpected} of them not as expected")
    printer.cases("sweep", (_case(row, list(values)) for row in table.to_dict("records")))
    facts = {"table": str(output / TABLE_FILE), "unexpected": unexpected, "simulations": table.to_dict("records")}
    printer.end(ExitCode.NO_GO if unexpected else ExitCode.GO, facts)


def _case(row: dict[Hashable, Any], settings: Sequence[str]) -> Case:
    """One simulation of the sweep."""
    name = _named({path: row[path] for path in settings}, row["seed"])
    case = Case(group=str(row["scenario"]), name=name)
    if row["as_expected"]:
        return case
    failed = [str(name) for name, value in row.items() if value == "failed"]
    message = f"not as the scenario expects; failed: {', '.join(failed) or 'nothing'}"
    return msgspec.structs.replace(case, outcome="failure", message=message)


def _named(settings: Mapping[str, Any], seed: int) -> str:
    return ", ".join([*(f"{path}={value}" for path, value in settings.items()), f"seed {seed}"])
