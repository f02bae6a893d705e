"""Commands that measure: `capacity` finds the number of users, `calibrate` the CPU time of a step on this machine."""

import sys
from pathlib import Path

import click

from netra_sim.cli.common import NEW_FILE, progress, show_use
from netra_sim.cli.scenarios import calibrated, calibration_option, chosen_scenario, factory_option
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
from netra_sim.factory import ExecutionEngineFactory


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
def capacity_command(
    scenario: str,
    text: str,
    settings: tuple[str, ...],
    lowest: int,
    highest: int,
    seeds: int,
    jobs: int | None,
    calibration: Calibration | None,
    factory_class: type[ExecutionEngineFactory],
) -> None:
    """Find how many users SCENARIO can have until a figure exceeds its bound, and which resource gives out then.

    Exits with 1 if even the least number of users exceeds the bound.
    """
    chosen = calibrated(chosen_scenario(scenario, settings, None), calibration, settings)
    if lowest > highest:
        raise click.UsageError(f"--from {lowest} is more than --to {highest}")
    try:
        bound = Bound.parse(text)
        with progress(None, "simulations") as on_trial:
            found = find_capacity(
                chosen, bound, seeds=seeds, lowest=lowest, highest=highest, jobs=jobs, factory_class=factory_class,
                on_trial=on_trial,
            )  # fmt: skip
    except BoundError as error:
        raise click.UsageError(str(error)) from error
    _show(found)
    click.echo(cpu_sentence(chosen, calibration))
    sys.exit(ExitCode.NO_GO if found.last_that_holds is None else ExitCode.GO)


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


def _show(found: Capacity) -> None:
    click.echo(
        f"{'users':>9}  {'kept by':>14}  {found.bound.measure} {found.bound.statistic}, least to most of the seeds"
    )
    for point in found.points:
        kept = f"{point.kept} of {found.seeds} seeds"
        least, most = (_duration(choose(figure.seconds for figure in point.figures)) for choose in (min, max))
        click.echo(f"{point.users:>9,}  {kept:>14}  {least} to {most}")
    holds, fails = found.last_that_holds, found.first_that_fails
    if holds is None:
        click.echo(f"no capacity: {_load(found, found.points[0])} do not keep {found.bound}; --from tries fewer")
    elif fails is None:
        click.echo(f"capacity: at least {_load(found, holds)} keep {found.bound}; --to tries more")
    else:
        click.echo(f"capacity: {_load(found, holds)} keep {found.bound}; {fails.users:,} users do not")
    click.echo(f"with {(fails or found.points[-1]).users:,} users:")
    show_use((fails or found.points[-1]).uses)
    click.echo(f"gave out: {found.gave_out}")
    click.echo(
        f"confidence: {seeds_needed(found.seeds)} of {found.seeds} seeds must keep the bound; then more than half of"
    )
    click.echo(f"all runs keep it, with {CONFIDENCE:.0%} confidence (exact binomial)")
    click.echo(left_out(found))


def _load(found: Capacity, point: Point) -> str:
    rate = requests_per_second(found.scenario, point.users)
    return f"{point.users:,} users" + ("" if rate is None else f" ({rate:.3g} requests a second)")


def _duration(seconds: float) -> str:
    if seconds == float("inf"):
        return "never"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"
