"""The command line: ``netra-sim report``, ``simulate``, ``check``, ``audit`` and the others that ``--help`` lists."""

import asyncio
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from netra_sim.audit import FORMATS, ConfigError, audit, describe_rules
from netra_sim.bridge import AgentWebSocketBridge
from netra_sim.checks import CheckResult, check
from netra_sim.exceptions import NetraSimError
from netra_sim.exit_code import ExitCode
from netra_sim.exploration import cells, detect, explore, in_order, replay_line, run_trial, shrink, sweep
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.history import History, Log, LogMapping, TimeUnit, is_event_log, read_log, replacing
from netra_sim.runtime import run
from netra_sim.server import AgentServer, Load, TokenAuthenticator, load
from netra_sim.simulation import FAULTS, Scenario, ScenarioError, find_scenario, scenario_names, scenario_path, simulate
from netra_sim.version import __version__
from netra_sim.violations import VIOLATIONS


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Make the remediation plan run, and see whether its claims hold.

    Exit codes: 0 GO; 1 NO-GO, a claim or an objective fell; 2 wrong usage, nothing ran; 3 it broke.
    """


@cli.command()
@click.option("--users", type=int, help="The parameter users of every notebook that has it.")
@click.option("--seed", type=int, help="Seed of everything that is drawn, in every notebook.")
@click.option(
    "-p", "texts", nargs=2, multiple=True, metavar="NAME VALUE",
    help="A parameter of every notebook that has it, or NOTEBOOK.NAME of one; repeatable.",
)  # fmt: skip
@click.option("--notebook", "names", multiple=True, metavar="NAME", help="Run only this notebook; repeatable.")
@click.option("--jobs", type=click.IntRange(min=1), help="Notebooks at a time; one for each core by default.")
@click.option(
    "--time-limit", type=click.FloatRange(min=1), default=1800.0, show_default=True, help="Seconds for each notebook."
)
@click.option(
    "--base", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="VERDICT_JSON",
    help="Another run's verdict, to say what has changed since.",
)  # fmt: skip
@click.option("-o", "--output", default="report", show_default=True, help="Folder for the report.")
def report(
    users: int | None,
    seed: int | None,
    texts: tuple[tuple[str, str], ...],
    names: tuple[str, ...],
    jobs: int | None,
    time_limit: float,
    base: Path | None,
    output: str,
) -> None:
    """Validate the plan: run the notebooks, and write the folder with the verdict and their pages."""
    # Not above: papermill, nbconvert and matplotlib take longer to import than a small simulation takes to run.
    from netra_sim.report.parameters import ParameterError
    from netra_sim.report.report import make_report, plan

    given = {"users": users, "seed": seed}
    try:
        tasks = plan(texts, {name: value for name, value in given.items() if value is not None}, names)
    except ParameterError as error:
        raise click.UsageError(str(error)) from error
    with _progress(sum(task.cells for task in tasks), "notebook cells") as on_cell:
        made = make_report(
            tasks, Path(output), jobs=jobs, time_limit=time_limit, base=base, on_cell=lambda _: on_cell()
        )
    click.echo(made.headline)
    for reason in made.reasons:
        click.echo(f"  {reason}")
    click.echo(f"Report: {made.page}")
    sys.exit(made.code)


@cli.command()
@click.argument("name", required=False)
def notebooks(name: str | None) -> None:
    """List the notebooks, or the notebook NAME: its question, and each parameter with its default and what it takes."""
    from netra_sim.report.parameters import ParameterError
    from netra_sim.report.report import explain, plan

    try:
        tasks = plan((), names=() if name is None else (name,))
    except ParameterError as error:
        raise click.UsageError(str(error)) from error
    for task in tasks:
        click.echo(f"{task.notebook.name:16} {task.notebook.question}")
        click.echo(f"{'':16} notebooks/{task.notebook.file}")
        for line in explain(task.notebook):
            click.echo(f"{'':16} {line}")


@cli.command("reference")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write it to, instead of printing it.")
def reference_command(output: Path | None) -> None:
    """Describe all scenarios, faults, checks, rules, claims, notebooks and commands, as docs/reference.md does."""
    from netra_sim.report.reference import reference

    page = reference(cli)
    if output is None:
        click.echo(page, nl=False)
    else:
        with replacing(output) as beside:
            beside.write_text(page, encoding="utf-8", newline="\n")


@cli.command("simulate")
@click.argument("scenario", default="steady-load")
@click.option("--users", type=click.IntRange(min=1), help="Users, instead of the scenario's number.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of everything that is drawn.")
@click.option(
    "--set", "settings", multiple=True, metavar="PATH=VALUE", help="Another value, such as network.latency.median=0.2."
)
@click.option("-o", "--output", default="history.parquet", show_default=True, help="File for the history.")
def simulate_command(scenario: str, users: int | None, seed: int, settings: tuple[str, ...], output: str) -> None:
    """Simulate SCENARIO, a name of the library's or a TOML file; check it, and keep its history."""
    chosen = _scenario(scenario, settings, users)
    with _progress(chosen.requests, "simulated requests") as on_answer:
        history = simulate(chosen, seed, on_answer=on_answer)
    _keep_and_check(history, output)


