"""The command group. It imports a command when the command is used, so that each command needs only its own extra."""

from importlib import import_module
from typing import NamedTuple

import click

from netra_sim.registry import Registry
from netra_sim.version import __version__


class _Place(NamedTuple):
    """The module of a command, in which the function ``NAME_command`` is, and the extra that installs its dependencies."""

    module: str
    extra: str


_COMMANDS = {
    "audit": _Place("judging", "lab"),
    "calibrate": _Place("measuring", "lab"),
    "capacity": _Place("measuring", "lab"),
    "check": _Place("judging", "lab"),
    "defects": _Place("simulating", "lab"),
    "explore": _Place("exploring", "lab"),
    "load": _Place("loading", "server,lab"),
    "notebooks": _Place("reporting", "report"),
    "reference": _Place("reporting", "report"),
    "report": _Place("reporting", "report"),
    "scenarios": _Place("simulating", "lab"),
    "serve": _Place("serving", "server"),
    "simulate": _Place("simulating", "lab"),
    "sweep": _Place("exploring", "lab"),
}

ADDED_COMMANDS: Registry[click.Command] = Registry("netra_sim.commands", (), kind=click.Command)
"""The commands that other packages add."""


class _Group(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*_COMMANDS, *ADDED_COMMANDS})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return ADDED_COMMANDS.get(name)
        place = _COMMANDS[name]
        try:
            found: click.Command = getattr(import_module(f"netra_sim.cli.{place.module}"), f"{name}_command")
        except ModuleNotFoundError as error:
            return _stand_in(name, _what_to_install(name, error))
        return found

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            raise click.UsageError(_what_to_install(ctx.invoked_subcommand or "", error)) from error


def _what_to_install(command: str, error: ModuleNotFoundError) -> str:
    """The message for a command that needs a missing package; raises the error again if the package is not the reason."""
    missing = error.name or str(error)
    if command not in _COMMANDS or missing.partition(".")[0] == "netra_sim":
        raise error
    return (
        f'{command} needs {missing}, which is not installed; run: pip install "netra-sim[{_COMMANDS[command].extra}]"'
    )


def _stand_in(name: str, message: str) -> click.Command:
    """A command in place of one that cannot be imported; it refuses all arguments with a message."""

    def refuse(words: tuple[str, ...]) -> None:
        raise click.UsageError(message)

    words = click.Argument(["words"], nargs=-1, type=click.UNPROCESSED)
    return click.Command(
        name,
        callback=refuse,
        params=[words],
        short_help=f"Not installed: {message}",
        help=f"Not installed: {message}",
        context_settings={"ignore_unknown_options": True},
    )


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Run the remediation plan, and check its claims.

    Exit codes: 0 GO; 1 NO-GO, a claim or an objective fell, or there was too little evidence; 2 wrong usage, or nothing
    could be judged; 3 it broke.
    """
