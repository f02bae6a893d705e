"""`netra-sim scenarios`: the library of scenarios, and the faults."""

import sys
from typing import TYPE_CHECKING

import click

from netra_sim.cli.printing import Printer, format_option
from netra_sim.exit_code import ExitCode
from netra_sim.formats import Case
from netra_sim.simulation import FAULTS, find_scenario, scenario_names, scenario_path

if TYPE_CHECKING:
    from netra_sim.exploration import Trial


@click.command("scenarios")
@click.argument("scenario", required=False)
@click.option("--run", "is_run", is_flag=True, help="Simulate one or all, and compare the failed checks with `expect`.")
@click.option("--faults", is_flag=True, help="List the faults that a scenario may inject.")
@format_option
def scenarios_command(scenario: str | None, is_run: bool, faults: bool, printer: Printer) -> None:
    """List the library scenarios, or explain SCENARIO."""
    if faults:
        _list_faults(printer)
    elif is_run:
        _run([scenario] if scenario else scenario_names(), printer)
    elif scenario is not None:
        _explain(scenario, printer)
    else:
        _list(printer)


def _list_faults(printer: Printer) -> None:
    listed = [{"fault": name, "what": (kind.__doc__ or "").splitlines()[0]} for name, kind in FAULTS.items()]
    if printer.is_text:
        for one in listed:
            printer.say(f"{one['fault']:24} {one['what']}")
    printer.end(ExitCode.GO, {"faults": listed})


def _explain(name: str, printer: Printer) -> None:
    from netra_sim.cli.scenarios import chosen_scenario

    chosen = chosen_scenario(name, (), None)  # refuses a wrong scenario
    if printer.is_text:
        printer.say(scenario_path(name).read_text(encoding="utf-8-sig"))
    printer.end(ExitCode.GO, {"scenario": chosen})


def _list(printer: Printer) -> None:
    library = [find_scenario(name) for name in scenario_names()]
    if printer.is_text:
        for one in library:
            printer.say(f"{one.name:24} {one.description}")
            printer.say(f"{'':24} incidents {', '.join(one.incidents)}; fails: {', '.join(one.expect) or 'nothing'}")
    printer.end(ExitCode.GO, {"scenarios": library})


def _run(names: list[str], printer: Printer) -> None:
    # Imported here: a list of the library needs neither the checks nor a progress bar.
    from tqdm import tqdm

    from netra_sim.cli.progress import progress
    from netra_sim.cli.scenarios import chosen_scenario, refusing
    from netra_sim.exploration import in_order, run_trial

    chosen = [chosen_scenario(name, (), None) for name in names]
    trials = []
    with refusing(), progress(len(chosen), "scenarios") as on_trial:
        for trial in in_order(run_trial, ((scenario, 1) for scenario in chosen)):
            on_trial()
            trials.append(trial)
            if printer.is_text:
                word = "as expected" if trial.is_as_expected else "UNEXPECTED"
                tqdm.write(f"{word:12} {trial.scenario.name:24} fails: {_names(trial.failed)}", file=sys.stdout)
    printer.cases("scenarios", map(_case, trials))
    unexpected = sum(not trial.is_as_expected for trial in trials)
    of_trials = [
        {"scenario": one.scenario.name, "as_expected": one.is_as_expected, "failed": one.failed, "digest": one.digest}
        for one in trials
    ]
    printer.end(ExitCode.NO_GO if unexpected else ExitCode.GO, {"unexpected": unexpected, "simulations": of_trials})


def _case(trial: "Trial") -> Case:
    if trial.is_as_expected:
        return Case(group="scenarios", name=trial.scenario.name)
    message = f"it fails {_names(trial.failed)}, and {_names(trial.scenario.expect)} is expected to fail"
    return Case(group="scenarios", name=trial.scenario.name, outcome="failure", message=message)


def _names(checks: tuple[str, ...]) -> str:
    return ", ".join(checks) or "nothing"
