"""`netra-sim defects`: the seeded defects, and which checks catch them."""

import sys

import click

from netra_sim.cli.common import progress
from netra_sim.defects import DEFECTS, detect
from netra_sim.exit_code import ExitCode


@click.command("defects")
@click.option(
    "--run", "is_run", is_flag=True, help="Run every check against every defect, and against the clean runtime."
)
@click.option(
    "--seeds", type=click.IntRange(min=1), default=20, show_default=True, help="Seeds 1 to N for each defect."
)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; all cores by default.")
def defects_command(is_run: bool, seeds: int, jobs: int | None) -> None:
    """List the seeded defects of the original system, or show which checks catch them."""
    if not is_run:
        for one in DEFECTS.values():
            click.echo(f"{one.name:28} {', '.join(one.incidents):4} {one.symptom}")
        return
    with progress(len(DEFECTS) + len({one.scenario.name for one in DEFECTS.values()}), "defects") as on_trial:
        found = detect(range(1, seeds + 1), jobs=jobs, on_trial=on_trial)
    for row in found.rows:
        caught = ", ".join(f"{name} {count}" for name, count in row.caught.items())
        click.echo(f"{row.defect:28} {', '.join(row.incidents):4} {caught or 'NOT CAUGHT'}")
    for name in found.false_alarms:
        click.echo(f"{name} fires on the clean runtime, in {found.clean[name]} simulations")
    missed, fired = len(found.undetected), len(found.false_alarms)
    click.echo(
        f"{len(found.rows)} defects, {seeds} seeds: {missed} not caught; {fired} checks fire on the clean runtime"
    )
    sys.exit(ExitCode.NO_GO if missed or fired else ExitCode.GO)
