"""`netra-sim serve`: run a real server until a stop signal."""

import asyncio
import errno
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from netra_sim.bridge import AgentWebSocketBridge
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.own_code import own_class
from netra_sim.runtime import on_stop_signal, run
from netra_sim.server import (
    AgentServer,
    JsonFormatter,
    KeySet,
    KeySource,
    SharedSecrets,
    TextFormatter,
    TokenAuthenticator,
)


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="Port; 0 for any free one."
)
@click.option(
    "--user", "users", multiple=True, default=("alice",), show_default=True, help="Print a token for this user."
)
@click.option(
    "--secret-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of signing secrets, so that tokens survive a restart: lines of 'key-id secret'. Created if missing.",
)
@click.option("--secret", envvar="NETRA_SECRET", hidden=True)
@click.option(
    "--jwks", metavar="URL", help="Accept tokens signed by the identity provider that publishes this key set."
)
@click.option("--issuer", help="Required issuer of the tokens.")
@click.option("--audience", default="netra_sim", show_default=True, help="Required audience of the tokens.")
@click.option(
    "--origin",
    "origins",
    multiple=True,
    help="Accept connections from pages of this origin, such as https://app.example.",
)
@click.option(
    "--drain",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    help="Seconds that live runs may continue after SIGTERM or Ctrl+C; a second signal ends them at once.",
)
@click.option("--factory", metavar="MODULE:CLASS", help="Your own subclass of ExecutionEngineFactory.")
@click.option("--log", "log_format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="warning", show_default=True
)
def serve_command(
    host: str,
    port: int,
    users: tuple[str, ...],
    secret_file: Path | None,
    secret: str | None,
    jwks: str | None,
    issuer: str | None,
    audience: str,
    origins: tuple[str, ...],
    drain: float,
    factory: str | None,
    log_format: str,
    log_level: str,
) -> None:
    """Serve agents over WebSockets until SIGTERM or Ctrl+C.

    The server signs tokens with the secrets of --secret-file or of the environment variable NETRA_SECRET; without either,
    with a random secret that is lost when the process ends.
    """
    _log(log_format, log_level)
    try:
        factory_class = ExecutionEngineFactory
        if factory is not None:
            factory_class = own_class(factory, ExecutionEngineFactory, "--factory", ["websocket_bridge"])
        keys = _keys(secret_file, secret, jwks)
        bridge = AgentWebSocketBridge()
        authenticator = TokenAuthenticator(keys, audience=audience, issuer=issuer)
        server = AgentServer(
            bridge=bridge,
            execution_factory=factory_class(websocket_bridge=bridge),
            authenticator=authenticator,
            host=host,
            port=port,
            origins=(None, *origins),
            drain=drain,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    tokens = {} if isinstance(keys, KeySet) else {user: authenticator.issue(user) for user in users}
    try:
        run(_serve(server, [f"{user}: Authorization: Bearer {token}" for user, token in tokens.items()]))
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES):
            raise
        reason = {errno.EADDRINUSE: "another program listens there", errno.EACCES: "you have no permission"}
        why = reason.get(error.errno, "this machine has no such address")
        raise click.UsageError(
            f"cannot listen on port {port} of {host}: {why}; name another with --port or --host, 0 for any free port"
        ) from error


async def _serve(server: AgentServer, tokens: Sequence[str]) -> None:
    stopped = asyncio.Event()
    hurrying: list[asyncio.Task[None]] = []

    def stop() -> None:
        if stopped.is_set():
            hurrying.append(asyncio.create_task(server.service.stop(0), name="stop at once"))
        stopped.set()

    with on_stop_signal(stop):
        async with server:
            click.echo(f"listening on {server.uri}; interrupt to stop")
            for line in tokens:
                click.echo(line)
            sys.stdout.flush()
            await stopped.wait()
            click.echo("stopping")


def _keys(secret_file: Path | None, secret: str | None, jwks: str | None) -> KeySource:
    if jwks is not None:
        if secret_file is not None:
            raise ValueError("--jwks and --secret-file exclude each other: tokens are signed by one side")
        return KeySet(jwks)
    if secret_file is not None:
        return SharedSecrets.from_file(secret_file)
    return SharedSecrets.random() if secret is None else SharedSecrets.parse(secret)


def _log(log_format: str, level: str) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logger = logging.getLogger()
    logger.addHandler(handler)
    logger.setLevel(level.upper())
