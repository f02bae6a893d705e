"""How commands choose a scenario and a factory, and how they save and check a history."""

import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import NoReturn, TypeVar

import click

from netra_sim.checks import CHECKS, check, resource_use, steady_state, which_saturates
from netra_sim.cli.common import NEW_FILE, show, show_use
from netra_sim.exceptions import SystemFailedError
from netra_sim.exit_code import ExitCode
from netra_sim.exploration import Calibration, CalibrationError
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.files import WriteError
from netra_sim.history import History
from netra_sim.simulation import Scenario, ScenarioError, find_scenario, parse_setting
from netra_sim.simulation.system import system_settings


def _factory_class(_: click.Context, __: click.Parameter, value: str | None) -> type[ExecutionEngineFactory]:
    """Import the class ``package.module:Class``."""
    if value is None:
        return ExecutionEngineFactory
    module, colon, name = value.partition(":")
    if not colon:
        raise click.BadParameter(f"a factory is MODULE:CLASS, and this is {value!r}")
    sys.path.insert(0, str(Path.cwd()))  # like `python -m`, for a module that is not installed
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise click.BadParameter(f"{value} cannot be imported: {error}") from error
    if not (isinstance(found, type) and issubclass(found, ExecutionEngineFactory)):
        raise click.BadParameter(f"{value} is no subclass of netra_sim.ExecutionEngineFactory")
    return found


factory_option = click.option(
    "--factory",
    "factory_class",
    callback=_factory_class,
    metavar="MODULE:CLASS",
    help="Your own subclass of ExecutionEngineFactory, with your own agents.",
)
"""The option for commands that can simulate another factory."""


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


def factory_words(factory_class: type[ExecutionEngineFactory]) -> str:
    """The ``--factory`` option for a command line that repeats a simulation; "" for the default factory."""
    if factory_class is ExecutionEngineFactory:
        return ""
    return f" --factory {factory_class.__module__}:{factory_class.__qualname__}"


C = TypeVar("C", bound=Callable[..., object])


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
        scenario = original.with_settings(chosen)
        known = list(CHECKS)  # read now: a broken check of another package stops the command before it runs
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
def refusing() -> Iterator[None]:
    """Turn a `ScenarioError`, or a system under test that does not start, into wrong usage of the command."""
    try:
        yield
    except (ScenarioError, SystemFailedError) as error:
        raise click.UsageError(str(error)) from error


def save_and_check(history: History, output: Path, given: Collection[str] = ()) -> NoReturn:
    """Save the history, print what the checks say, and exit.

    Args:
        history: the record of a simulation or a load run.
        output: the file for the history.
        given: the checks that judge given objectives; the command exits with 1 if one of them could not judge.

    Raises:
        WriteError: the file cannot be written; everything else is printed.
    """
    not_saved: WriteError | None = None
    try:
        history.save(output)
        click.echo(f"{len(history):,} rows in {output}, digest {history.digest()[:16]}")
    except WriteError as error:
        not_saved = error  # the run took long enough: show what it found first
    results = check(history)
    code = show(results, is_brief=history.meta["source"] == "system")
    if uses := resource_use(history, steady_state(history)):
        show_use(uses)
        click.echo(which_saturates(uses))
    if unjudged := [one.check for one in results if one.check in given and one.state not in ("passed", "failed")]:
        click.echo(f"not judged, though objectives were given: {', '.join(unjudged)}")
        code = ExitCode.NO_GO
    if not_saved is not None:
        raise not_saved
    sys.exit(code)
