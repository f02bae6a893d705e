"""How commands choose a scenario and a factory, and how they save and check a history."""

import shlex
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

from netra_sim.checks import (
    Check,
    CheckError,
    CheckResult,
    all_checks,
    check,
    resource_use,
    steady_state,
    which_saturates,
)
from netra_sim.cli.common import NEW_FILE, C, html_option, wrong_usage
from netra_sim.cli.printing import Printer
from netra_sim.exceptions import SystemFailedError
from netra_sim.exit_code import ExitCode
from netra_sim.exploration import Calibration, CalibrationError
from netra_sim.files import WriteError, save_text
from netra_sim.formats import check_facts
from netra_sim.history import History
from netra_sim.own_code import OwnCodeError
from netra_sim.processes import WorkerError
from netra_sim.simulation import Scenario, ScenarioError, find_scenario, parse_setting
from netra_sim.simulation.system import system_settings

factory_option = click.option(
    "--factory",
    metavar="MODULE:CLASS",
    help="Your own subclass of ExecutionEngineFactory, with your own agents.",
)
"""The option for commands that can simulate another factory; `chosen_scenario` takes its value."""

check_option = click.option(
    "--check",
    "own_checks",
    multiple=True,
    metavar="MODULE:CHECK",
    help="A check of your own, besides those of netra-sim; repeatable.",
)
"""The option for commands that check; `chosen_scenario` takes its value."""


def _calibration(_: click.Context, __: click.Parameter, value: Path | None) -> Calibration | None:
    try:
        return None if value is None else Calibration.load(value)
    except CalibrationError as error:
        raise click.BadParameter(str(error)) from error


calibration_option = click.option(
    "--calibration", type=click.Path(exists=True, dir_okay=False, path_type=Path), callback=_calibration,
    help="A file of `netra-sim calibrate`: every step takes the CPU time that it says.",
)  # fmt: skip
"""The option for commands whose simulations may take the CPU time that was measured on a machine."""


history_option = click.option(
    "-o", "--output", type=NEW_FILE, default="history.parquet", show_default=True, help="File for the history."
)
"""The option of the commands that record one history."""

run_page_option = html_option("File for a page of this run: its checks with their figures, and pictures.")
"""The option of the commands that check one history."""


def system_options(command: C) -> C:
    """Options for commands that can simulate a system under test; `chosen_scenario` takes their values."""
    app = click.option(
        "--app",
        metavar="MODULE:APP",
        help="An ASGI application to test, instead of the runtime of this package; served by uvicorn.",
    )
    client = click.option(
        "--client",
        metavar="KIND",
        help="How users talk to the application: websocket-json, sse-json, ag-ui, netra or MODULE:CLASS.",
    )
    return app(client(command))


def chosen_scenario(
    name_or_path: str,
    settings: tuple[str, ...],
    users: int | None,
    app: str | None = None,
    client: str | None = None,
    factory: str | None = None,
    own_checks: tuple[str, ...] = (),
) -> Scenario:
    """Find a scenario by name or path, and apply the settings of the command's options.

    Raises:
        click.UsageError: the scenario, or a check that it expects, does not exist, or a value is refused.
    """
    with refusing():
        original = find_scenario(name_or_path)
        chosen = system_settings(original.system, app or "", client or "") | dict(map(parse_setting, settings))
        if users is not None:
            chosen["users"] = users
        if factory is not None:
            chosen["factory"] = factory
        if own_checks:
            chosen["checks"] = [*original.own_checks, *own_checks]
        scenario = original.with_settings(chosen)
        # Read now: a broken check of another package, or of one's own, stops the command before it runs.
        known = [one.name for one in all_checks(scenario.own_checks)]
        if unknown := [name for name in scenario.expect if name not in known]:
            there_are = ", ".join(known)
            raise ScenarioError(f"{name_or_path}: expect: there is no check {unknown[0]!r}; there are {there_are}")
        return scenario


