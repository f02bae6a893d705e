"""Commands that make things happen: simulations, explorations, sweeps, loads."""

import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec
from tqdm import tqdm

from netra_sim.checks import CHECK_NAMES, check
from netra_sim.cli.common import NEW_FILE, NEW_FOLDER, cli, progress, show
from netra_sim.defects import DEFECTS, detect
from netra_sim.exit_code import ExitCode
from netra_sim.exploration import cells, explore, in_order, replay_line, run_trial, shrink, sweep
from netra_sim.history import History, Objectives
from netra_sim.loading import MOST_USERS, Load, load
from netra_sim.runtime import run
from netra_sim.simulation import (
    FAULTS,
    Scenario,
    ScenarioError,
    find_scenario,
    parse_setting,
    scenario_names,
    scenario_path,
    simulate,
)


@cli.command("simulate")
@click.argument("scenario", default="steady-load")
@click.option("--users", type=click.IntRange(min=1), help="Users, instead of the scenario's number.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of everything that is drawn.")
@click.option(
    "--set", "settings", multiple=True, metavar="PATH=VALUE", help="Another value, such as network.latency.median=0.2."
)
@click.option(
    "-o", "--output", type=NEW_FILE, default="history.parquet", show_default=True, help="File for the history."
)
def simulate_command(scenario: str, users: int | None, seed: int, settings: tuple[str, ...], output: Path) -> None:
    """Simulate SCENARIO, a name of the library's or a TOML file; check it, and keep its history."""
    chosen = _scenario(scenario, settings, users)
    with progress(chosen.requests, "simulated requests") as on_answer:
        history = simulate(chosen, seed, on_answer=on_answer)
    _keep_and_check(history, output)


@cli.command()
@click.argument("scenario", required=False)
@click.option("--run", "is_run", is_flag=True, help="Simulate it, or all, and see whether each shows what it is for.")
@click.option("--faults", is_flag=True, help="List the faults that a scenario may inject.")
def scenarios(scenario: str | None, is_run: bool, faults: bool) -> None:
    """List the library's scenarios, or explain SCENARIO."""
    if faults:
        for name, kind in FAULTS.items():
            click.echo(f"{name:24} {(kind.__doc__ or '').splitlines()[0]}")
    elif is_run:
        _run([_scenario(name, (), None) for name in ([scenario] if scenario else scenario_names())])
    elif scenario is not None:
        _scenario(scenario, (), None)  # is refused if it is wrong
        click.echo(scenario_path(scenario).read_text(encoding="utf-8-sig"))
    else:
        for name in scenario_names():
            one = find_scenario(name)
            click.echo(f"{name:24} {one.description}")
            click.echo(f"{'':24} incidents {', '.join(one.incidents)}; fails: {', '.join(one.expect) or 'nothing'}")


@cli.command()
@click.option(
    "--run", "is_run", is_flag=True, help="Try every check against all of them, and against the clean runtime."
)
@click.option("--seeds", type=click.IntRange(min=1), default=20, show_default=True, help="Seeds 1 to N for each.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; all cores by default.")
def defects(is_run: bool, seeds: int, jobs: int | None) -> None:
    """List the original system's defects that can be switched on, or see which checks catch them."""
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


@cli.command("explore")
@click.argument("scenario", default="steady-load")
@click.option("--users", type=click.IntRange(min=1), help="Users, instead of the scenario's number.")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Another value of the scenario's.")
@click.option("--seeds", type=click.IntRange(min=1), default=1000, show_default=True, help="Seeds to try at most.")
@click.option(
    "--seconds", type=click.FloatRange(min=0, min_open=True), default=60.0, show_default=True,
    help="Seconds after which no more are tried.",
)  # fmt: skip
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; all cores by default.")
def explore_command(
    scenario: str, users: int | None, settings: tuple[str, ...], seeds: int, seconds: float, jobs: int | None
) -> None:
    """Try many seeds of SCENARIO until a check fails that should not, and shrink what was found."""
    chosen = _scenario(scenario, settings, users)
    tried = 0
    with progress(seeds, "seeds") as on_trial:

        def on_seed() -> None:
            nonlocal tried
            tried += 1
            on_trial()

        found = explore(chosen, seeds=seeds, seconds=seconds, jobs=jobs, on_trial=on_seed)
    if found is None:
        more = "" if tried == seeds else f"; the {seconds:g} s were over before the others, --seconds takes more"
        click.echo(f"no failure in {tried:,} of {seeds:,} seeds{more}")
        return
    click.echo(f"seed {found.seed} fails {', '.join(found.failed_checks)}; shrinking")
    smallest = shrink(found)
    show(list(smallest.results))
    click.echo(f"to repeat it: {replay_line(scenario, find_scenario(scenario), smallest)}")
    sys.exit(ExitCode.NO_GO)