@cli.command()
@click.argument("scenario", required=False)
@click.option("--run", "is_run", is_flag=True, help="Simulate all of them, and see whether each shows what it is for.")
@click.option("--faults", is_flag=True, help="List the faults that a scenario may inject.")
def scenarios(scenario: str | None, is_run: bool, faults: bool) -> None:
    """List the library's scenarios, or explain SCENARIO."""
    if faults:
        for name, kind in FAULTS.items():
            click.echo(f"{name:24} {(kind.__doc__ or '').splitlines()[0]}")
    elif scenario is not None:
        _scenario(scenario, (), None)  # is refused if it is wrong
        click.echo(scenario_path(scenario).read_text(encoding="utf-8"))
    elif is_run:
        _run_library()
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
def violations(is_run: bool, seeds: int, jobs: int | None) -> None:
    """List the original system's defects that can be switched on, or see which checks catch them."""
    if not is_run:
        for one in VIOLATIONS.values():
            click.echo(f"{one.name:28} {', '.join(one.incidents):4} {one.symptom}")
        return
    with _progress(len(VIOLATIONS) + len({one.scenario.name for one in VIOLATIONS.values()}), "violations") as on_trial:
        found = detect(range(1, seeds + 1), jobs=jobs, on_trial=on_trial)
    for row in found.rows:
        caught = ", ".join(f"{name} {count}" for name, count in row.caught.items())
        click.echo(f"{row.violation:28} {', '.join(row.incidents):4} {caught or 'NOT CAUGHT'}")
    for name in found.false_alarms:
        click.echo(f"{name} fires on the clean runtime, in {found.clean[name]} simulations")
    missed, fired = len(found.undetected), len(found.false_alarms)
    click.echo(
        f"{len(found.rows)} violations, {seeds} seeds: {missed} not caught; {fired} checks fire on the clean runtime"
    )
    sys.exit(ExitCode.NO_GO if missed or fired else ExitCode.GO)


@cli.command("explore")
@click.argument("scenario", default="steady-load")
@click.option("--users", type=click.IntRange(min=1), help="Users, instead of the scenario's number.")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Another value of the scenario's.")
@click.option("--seeds", type=click.IntRange(min=1), default=1000, show_default=True, help="Seeds to try at most.")
@click.option("--seconds", type=float, default=60.0, show_default=True, help="Seconds after which no more are tried.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; all cores by default.")
def explore_command(
    scenario: str, users: int | None, settings: tuple[str, ...], seeds: int, seconds: float, jobs: int | None
) -> None:
    """Try many seeds of SCENARIO until a check fails that should not, and shrink what was found."""
    chosen = _scenario(scenario, settings, users)
    with _progress(seeds, "seeds") as on_trial:
        found = explore(chosen, seeds=seeds, seconds=seconds, jobs=jobs, on_trial=on_trial)
    if found is None:
        click.echo("no violation within the budget")
        return
    click.echo(f"seed {found.seed} violates {', '.join(found.violations)}; shrinking")
    smallest = shrink(found)
    _show(list(smallest.results))
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
@click.option("-o", "--output", default="sweep", show_default=True, help="Folder; an interrupted sweep in it goes on.")
def sweep_command(
    scenario: str, grid: tuple[str, ...], seeds: int, jobs: int | None, scheduler: str | None, output: str
) -> None:
    """Simulate SCENARIO over a grid of values and seeds, and write one table of all results."""
    values = {path: value if isinstance(value, list) else [value] for path, value in map(_setting, grid)}
    try:
        planned = cells(find_scenario(scenario), values, range(1, seeds + 1))
    except ScenarioError as error:
        raise click.UsageError(str(error)) from error
    with _progress(len(planned), "simulations") as on_cell:
        table = sweep(planned, output, jobs=jobs, scheduler=scheduler, on_cell=on_cell)
    unexpected = int((~table["as_expected"]).sum())
    click.echo(f"{len(table)} simulations in {Path(output) / 'sweep.parquet'}, {unexpected} of them not as expected")
    sys.exit(ExitCode.NO_GO if unexpected else ExitCode.GO)


