"""`netra-sim scenarios`: the library of scenarios, and the faults."""

import sys

import click

from netra_sim.exit_code import ExitCode
from netra_sim.simulation import FAULTS, find_scenario, scenario_names, scenario_path


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
        _run([scenario] if scenario else scenario_names())
    elif scenario is not None:
        from netra_sim.cli.scenarios import chosen_scenario

        chosen_scenario(scenario, (), None)  # refuses a wrong scenario
        click.echo(scenario_path(scenario).read_text(encoding="utf-8-sig"))
    else:
        for name in scenario_names():
            one = find_scenario(name)
            click.echo(f"{name:24} {one.description}")
            click.echo(f"{'':24} incidents {', '.join(one.incidents)}; fails: {', '.join(one.expect) or 'nothing'}")


def _run(names: list[str]) -> None:
    # Imported here: a list of the library needs neither the checks nor a progress bar.
    from tqdm import tqdm

    from netra_sim.cli.progress import progress
    from netra_sim.cli.scenarios import chosen_scenario
    from netra_sim.exploration import in_order, run_trial

    chosen = [chosen_scenario(name, (), None) for name in names]
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
