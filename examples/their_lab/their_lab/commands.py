"""A command, and a factory for `--factory their_lab.commands:TheirFactory`."""

import click

from netra_sim import ExecutionEngineFactory


@click.command("greet")
def greet() -> None:
    """Say hello."""
    click.echo("hello from their lab")


class TheirFactory(ExecutionEngineFactory):
    """Their agents would go here."""
