"""`netra-sim load`: real clients against a real server, of this package or of other people."""

from collections.abc import Callable
from pathlib import Path

import click

from netra_sim.checks import all_checks
from netra_sim.cli.printing import Printer, format_option
from netra_sim.cli.progress import Progress, progress
from netra_sim.cli.scenarios import (
    check_option,
    chosen_scenario,
    history_option,
    refusing,
    run_page_option,
    save_and_check,
    system_options,
)
from netra_sim.driving import load_scenario
from netra_sim.history import History, Objectives
from netra_sim.loading import MOST_USERS, Load, TargetError, load, target_of, try_to_connect
from netra_sim.runtime import run
from netra_sim.simulation import Scenario, parse_setting

_OF_A_PLAN = ("runs", "window", "step", "disconnects")
"""The options that say what the clients of a load run without a scenario do."""

_OF_A_SCENARIO = ("settings", "url", "allow", "app", "client")
"""The options that need a scenario."""

_ASSUMPTIONS = (
    "Times are real and hold for this machine while it did the other work that it had; the bare echo shows how busy it was.",
)


@click.command("load")
@click.argument("scenario", required=False)
@click.option("--url", metavar="URL", help="A system that runs already, instead of the scenario's own.")
@click.option(
    "--allow", multiple=True, metavar="HOST", help="A host besides this machine that may be loaded; may be repeated."
)
@click.option("--users", type=click.IntRange(1, MOST_USERS), help="Real clients.  [default: 50, or the scenario's]")
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
    "--set", "settings", multiple=True, metavar="PATH=VALUE", help="Another value, such as workload.window=60."
)
@system_options
@click.option(
    "--objective", "bounds", multiple=True, metavar="NAME=VALUE", help="Another objective, such as delivery_p95=0.2."
)
@check_option
@history_option
@run_page_option
@format_option
@click.pass_context
def load_command(
    context: click.Context,
    scenario: str | None,
    url: str | None,
    allow: tuple[str, ...],
    users: int | None,
    runs: int,
    window: float,
    step: float,
    disconnects: float,
    seed: int,
    settings: tuple[str, ...],
    app: str | None,
    client: str | None,
    bounds: tuple[str, ...],
    own_checks: tuple[str, ...],
    output: Path,
    page: Path | None,
    printer: Printer,
) -> None:
    """Load a real server with real clients in a process of their own, check the run, and save its history.

    Without SCENARIO, the server is that of this package. With SCENARIO, its users load the system that it names, or the one
    at --url, which runs already: the same users, clients and faults as in a simulation, on real sockets.

    Exits with 1 if a check fails, an objective is missed, or a given objective could not be judged.
    """
    given = ("latency",) if bounds else ()
    if scenario is None:
        _refuse(context, _OF_A_SCENARIO, "needs a SCENARIO")
        with refusing(ValueError):
            all_checks(own_checks)  # one that cannot be imported is told before the run
            plan = Load(
                users=users or 50, runs_per_user=runs, window=window, step=step, disconnects=disconnects, seed=seed
            )
        with progress(plan.users * runs, "real requests") as shown:
            history = run(load(plan, objectives=_objectives(bounds), on_answer=_answers(shown)))
        save_and_check(history, output, printer, page, own_checks, given=given, assumptions=_ASSUMPTIONS)
    _refuse(context, _OF_A_PLAN, "is for a load run without a scenario; use --set workload.window=60 and the like")
    objectives = tuple(f"objectives.{bound}" for bound in bounds)
    chosen = chosen_scenario(scenario, (*settings, *objectives), users, app, client, own_checks=own_checks)
    if url and chosen.stand_ins:
        names = ", ".join(f"[services.{name}]" for name in chosen.stand_ins)
        printer.say(f"not started, as the system at {url} runs already and calls services of its own: {names}")
    history = _load_scenario(chosen, seed, url, allow)
    save_and_check(history, output, printer, page, chosen.own_checks, given=given, assumptions=_ASSUMPTIONS)


def _load_scenario(scenario: Scenario, seed: int, url: str | None, allow: tuple[str, ...]) -> History:
    with refusing(TargetError):
        if url:
            run(try_to_connect(target_of(url, allow)))
        with progress(scenario.requests, "real requests") as shown:
            return run(load_scenario(scenario, seed, url=url or "", allow=allow, on_answer=_answers(shown)))


def _answers(shown: Progress) -> Callable[[], None]:
    """What counts the answers, and tells a server that never answers from one that is slow."""
    shown.now("no answer yet")

    def on_answer() -> None:
        shown()
        shown.now("since the last answer")

    return on_answer


def _objectives(bounds: tuple[str, ...]) -> Objectives:
    with refusing():
        settings = dict(map(parse_setting, bounds))
        return Scenario().with_settings({f"objectives.{path}": value for path, value in settings.items()}).objectives


def _refuse(context: click.Context, names: tuple[str, ...], why: str) -> None:
    """Refuse options that the user gave and that have no effect."""
    for name in names:
        if context.get_parameter_source(name) not in (None, click.core.ParameterSource.DEFAULT):
            option = next(one.opts[0] for one in context.command.params if one.name == name)
            raise click.UsageError(f"{option} {why}")