@cli.command("load")
@click.option("--users", type=click.IntRange(1, 400), default=50, show_default=True, help="Real WebSocket clients.")
@click.option("--runs", type=click.IntRange(min=1), default=1, show_default=True, help="Requests of each.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of what the clients do.")
@click.option("-o", "--output", default="history.parquet", show_default=True, help="File for the history.")
def load_command(users: int, runs: int, seed: int, output: str) -> None:
    """Load a real server on this machine with real clients, check the run, and keep its history."""
    with _progress(users * runs, "real requests") as on_answer:
        history = run(load(Load(users=users, runs_per_user=runs, seed=seed), on_answer=on_answer))
    _keep_and_check(history, output)


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="Port; 0 for any free one."
)
@click.option(
    "--user", "users", multiple=True, default=("alice",), show_default=True, help="Print a token for this user."
)
def serve(host: str, port: int, users: tuple[str, ...]) -> None:
    """Serve agents over WebSockets until interrupted; tokens end with the process."""
    run(_serve(host, port, users))


@cli.command("check")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--map", "fields", multiple=True, metavar="FIELD=NAME", help="What a field is called in FILE; repeatable."
)
@click.option(
    "--map-value", "words", multiple=True, metavar="FIELD:THEIRS=OURS", help="What a word in FILE means; repeatable."
)
@click.option(
    "--time-unit", type=click.Choice(["s", "ms", "us", "ns"]), help="Of times that are numbers.  [default: s]"
)
@click.option(
    "--mapping", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A TOML file with all of these."
)
def check_command(
    file: Path, fields: tuple[str, ...], words: tuple[str, ...], time_unit: TimeUnit | None, mapping: Path | None
) -> None:
    """Check FILE: a history that was kept before, or the event log of any system, as JSON lines or Parquet.

    docs/event-log.md tells what a log may hold. Lines that cannot be read are told and left out.
    """
    is_mapped = bool(fields or words or time_unit or mapping)
    if is_mapped and not is_event_log(file):
        raise click.UsageError(f"{file} is a history of our own, which takes no mapping; leave the options out")
    lines: list[int] = []
    try:
        if is_event_log(file):
            chosen = LogMapping() if mapping is None else LogMapping.load(mapping)
            log = read_log(file, chosen.and_also(dict(map(_pair, fields)), _words(words), time_unit))
            history, lines = log.history, log.lines.tolist()
            _show_reading(log)
        else:
            history = History.load(file)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    sys.exit(_show(check(history), lines))


@cli.command("audit")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="text", show_default=True)
@click.option("--config", type=click.Path(path_type=Path), help="A pyproject.toml, instead of the nearest one.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; all cores by default where there is much to read.")
@click.option("--rules", is_flag=True, help="List the rules, with why and what to do.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write it to, instead of printing it.")
def audit_command(
    path: Path | None, form: str, config: Path | None, jobs: int | None, rules: bool, output: Path | None
) -> None:
    """Read the Python tree at PATH, without importing it: who goes round the factory, the bridge, the Windows-safe layer.

    The table [tool.netra-sim.audit] of the nearest pyproject.toml says which module plays which part.
    """
    if rules:
        click.echo(describe_rules(), nl=False)
        return
    if path is None:
        raise click.UsageError("name a folder or a Python file, or ask for --rules")
    try:
        found = audit(path, jobs=jobs, config_file=config)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    text = FORMATS[form](found)
    if output is None:
        click.echo(text, nl=False)
    else:
        with replacing(output) as beside:
            beside.write_text(text, encoding="utf-8", newline="\n")
    sys.exit(ExitCode.NO_GO if found.findings else ExitCode.GO)


def main() -> None:
    """Run the command line; what breaks exits with 3 and says why."""
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        sys.exit(ExitCode.BROKE)
    except (OSError, NetraSimError, RuntimeError) as error:
        click.echo(f"netra-sim broke: {type(error).__name__}: {error}", err=True)
        sys.exit(ExitCode.BROKE)


