"""The command line: ``netra-sim report | simulate | load | serve | check``."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from netra_sim.bridge import AgentWebSocketBridge
from netra_sim.checks import CheckResult, check
from netra_sim.exceptions import NetraSimError
from netra_sim.exit_code import ExitCode
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.history import History, HistoryError
from netra_sim.runtime import run
from netra_sim.server import AgentServer, Load, TokenAuthenticator, load
from netra_sim.simulation import Scenario, ScenarioError, simulate
from netra_sim.version import __version__


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Make the remediation plan run, and see whether its claims hold.

    Exit codes: 0 GO; 1 NO-GO, a claim or an objective fell; 2 wrong usage, nothing ran; 3 it broke.
    """


@cli.command()
@click.option("--users", type=int, help="Simulated users.  [default: 1000]")
@click.option("--seed", type=int, help="Seed of everything that is drawn.  [default: 1]")
@click.option(
    "-p", "texts", nargs=2, multiple=True, metavar="NAME VALUE", help="Any parameter of the notebook; repeatable."
)
@click.option("-o", "--output", default="report", show_default=True, help="Folder for the report.")
def report(users: int | None, seed: int | None, texts: tuple[tuple[str, str], ...], output: str) -> None:
    """Validate the plan: simulate, load a real server, check, and write the report with its verdict."""
    # Not above: papermill, nbconvert and matplotlib take longer to import than a small simulation takes to run.
    from netra_sim.report import ParameterError, Parameters, make_report

    given: dict[str, Any] = {"users": users, "seed": seed, "output": output}
    try:
        parameters = Parameters.parse(texts, {name: value for name, value in given.items() if value is not None})
    except ParameterError as error:
        raise click.UsageError(str(error)) from error
    made = make_report(parameters, progress=True)
    click.echo(made.headline)
    for reason in made.reasons:
        click.echo(f"  {reason}")
    click.echo(f"Report: {made.page}")
    sys.exit(made.code)


@cli.command("simulate")
@click.argument("scenario_file", required=False, type=click.Path(exists=True, dir_okay=False))
@click.option("--users", type=click.IntRange(min=1), help="Users, instead of the scenario's number.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of everything that is drawn.")
@click.option("-o", "--output", default="history.parquet", show_default=True, help="File for the history.")
def simulate_command(scenario_file: str | None, users: int | None, seed: int, output: str) -> None:
    """Simulate a scenario, from a TOML file or the default one, check it, and keep its history."""
    try:
        scenario = Scenario.load(scenario_file) if scenario_file else Scenario()
    except ScenarioError as error:
        raise click.UsageError(str(error)) from error
    if users is not None:
        scenario = scenario.with_users(users)
    with _progress(scenario.requests, "simulated requests") as on_answer:
        history = simulate(scenario, seed, on_answer=on_answer)
    _keep_and_check(history, output)


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
@click.argument("history_file", type=click.Path(exists=True, dir_okay=False))
def check_command(history_file: str) -> None:
    """Check a history that was kept before."""
    try:
        history = History.load(history_file)
    except HistoryError as error:
        raise click.UsageError(str(error)) from error
    sys.exit(_show(check(history)))


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


def _keep_and_check(history: History, output: str) -> None:
    path = history.save(Path(output))
    click.echo(f"{len(history):,} rows in {path}, digest {history.digest()[:16]}")
    sys.exit(_show(check(history)))


def _show(results: list[CheckResult]) -> ExitCode:
    for result in results:
        click.echo(f"{result.state:>14}  {result.check}: {result.looked_at:,} {result.unit}")
        for finding in result.findings[:5]:
            where = " ".join(part for part in (finding.run, finding.event) if part)
            when = "" if finding.time is None else f" at {finding.time:.3f} s"
            click.echo(f"{'':>16}{finding.message}{f' ({where}{when})' if where else ''}")
        if result.found > 5:
            click.echo(f"{'':>16}and {result.found - 5:,} more")
    return ExitCode.NO_GO if any(result.state == "failed" for result in results) else ExitCode.GO


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