@cli.command("sweep")
@click.argument("scenario", default="steady-load")
@click.option("--set", "grid", multiple=True, metavar="PATH=[VALUES]", help="A list of values, as TOML; repeatable.")
@click.option(
    "--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Seeds 1 to N for every combination."
)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; all cores by default.")
@click.option("--scheduler", metavar="ADDRESS", help="An existing Dask scheduler to use instead.")
@click.option(
    "-o", "--output", type=NEW_FOLDER, default="sweep", show_default=True,
    help="Folder; an interrupted sweep in it goes on.",
)  # fmt: skip
def sweep_command(
    scenario: str, grid: tuple[str, ...], seeds: int, jobs: int | None, scheduler: str | None, output: Path
) -> None:
    """Simulate SCENARIO over a grid of values and seeds, and write one table of all results."""
    chosen = _scenario(scenario, (), None)
    with _refusing():
        values = {path: value if isinstance(value, list) else [value] for path, value in map(parse_setting, grid)}
        planned = cells(chosen, values, range(1, seeds + 1))
    with progress(len(planned), "simulations") as on_cell:
        table = sweep(planned, output, jobs=jobs, scheduler=scheduler, on_cell=on_cell)
    unexpected = int((~table["as_expected"]).sum())
    click.echo(f"{len(table)} simulations in {output / 'sweep.parquet'}, {unexpected} of them not as expected")
    sys.exit(ExitCode.NO_GO if unexpected else ExitCode.GO)


@cli.command("load")
@click.option(
    "--users", type=click.IntRange(1, MOST_USERS), default=50, show_default=True, help="Real WebSocket clients."
)
@click.option("--runs", type=click.IntRange(min=1), default=1, show_default=True, help="Requests of each.")
@click.option(
    "--window", type=click.FloatRange(min=0), default=2.0, show_default=True, help="Seconds in which they are due."
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
    help="Share of users whose connection is cut once, during a run.",
)  # fmt: skip
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of what the clients do.")
@click.option(
    "--objective", "bounds", multiple=True, metavar="NAME=VALUE", help="Another objective, such as delivery_p95=0.2."
)
@click.option(
    "-o", "--output", type=NEW_FILE, default="history.parquet", show_default=True, help="File for the history."
)
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
    """Load a real server with real clients, in a process of their own, check the run, and keep its history.

    Exits with 1 if a check fails, an objective is missed, or one that was given could not be judged.
    """
    try:
        plan = Load(users=users, runs_per_user=runs, window=window, step=step, disconnects=disconnects, seed=seed)
        objectives = msgspec.convert(dict(map(parse_setting, bounds)), Objectives)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    with progress(users * runs, "real requests") as on_answer:
        history = run(load(plan, objectives=objectives, on_answer=on_answer))
    _keep_and_check(history, output, given=("latency",) if bounds else ())


def _scenario(name_or_path: str, settings: tuple[str, ...], users: int | None) -> Scenario:
    with _refusing():
        chosen = dict(map(parse_setting, settings))
        if users is not None:
            chosen["users"] = users
        scenario = find_scenario(name_or_path).with_settings(chosen)
        if unknown := [name for name in scenario.expect if name not in CHECK_NAMES]:
            there_are = ", ".join(CHECK_NAMES)
            raise ScenarioError(f"{name_or_path}: expect: there is no check {unknown[0]!r}; there are {there_are}")
        return scenario


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except ScenarioError as error:
        raise click.UsageError(str(error)) from error


def _run(chosen: list[Scenario]) -> None:
    unexpected = 0
    with progress(len(chosen), "scenarios") as on_trial:
        for trial in in_order(run_trial, ((scenario, 1) for scenario in chosen)):
            on_trial()
            unexpected += not trial.is_as_expected
            word = "as expected" if trial.is_as_expected else "UNEXPECTED"
            tqdm.write(
                f"{word:12} {trial.scenario.name:24} fails: {', '.join(trial.failed) or 'nothing'}", file=sys.stdout
            )
    sys.exit(ExitCode.NO_GO if unexpected else ExitCode.GO)


def _keep_and_check(history: History, output: Path, given: Collection[str] = ()) -> None:
    """Save the history, print what the checks say, and exit; a check of objectives that were given must have judged."""
    path = history.save(output)
    click.echo(f"{len(history):,} rows in {path}, digest {history.digest()[:16]}")
    results = check(history)
    code = show(results)
    if unjudged := [one.check for one in results if one.check in given and one.state not in ("passed", "failed")]:
        click.echo(f"not judged, though objectives were given: {', '.join(unjudged)}")
        code = ExitCode.NO_GO
    sys.exit(code)
