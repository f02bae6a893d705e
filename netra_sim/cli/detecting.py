"""`netra-sim defects`: the seeded defects, and which checks catch them."""

import click
import msgspec

from netra_sim.cli.printing import Printer, format_option
from netra_sim.cli.progress import progress
from netra_sim.defects import DEFECTS, detect
from netra_sim.exit_code import ExitCode
from netra_sim.formats import Case, defect_case


@click.command("defects")
@click.option(
    "--run", "is_run", is_flag=True, help="Run every check against every defect, and against the clean runtime."
)
@click.option(
    "--seeds", type=click.IntRange(min=1), default=20, show_default=True, help="Seeds 1 to N for each defect."
)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; all cores by default.")
@format_option
def defects_command(is_run: bool, seeds: int, jobs: int | None, printer: Printer) -> None:
    """List the seeded defects of the original system, or show which checks catch them."""
    if not is_run:
        for one in DEFECTS.values():
            if printer.is_text:
                printer.say(f"{one.name:28} {', '.join(one.incidents):4} {one.symptom}")
        listed = [{"defect": one.name, "incidents": one.incidents, "symptom": one.symptom} for one in DEFECTS.values()]
        printer.end(ExitCode.GO, {"defects": listed})
    scenarios = {one.scenario.name: f"no defect in {one.scenario.name}" for one in DEFECTS.values()}
    left = iter([*DEFECTS, *scenarios.values(), "conformance checks"])
    with progress(len(DEFECTS) + len(scenarios), "defects") as shown:
        shown.now(next(left))

        def on_trial() -> None:
            shown()
            shown.now(next(left))

        found = detect(range(1, seeds + 1), jobs=jobs, on_trial=on_trial)
    for row in found.rows:
        caught = ", ".join(f"{name} {count}" for name, count in row.caught.items())
        if printer.is_text:
            printer.say(f"{row.defect:28} {', '.join(row.incidents):4} {caught or 'NOT CAUGHT'}")
    for name in found.false_alarms:
        printer.say(f"{name} fires on the clean runtime, in {found.clean[name]} simulations")
    missed, fired = len(found.undetected), len(found.false_alarms)
    printer.say(
        f"{len(found.rows)} defects, {seeds} seeds: {missed} not caught; {fired} checks fire on the clean runtime"
    )
    printer.cases("defects", (defect_case(row.defect, row.caught) for row in found.rows))
    printer.cases("clean runtime", (_clean_case(name, found.clean.get(name, 0)) for name in found.checks))
    facts = {"seeds": seeds, "defects": found.rows, "not_caught": found.undetected, "clean": found.clean}
    printer.end(ExitCode.NO_GO if missed or fired else ExitCode.GO, facts)


def _clean_case(check: str, fired: int) -> Case:
    case = Case(group="clean runtime", name=check)
    if not fired:
        return case
    return msgspec.structs.replace(case, outcome="failure", message=f"it fires in {fired} simulations without a defect")
