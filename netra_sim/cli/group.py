"""The command group. It imports a command when the command is used, so that each command needs only its own extra."""

import re
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple

import click

from netra_sim.near_names import did_you_mean
from netra_sim.registry import Registry
from netra_sim.version import __version__


class _Place(NamedTuple):
    """Where a command is, and what ``--help`` says of it, so that ``--help`` imports no command.

    Attributes:
        module: has the function ``NAME_command``.
        extra: installs its dependencies.
        summary: the first sentence of its help.
    """

    module: str
    extra: str
    summary: str


_COMMANDS = {
    "audit": _Place(
        "auditing",
        "lab",
        "Find code at PATH that goes round the factory, the bridge or the Windows-safe layer, without importing it.",
    ),
    "calibrate": _Place(
        "measuring", "lab", "Measure how much CPU time a step of the event loop takes on this machine."
    ),
    "capacity": _Place(
        "measuring",
        "lab",
        "Find how many users SCENARIO can have until a figure exceeds its bound, and which resource gives out then.",
    ),
    "check": _Place(
        "checking", "lab", "Check FILE: a saved history, or the event log of any system, as JSON lines or Parquet."
    ),
    "defects": _Place(
        "detecting", "lab", "List the seeded defects of the original system, or show which checks catch them."
    ),
    "explore": _Place(
        "exploring",
        "lab",
        "Try seeds of a scenario until a check fails unexpectedly, or of a program until it fails; then shrink the failure.",
    ),
    "gate": _Place(
        "gating",
        "report",
        "Simulate the system under test of SCENARIO with several seeds, check it, and write a folder for CI.",
    ),
    "load": _Place(
        "loading",
        "server,lab",
        "Load a real server with real clients in a second process, check the run, and save its history.",
    ),
    "notebooks": _Place(
        "reporting",
        "report",
        "List all notebooks, or only NAME: the question, and each parameter with its default and allowed values.",
    ),
    "reference": _Place(
        "reporting",
        "report",
        "Print the reference: all scenarios, faults, checks, rules, claims, notebooks and commands.",
    ),
    "report": _Place("reporting", "report", "Run the notebooks, and write a folder with the verdict and the pages."),
    "scenarios": _Place("library", "lab", "List the library scenarios, or explain SCENARIO."),
    "serve": _Place("serving", "server", "Serve agents over WebSockets until SIGTERM or Ctrl+C."),
    "simulate": _Place(
        "simulating", "lab", "Simulate SCENARIO, a library name or a TOML file; check the history, and save it."
    ),
    "sweep": _Place(
        "sweeping", "lab", "Simulate SCENARIO over a grid of values and seeds, and write one table of all results."
    ),
}

ADDED_COMMANDS: Registry[click.Command] = Registry("netra_sim.commands", (), kind=click.Command)
"""The commands that other packages add."""


_NEEDED = {"lab": ("numpy", "tqdm"), "server": ("websockets",), "report": ("papermill",)}
"""For each extra packages that show that it is installed."""


class _Group(click.Group):
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        names = self.list_commands(ctx)
        width = formatter.width - 6 - max(map(len, names))
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._listed(name).get_short_help_str(width)) for name in names])

    def _listed(self, name: str) -> click.Command:
        """The command, or one of the same name that has only its summary."""
        if name not in _COMMANDS:
            return ADDED_COMMANDS[name]
        place = _COMMANDS[name]
        needed = [package for extra in place.extra.split(",") for package in _NEEDED[extra]]
        missing = [package for package in needed if find_spec(package) is None]
        return _stand_in(name, _needs(name, missing[0])) if missing else click.Command(name, help=place.summary)

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

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for one in args:
            if any("\ud800" <= letter <= "\udfff" for letter in one):  # what Python makes of such bytes
                raise click.UsageError(
                    f"{one!r} is not UTF-8, and neither pages nor documents can have it; rename it", ctx
                )
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            hint = did_you_mean(args[0], self.list_commands(ctx), "netra-sim --help lists the commands")
            raise click.UsageError(f"there is no command {args[0]}; {hint}", ctx) from error

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except click.BadParameter as error:
            told = _in_everyday_words(error.message)
            raise click.BadParameter(told, error.ctx, error.param, error.param_hint) from error
        except ModuleNotFoundError as error:
            raise click.UsageError(_what_to_install(ctx.invoked_subcommand or "", error)) from error


def _in_everyday_words(message: str) -> str:
    """What click says of a number, without its names for types."""
    words = {"integer": "a whole number", "float": "a number"}
    message = re.sub(r"is not a valid (integer|float)( range)?\.", lambda found: f"is not {words[found[1]]}", message)
    message = re.sub(r"is not in the range (\S+?)<=x<=(\S+?)\.$", r"is not between \1 and \2", message)
    return re.sub(r"is not in the range x(>=?|<=?)(\S+?)\.$", r"is not \1 \2", message)


def _what_to_install(command: str, error: ModuleNotFoundError) -> str:
    """The message for a command that needs a missing package; raises the error again if the package is not the reason."""
    missing = error.name or str(error)
    if command not in _COMMANDS or missing.partition(".")[0] == "netra_sim":
        raise error
    return _needs(command, missing)


def _needs(command: str, package: str) -> str:
    extra = _COMMANDS[command].extra
    return f'{command} needs {package}, which is not installed; run: pip install "netra-sim[{extra}]"'


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
