"""`netra-sim load`: a real server under real clients."""

from pathlib import Path

import click
import msgspec

from netra_sim.cli.common import progress
from netra_sim.cli.scenarios import history_option, save_and_check
from netra_sim.history import Objectives
from netra_sim.loading import MOST_USERS, Load, load
from netra_sim.runtime import run
from netra_sim.simulation import parse_setting


@click.command("load")
@click.option(
    "--users", type=click.IntRange(1, MOST_USERS), default=50, show_default=True, help="Real WebSocket clients."
)
@click.option("--runs", type=click.IntRange(min=1), default=1, show_default=True, help="Requests of each client.")
@click.option(
    "--window",
    type=click.FloatRange(min=0),
    default=2.0,
    show_default=True,
    help="Seconds over which the requests are due.",
)
@click.option(
    "--step",
    type=click.FloatRange(min=0),
    default=0.04,
    show_default=True,
    help="Longest step of an agent, in seconds.",
)
@click.option(
    "--disconnects", type=click.FloatRange(0, 1), default=0.1, show_default=True,
    help="Share of users that lose their connection once, during a run.",
)  # fmt: skip
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the clients' actions.")
@click.option(
    "--objective", "bounds", multiple=True, metavar="NAME=VALUE", help="Another objective, such as delivery_p95=0.2."
)
@history_option
def load_command(
    users: int,
    runs: int,
    window: float,
    step: float,
    disconnects: float,
    seed: int,
    bounds: tuple[str, ...],
    output: Path,
) -> None:
    """Load a real server with real clients in a second process, check the run, and save its history.

    Exits with 1 if a check fails, an objective is missed, or a given objective could not be judged.
    """
    try:
        plan = Load(users=users, runs_per_user=runs, window=window, step=step, disconnects=disconnects, seed=seed)
        objectives = msgspec.convert(dict(map(parse_setting, bounds)), Objectives)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    with progress(users * runs, "real requests") as on_answer:
        history = run(load(plan, objectives=objectives, on_answer=on_answer))
    save_and_check(history, output, given=("latency",) if bounds else ())