def calibrated(scenario: Scenario, calibration: Calibration | None, settings: tuple[str, ...]) -> Scenario:
    """The scenario with the step cost of the calibration, if there is one.

    Raises:
        click.UsageError: the settings name a step cost too.
    """
    if calibration is None:
        return scenario
    if any(text.partition("=")[0].strip() == "platform.step_cost" for text in settings):
        raise click.UsageError("--calibration and --set platform.step_cost both say what a step costs; leave one out")
    return calibration.apply(scenario)


@contextmanager
def refusing(*others: type[Exception]) -> Iterator[None]:
    """Turn a `ScenarioError`, a system that does not start, a worker process that died, and others, into wrong usage."""
    with wrong_usage(ScenarioError, OwnCodeError, SystemFailedError, WorkerError, *others):
        yield


def save_and_check(
    history: History,
    output: Path,
    printer: Printer,
    page: Path | None,
    own_checks: Iterable[str] = (),
    *,
    given: Collection[str] = (),
    assumptions: Sequence[str] = (),
) -> NoReturn:
    """Save the history, print what the checks say, and exit.

    Args:
        history: the record of a simulation or a load run.
        output: the file for the history.
        printer: prints it.
        page: the file for the page, or None.
        own_checks: the places of checks of one's own.
        given: the checks that judge given objectives; the command exits with 1 if one of them could not judge.
        assumptions: what the figures rest on, in sentences, for the page.

    Raises:
        CheckError: a check broke; everything else is printed.
        WriteError: the file cannot be written; everything else is printed.
    """
    not_saved: WriteError | None = None
    try:
        history.save(output)
        printer.say(f"{len(history):,} rows in {output}, digest {history.digest()[:16]}")
    except WriteError as error:
        not_saved = error  # the run took long enough: show what it found first
    results, broke = results_of(history, all_checks(own_checks))
    more = f"netra-sim check {output} says what each lacks" if history.meta["source"] == "system" else ""
    name = history.meta.get("scenario", {}).get("name", "load")
    printer.checks(name, results, more=more)
    printer.broken(name, broke)
    uses = resource_use(history, steady_state(history))
    printer.resources(uses)
    if uses:
        printer.say(which_saturates(uses))
    unjudged = [one.check for one in results if one.check in given and one.state not in ("passed", "failed")]
    if unjudged:
        printer.say(f"not judged, though objectives were given: {', '.join(unjudged)}")
    no_page = write_run_page(page, history, results, name, printer, assumptions)
    has_failed = unjudged or any(one.state == "failed" for one in results)
    facts = history_facts(history, results) | {"history": str(output), "resources": uses, "not_judged": unjudged}
    printer.end(ExitCode.NO_GO if has_failed else ExitCode.GO, facts, broke or not_saved or no_page)


def results_of(history: History, checks: Iterable[Check]) -> tuple[Sequence[CheckResult], CheckError | None]:
    """The results of the checks that did not break, and the error of those that did."""
    try:
        return check(history, checks=checks), None
    except CheckError as error:
        return error.results, error


def write_run_page(
    page: Path | None,
    history: History,
    results: Sequence[CheckResult],
    name: str,
    printer: Printer,
    assumptions: Sequence[str] = (),
) -> WriteError | None:
    """Write the page of a run, if one is asked for, and return why it could not be written."""
    if page is None:
        return None
    from netra_sim.site.run_page import RunPage, run_page  # matplotlib takes a second to import

    about = RunPage(name, shlex.join(["netra-sim", *sys.argv[1:]]), assumptions)
    try:
        save_text(page, run_page(history, results, about))
    except WriteError as error:
        return error
    printer.say(f"Page: {page}")
    return None


def history_facts(history: History, results: Sequence[CheckResult]) -> dict[str, Any]:
    """What a JSON document says of a history that was checked."""
    meta = history.meta
    facts = {name: meta.get(name) for name in ("source", "scenario", "seed")}
    return facts | {"rows": len(history), "digest": history.digest(), "checks": check_facts(results)}
