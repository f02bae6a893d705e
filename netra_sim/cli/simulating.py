"""`netra-sim simulate`: one scenario, once."""

from pathlib import Path

import click

from netra_sim.cli.common import progress
from netra_sim.cli.scenarios import chosen_scenario, factory_option, history_option, save_and_check
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.simulation import simulate


@click.command("simulate")
@click.argument("scenario", default="steady-load")
@click.option("--users", type=click.IntRange(min=1), help="Users, instead of the scenario's number.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of everything random.")
@click.option(
    "--set", "settings", multiple=True, metavar="PATH=VALUE", help="Another value, such as network.latency.median=0.2."
)
@history_option
@factory_option
def simulate_command(
    scenario: str,
    users: int | None,
    seed: int,
    settings: tuple[str, ...],
    output: Path,
    factory_class: type[ExecutionEngineFactory],
) -> None:
    """Simulate SCENARIO, a library name or a TOML file; check the history, and save it."""
    chosen = chosen_scenario(scenario, settings, users)
    with progress(chosen.requests, "simulated requests") as on_answer:
        history = simulate(chosen, seed, factory_class=factory_class, on_answer=on_answer)
    save_and_check(history, output)
