"""`netra-sim explore`: a search for a seed that fails."""

import sys

import click

from netra_sim.cli.common import progress, show
from netra_sim.cli.scenarios import chosen_scenario, factory_option, factory_words
from netra_sim.exit_code import ExitCode
from netra_sim.exploration import explore, replay_line, shrink
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.simulation import find_scenario


@click.command("explore")
@click.argument("scenario", default="steady-load")
@click.option("--users", type=click.IntRange(min=1), help="Users, instead of the scenario's number.")
@click.option(
    "--set", "settings", multiple=True, metavar="PATH=VALUE", help="Another value for a setting of the scenario."
)
@click.option("--seeds", type=click.IntRange(min=1), default=1000, show_default=True, help="Seeds to try at most.")
@click.option(
    "--seconds", type=click.FloatRange(min=0, min_open=True), default=60.0, show_default=True,
    help="Try no more seeds after so many seconds.",
)  # fmt: skip
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; all cores by default.")
@factory_option
def explore_command(
    scenario: str,
    users: int | None,
    settings: tuple[str, ...],
    seeds: int,
    seconds: float,
    jobs: int | None,
    factory_class: type[ExecutionEngineFactory],
) -> None:
    """Try seeds of SCENARIO until a check fails unexpectedly, then shrink the failing scenario."""
    chosen = chosen_scenario(scenario, settings, users)
    tried = 0
    with progress(seeds, "seeds") as on_trial:

        def on_seed() -> None:
            nonlocal tried
            tried += 1
            on_trial()

        found = explore(chosen, factory_class=factory_class, seeds=seeds, seconds=seconds, jobs=jobs, on_trial=on_seed)
    if found is None:
        more = "" if tried == seeds else f"; the {seconds:g} s were over before the others, --seconds takes more"
        click.echo(f"no failure in {tried:,} of {seeds:,} seeds{more}")
        return
    click.echo(f"seed {found.seed} fails {', '.join(found.failed_checks)}; shrinking")
    smallest = shrink(found, factory_class=factory_class)
    show(list(smallest.results))
    click.echo(
        f"to repeat it: {replay_line(scenario, find_scenario(scenario), smallest)}{factory_words(factory_class)}"
    )
    sys.exit(ExitCode.NO_GO)
