"""Commands that measure: `capacity` finds the number of users, `calibrate` the CPU time of a step on this machine."""

from pathlib import Path
from typing import Any

import click
import msgspec

from netra_sim.cli.common import NEW_FILE
from netra_sim.cli.printing import Printer, format_option
from netra_sim.cli.progress import progress
from netra_sim.cli.scenarios import calibrated, calibration_option, chosen_scenario, factory_option, refusing
from netra_sim.exit_code import ExitCode
from netra_sim.exploration import (
    Bound,
    BoundError,
    Calibration,
    Capacity,
    Point,
    calibrate,
    cpu_sentence,
    find_capacity,
)
from netra_sim.exploration.calibration import decimal
from netra_sim.exploration.capacity import (
    CONFIDENCE,
    LEAST_SEEDS,
    MOST_USERS,
    left_out,
    requests_per_second,
    seeds_needed,
)
from netra_sim.formats import Case
from netra_sim.quantities import counted, quantity


@click.command("capacity")
@click.argument("scenario", default="steady-load")
@click.option(
    "--until", "text", metavar="BOUND", default="delivery p95 <= 200 ms", show_default=True,
    help="What a figure must not exceed: MEASURE STATISTIC <= TIME.",
)  # fmt: skip
@click.option(
    "--set", "settings", multiple=True, metavar="PATH=VALUE", help="Another value for a setting of the scenario."
)
@click.option("--from", "lowest", type=click.IntRange(min=1), default=10, show_default=True, help="Least users to try.")
@click.option(
    "--to", "highest", type=click.IntRange(1, MOST_USERS), default=10_000, show_default=True, help="Most users to try."
)
@click.option(
    "--seeds", type=click.IntRange(min=LEAST_SEEDS), default=LEAST_SEEDS, show_default=True,
    help="Seeds 1 to N for each number of users.",
)  # fmt: skip
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; all cores by default.")
@calibration_option
@factory_option
@format_option
def capacity_command(
    scenario: str,
    text: str,
    settings: tuple[str, ...],
    lowest: int,
    highest: int,
    seeds: int,
    jobs: int | None,
    calibration: Calibration | None,
    factory: str | None,
    printer: Printer,
) -> None:
    """Find how many users SCENARIO can have until a figure exceeds its bound, and which resource gives out then.

    Exits with 1 if even the least number of users exceeds the bound.
    """
    chosen = calibrated(chosen_scenario(scenario, settings, None, factory=factory), calibration, settings)
    if lowest > highest:
        raise click.UsageError(f"--from {lowest} is more than --to {highest}")
    with refusing(BoundError):
        bound = Bound.parse(text)
        with progress(None, "simulations") as shown:
            found = find_capacity(
                chosen, bound, seeds=seeds, lowest=lowest, highest=highest, jobs=jobs, on_trial=shown,
                on_users=lambda users: shown.now(counted(users, "user")),
            )  # fmt: skip
    if printer.is_text:
        _show(found, printer)
    printer.say(cpu_sentence(chosen, calibration))
    printer.cases("capacity", [_case(found, lowest)])
    printer.end(ExitCode.NO_GO if found.last_that_holds is None else ExitCode.GO, _facts(found))


@click.command("calibrate")
@click.option("--seconds", type=click.FloatRange(min=0.1), default=3.0, show_default=True, help="How long to measure.")
@click.option("-o", "--output", type=NEW_FILE, help="File for the result, for --calibration; else it is printed only.")
def calibrate_command(seconds: float, output: Path | None) -> None:
    """Measure how much CPU time a step of the event loop takes on this machine."""
    with progress(None, "batches of runs") as on_batch:
        found = calibrate(seconds=seconds, on_batch=on_batch)
    click.echo(str(found))
    if output is None:
        click.echo(f"to use it: --set platform.step_cost={decimal(found.step_cost)}")
    else:
        found.save(output)
        click.echo(f"to use it: --calibration {output}")


def _case(found: Capacity, lowest: int) -> Case:
    case = Case(group=found.scenario.name, name=f"{found.bound} with {lowest:,} users or more")
    if found.last_that_holds is not None:
        return case
    return msgspec.structs.replace(case, outcome="failure", message=found.gave_out)


def _facts(found: Capacity) -> dict[str, Any]:
    holds, fails = found.last_that_holds, found.first_that_fails
    return {
        "scenario": found.scenario,
        "bound": str(found.bound),
        "seeds": found.seeds,
        "capacity": holds and holds.users,
        "first_that_fails": fails and fails.users,
        "gave_out": found.gave_out,
        "points": found.points,
    }


def _show(found: Capacity, printer: Printer) -> None:
    printer.say(
        f"{'users':>9}  {'kept by':>14}  {found.bound.measure} {found.bound.statistic}, least to most of the seeds"
    )
    for point in found.points:
        kept = f"{point.kept} of {found.seeds} seeds"
        least, most = (quantity(choose(figure.seconds for figure in point.figures), "s") for choose in (min, max))
        printer.say(f"{point.users:>9,}  {kept:>14}  {least} to {most}")
    holds, fails = found.last_that_holds, found.first_that_fails
    if holds is None:
        printer.say(f"no capacity: {_load(found, found.points[0])} do not keep {found.bound}; --from tries fewer")
    elif fails is None:
        printer.say(f"capacity: at least {_load(found, holds)} keep {found.bound}; --to tries more")
    else:
        printer.say(f"capacity: {_load(found, holds)} keep {found.bound}; {fails.users:,} users do not")
    printer.say(f"with {(fails or found.points[-1]).users:,} users:")
    printer.resources((fails or found.points[-1]).uses)
    printer.say(f"gave out: {found.gave_out}")
    printer.say(
        f"confidence: {seeds_needed(found.seeds)} of {found.seeds} seeds must keep the bound; then more than half of"
    )
    printer.say(f"all runs keep it, with {CONFIDENCE:.0%} confidence (exact binomial)")
    printer.say(left_out(found))


def _load(found: Capacity, point: Point) -> str:
    rate = requests_per_second(found.scenario, point.users)
    return f"{point.users:,} users" + ("" if rate is None else f" ({rate:.3g} requests a second)")
