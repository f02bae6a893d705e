"""`netra-sim explore`: a search for a seed that fails."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from netra_sim.cli.common import html_option
from netra_sim.cli.printing import Printer, format_option
from netra_sim.cli.progress import progress
from netra_sim.cli.scenarios import check_option, chosen_scenario, factory_option, refusing, system_options
from netra_sim.exit_code import ExitCode
from netra_sim.exploration import (
    Exploration,
    Failure,
    Program,
    ProgramError,
    Trial,
    explore,
    replay_line,
    shrink,
)
from netra_sim.exploration.outside import told
from netra_sim.files import save_text
from netra_sim.formats import Case, check_facts
from netra_sim.simulation import find_scenario
from netra_sim.simulation.escapes import Escape


@click.command("explore")
@click.argument("what", metavar="[SCENARIO|FILE.py:FUNCTION]", default="steady-load")
@click.option("--users", type=click.IntRange(min=1), help="Users, instead of the scenario's number.")
@click.option(
    "--set", "settings", multiple=True, metavar="PATH=VALUE", help="Another value for a setting of the scenario."
)
@click.option("--seeds", type=click.IntRange(min=1), default=1000, show_default=True, help="Seeds to try at most.")
@click.option("--seed", type=click.IntRange(min=0), help="Try this seed only.")
@click.option(
    "--order", help="The order of the steps of a program, as a failure's line says it, instead of the seed's."
)
@click.option(
    "--step-cost", type=click.FloatRange(min=0), default=0.0, help="Seconds that every step takes, with --order."
)
@click.option(
    "--delays", type=click.IntRange(min=0),
    help="Instead of seeds, try all orders of a program with at most so many delays.",
)  # fmt: skip
@click.option(
    "--seconds", type=click.FloatRange(min=0, min_open=True), default=60.0, show_default=True,
    help="Try no more seeds after so many seconds.",
)  # fmt: skip
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; all cores by default.")
@html_option("File for a page with the failing run and the nearest passing one.")
@system_options
@factory_option
@check_option
@format_option
def explore_command(
    what: str,
    users: int | None,
    settings: tuple[str, ...],
    seeds: int,
    seed: int | None,
    order: str | None,
    step_cost: float,
    delays: int | None,
    seconds: float,
    jobs: int | None,
    page: Path | None,
    app: str | None,
    client: str | None,
    factory: str | None,
    own_checks: tuple[str, ...],
    printer: Printer,
) -> None:
    """Try seeds of a scenario until a check fails unexpectedly, or of a program until it fails; then shrink the failure.

    A program is an ``async def`` function without arguments. It fails with an exception, also with one of a task that nobody
    awaited, with a deadlock, or if it spins.
    """
    first, most = (1, seeds) if seed is None else (seed, 1)
    found: Exploration[Failure] | Exploration[Trial]
    with progress(most, "seeds") as shown:
        shown.now(f"seed {first}")

        def on_trial() -> None:
            shown()
            shown.now(f"seed {first + shown.done}")

        limits: dict[str, Any] = {"first_seed": first, "seeds": most, "seconds": seconds, "jobs": jobs}
        limits["on_trial"] = on_trial
        if ".py:" in what:
            _refuse(
                users=users,
                settings=settings,
                app=app,
                client=client,
                factory=factory,
                check=own_checks,
            )
            with refusing(ProgramError, ValueError):
                found = explore(
                    Program(what),
                    order=order,
                    step_cost=step_cost,
                    delays=delays,
                    on_failure=lambda failing: shown.now(f"shrinking the failure of seed {failing}"),
                    **limits,
                )
        else:
            if order is not None or step_cost or delays is not None:
                raise click.UsageError(
                    "--order, --step-cost and --delays are for a program; a scenario has --set platform.order=..."
                )
            chosen = chosen_scenario(what, settings, users, app, client, factory, own_checks)
            with refusing():
                found = explore(chosen, **limits)
    facts = {"explored": what, "seeds": most} | _facts(found)
    if found.failure is None:
        _tell_of_none(found, most if order is None else 1, seconds, printer)
        if page is not None:
            printer.say(f"{page} is not written: there is no failure to show")
        printer.cases("explore", [Case(group="explore", name=what)])
        printer.end(ExitCode.GO, facts | {"failure": None})
    if isinstance(found.failure, Failure):
        facts["failure"] = _tell_failure(found.failure, what, page, printer)
    else:
        facts["failure"] = _tell_trial(found.failure, found.escapes, what, page, printer)
    printer.end(ExitCode.NO_GO, facts)


def _facts(found: Exploration[Failure] | Exploration[Trial]) -> dict[str, Any]:
    covered = found.coverage
    facts = {"tried": covered.runs, "orders": covered.orders, "delays": covered.delays, "is_whole": covered.is_whole}
    return facts | {"escapes": list(map(str, found.escapes))}


def _tell_of_none(
    found: Exploration[Failure] | Exploration[Trial], most: int, seconds: float, printer: Printer
) -> None:
    if found.coverage.delays is not None:
        printer.say(str(found))
        return
    tried = found.coverage.runs
    more = "" if tried == most else f"; the {seconds:g} s were over before the others, --seconds takes more"
    printer.say(f"no failure in {tried:,} of {most:,} seeds{more}")
    printer.say(str(found.coverage))
    if found.escapes:
        printer.say(told(found.escapes))


def _refuse(**given: object) -> None:
    if wrong := [name for name, value in given.items() if value]:
        raise click.UsageError(f"--{wrong[0].replace('settings', 'set')} is for a scenario, and a program is given")


def _write(page: Path | None, found: Failure | Trial, origin: str, printer: Printer, replay: str = "") -> None:
    """Write the timeline page, if one is asked for."""
    if page is None:
        return
    from netra_sim.site.timeline import timeline_page

    try:
        html = timeline_page(found, origin, replay)
    except ValueError as error:
        raise click.UsageError(f"{page} is not written: {error}") from error
    save_text(page, html)
    comparison = found.comparison
    has_passing = comparison is not None and comparison.passing is not None
    printer.say(f"the failing run{' beside the nearest passing one' if has_passing else ', step by step'}: {page}")


def _tell_failure(found: Failure, origin: str, page: Path | None, printer: Printer) -> dict[str, Any]:
    """Tell of the failure of a program, and return what a JSON document says of it."""
    printer.say(str(found))
    failed = Case(group="explore", name=origin, outcome="failure", message=found.error, text=str(found))
    printer.cases("explore", [failed])
    _write(page, found, origin, printer)
    names = ("seed", "order", "step_cost", "kind", "error", "traceback", "is_repeatable", "sentence", "replay")
    return {name: getattr(found, name) for name in names}


def _tell_trial(
    found: Trial,
    escapes: Sequence[Escape],
    origin: str,
    page: Path | None,
    printer: Printer,
) -> dict[str, Any]:
    """Shrink the failure of a scenario, tell of it, and return what a JSON document says of it."""
    printer.say(f"seed {found.seed} fails {', '.join(found.failed_checks)}; shrinking")
    with progress(None, f"simulations to shrink seed {found.seed}") as on_run:
        smallest = shrink(found, on_trial=on_run)
    printer.checks(origin, smallest.results)
    if smallest.sentence:
        printer.say(smallest.sentence)
    if smallest.comparison is not None and smallest.comparison.passing is not None:
        printer.say(str(smallest.comparison))
    if escapes:
        printer.say(told(escapes))
    replay = replay_line(origin, find_scenario(origin), smallest)
    printer.say(f"to repeat it: {replay}")
    _write(page, smallest, origin, printer, replay)
    return {
        "seed": smallest.seed,
        "failed": smallest.failed_checks,
        "sentence": smallest.sentence,
        "replay": replay,
        "scenario": smallest.scenario,
        "checks": check_facts(smallest.results),
    }
