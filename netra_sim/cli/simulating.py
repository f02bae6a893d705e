"""`netra-sim simulate`: one scenario, once."""

from pathlib import Path
from typing import Literal

import click

from netra_sim.cli.printing import Printer, format_option
from netra_sim.cli.progress import progress
from netra_sim.cli.scenarios import (
    calibrated,
    calibration_option,
    check_option,
    chosen_scenario,
    factory_option,
    history_option,
    refusing,
    run_page_option,
    save_and_check,
    system_options,
)
from netra_sim.exploration import Calibration, cpu_sentence
from netra_sim.exploration.outside import escapes_of, has_own_agents, told
from netra_sim.simulation import simulate


class Shards(click.ParamType):  # type: ignore[type-arg]
    """A number of processes, or auto."""

    name = "auto|N"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int | Literal["auto"]:
        """See `click.ParamType`."""
        if value == "auto":
            return "auto"
        if not (value.isdecimal() and int(value) >= 1):
            self.fail(f"the number of processes is at least 1, or auto, and is {value!r}", param, ctx)
        return int(value)


@click.command("simulate")
@click.argument("scenario", default="steady-load")
@click.option("--users", type=click.IntRange(min=1), help="Users, instead of the scenario's number.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of everything random.")
@click.option(
    "--set", "settings", multiple=True, metavar="PATH=VALUE", help="Another value, such as network.latency.median=0.2."
)
@click.option(
    "--shards",
    type=Shards(),
    default="1",
    show_default=True,
    help="Processes that simulate the users, or auto: all cores, where that gives the same history and is faster.",
)
@system_options
@calibration_option
@history_option
@run_page_option
@factory_option
@check_option
@format_option
def simulate_command(
    scenario: str,
    users: int | None,
    seed: int,
    settings: tuple[str, ...],
    shards: int | Literal["auto"],
    app: str | None,
    client: str | None,
    calibration: Calibration | None,
    output: Path,
    page: Path | None,
    factory: str | None,
    own_checks: tuple[str, ...],
    printer: Printer,
) -> None:
    """Simulate SCENARIO, a library name or a TOML file; check the history, and save it."""
    chosen = calibrated(
        chosen_scenario(scenario, settings, users, app, client, factory, own_checks), calibration, settings
    )
    with refusing(), progress(chosen.requests, "simulated requests") as on_answer:
        history = simulate(
            chosen,
            seed,
            on_answer=on_answer,
            shards=shards,
            on_one_process=lambda reason: click.echo(f"one process simulates all users: {reason}", err=True),
        )
    if (count := history.meta["environment"].get("shards")) is not None:
        printer.say(f"{count} processes simulated the users; a mix-up of users shows only within one of them")
    if calibration is not None:
        history.meta["environment"]["calibration"] = str(calibration)
    if chosen.platform.step_cost:
        printer.say(cpu_sentence(chosen, calibration))
    if has_own_agents(chosen) and (escapes := escapes_of(chosen, seed)):
        printer.say(told(escapes))
    assumptions = [
        "The times of agents and network are those of the scenario, and not of a production system.",
        cpu_sentence(chosen, calibration),
    ]
    save_and_check(history, output, printer, page, chosen.own_checks, assumptions=assumptions)
