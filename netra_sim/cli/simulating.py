"""Commands that simulate one scenario, the library, or the seeded defects."""

import sys
from pathlib import Path

import click
from tqdm import tqdm

from netra_sim.cli.common import progress
from netra_sim.cli.scenarios import (
    calibrated,
    calibration_option,
    chosen_scenario,
    factory_option,
    history_option,
    save_and_check,
)
from netra_sim.defects import DEFECTS, detect
from netra_sim.exit_code import ExitCode
from netra_sim.exploration import Calibration, cpu_sentence, in_order, run_trial
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.simulation import FAULTS, Scenario, find_scenario, scenario_names, scenario_path, simulate


@click.command("simulate")
@click.argument("scenario", default="steady-load")
@click.option("--users", type=click.IntRange(min=1), help="Users, instead of the scenario's number.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of everything random.")
@click.option(
    "--set", "settings", multiple=True, metavar="PATH=VALUE", help="Another value, such as network.latency.median=0.2."
)
@calibration_option
@history_option
@factory_option
def simulate_command(
    scenario: str,
    users: int | None,
    seed: int,
    settings: tuple[str, ...],
    calibration: Calibration | None,
    output: Path,
    factory_class: type[ExecutionEngineFactory],
) -> None:
    """Simulate SCENARIO, a library name or a TOML file; check the history, and save it."""
    chosen = calibrated(chosen_scenario(scenario, settings, users), calibration, settings)
    with progress(chosen.requests, "simulated requests") as on_answer:
        history = simulate(chosen, seed, factory_class=factory_class, on_answer=on_answer)
    if calibration is not None:
        history.meta["environment"]["calibration"] = str(calibration)
    if chosen.platform.step_cost:
        click.echo(cpu_sentence(chosen, calibration))
    save_and_check(history, output)


@click.command("scenarios")
@click.argument("scenario", required=False)
@click.option("--run", "is_run", is_flag=True, help="Simulate one or all, and compare the failed checks with `expect`.")
@click.option("--faults", is_flag=True, help="List the faults that a scenario may inject.")
def scenarios_command(scenario: str | None, is_run: bool, faults: bool) -> None:
    """List the library scenarios, or explain SCENARIO."""
    if faults:
        for name, kind in FAULTS.items():
            click.echo(f"{name:24} {(kind.__doc__ or '').splitlines()[0]}")
    elif is_run:
        _run([chosen_scenario(name, (), None) for name in ([scenario] if scenario else scenario_names())])
    elif scenario is not None:
        chosen_scenario(scenario, (), None)  # refuses a wrong scenario
        click.echo(scenario_path(scenario).read_text(encoding="utf-8-sig"))
    else:
        for name in scenario_names():
            one = find_scenario(name)
            click.echo(f"{name:24} {one.description}")
            click.echo(f"{'':24} incidents {', '.join(one.incidents)}; fails: {', '.join(one.expect) or 'nothing'}")


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