def _scenario(name_or_path: str, settings: tuple[str, ...], users: int | None) -> Scenario:
    chosen = dict(map(_setting, settings))
    if users is not None:
        chosen["users"] = users
    try:
        return find_scenario(name_or_path).with_settings(chosen)
    except ScenarioError as error:
        raise click.UsageError(str(error)) from error


def _setting(text: str) -> tuple[str, Any]:
    """PATH=VALUE, with the value as in a TOML file."""
    path, equals, value = text.partition("=")
    try:
        if not equals:
            raise ValueError("there is no =")
        return path.strip(), tomllib.loads(f"value = {value}")["value"]
    except ValueError as error:
        raise click.UsageError(f"--set takes PATH=VALUE with a value as in TOML, and had {text!r}: {error}") from error


def _run_library() -> None:
    chosen = [find_scenario(name) for name in scenario_names()]
    unexpected = 0
    with _progress(len(chosen), "scenarios") as on_trial:
        for trial in in_order(run_trial, ((scenario, 1) for scenario in chosen)):
            on_trial()
            unexpected += not trial.is_as_expected
            word = "as expected" if trial.is_as_expected else "UNEXPECTED"
            tqdm.write(
                f"{word:12} {trial.scenario.name:24} fails: {', '.join(trial.failed) or 'nothing'}", file=sys.stdout
            )
    sys.exit(ExitCode.NO_GO if unexpected else ExitCode.GO)


def _keep_and_check(history: History, output: str) -> None:
    path = history.save(Path(output))
    click.echo(f"{len(history):,} rows in {path}, digest {history.digest()[:16]}")
    sys.exit(_show(check(history)))


def _show(results: list[CheckResult], lines: Sequence[int] = ()) -> ExitCode:
    """Print what was found, and where: for a log with the numbers of the lines that its history's rows come from."""
    for result in results:
        click.echo(f"{result.state:>14}  {result.check}: {result.looked_at:,} {result.unit}")
        for finding in result.findings[:5]:
            where = [finding.run, finding.event, f"number {finding.seq}" if finding.seq >= 0 else ""]
            where += [f"at {finding.time:.3f} s" if finding.time is not None and any(where) else ""]
            where += [f"line {lines[finding.row]}" if lines and finding.row >= 0 else ""]
            told = ", ".join(part for part in where if part)
            click.echo(f"{'':>16}{finding.message}{f' ({told})' if told else ''}")
        if result.found > 5:
            click.echo(f"{'':>16}and {result.found - 5:,} more")
    return ExitCode.NO_GO if any(result.state == "failed" for result in results) else ExitCode.GO


def _show_reading(log: Log) -> None:
    for line, reason in log.malformed:
        click.echo(f"line {line} {reason}")
    if log.malformed_lines:
        click.echo(f"{log.malformed_lines:,} lines could not be read, and were left out")
    for kind, count in log.other_kinds.items():
        click.echo(f"{count:,} records of the kind {kind!r} mean nothing here, and were left out")
    click.echo(f"{len(log.history):,} records")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"expected NAME=VALUE, and had {text!r}")
    return name.strip(), value.strip()


def _words(texts: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """FIELD:THEIRS=OURS, by field."""
    words: dict[str, dict[str, str]] = {}
    for text in texts:
        field, colon, meaning = text.partition(":")
        if not colon:
            raise click.UsageError(f"--map-value takes FIELD:THEIRS=OURS, and had {text!r}")
        theirs, ours = _pair(meaning)
        words.setdefault(field.strip(), {})[theirs] = ours
    return words


async def _serve(host: str, port: int, users: tuple[str, ...]) -> None:
    bridge = AgentWebSocketBridge()
    authenticator = TokenAuthenticator()
    factory = ExecutionEngineFactory(websocket_bridge=bridge)
    async with AgentServer(
        bridge=bridge, execution_factory=factory, authenticator=authenticator, host=host, port=port
    ) as server:
        click.echo(f"listening on {server.uri}; interrupt to stop")
        for user in users:
            click.echo(f"{user}: Authorization: Bearer {authenticator.issue(user)}")
        await asyncio.Event().wait()


@contextmanager
def _progress(total: int, unit: str) -> Iterator[Callable[[], None]]:
    with tqdm(total=total, desc=unit, unit="", leave=False, mininterval=0.2) as bar:
        yield lambda: bar.update() and None
