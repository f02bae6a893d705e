"""The command line: ``netra-sim report``, ``simulate``, ``check``, ``audit`` and the others that ``--help`` lists."""

import sys
import traceback

import click

from netra_sim.cli import judging, reporting, serving, simulating
from netra_sim.cli.common import cli
from netra_sim.exceptions import NetraSimError
from netra_sim.exit_code import ExitCode
from netra_sim.runtime import stopped_like_ctrl_c

__all__ = ["cli", "judging", "main", "reporting", "serving", "simulating"]


def main() -> None:
    """Run the command line; what breaks exits with 3 and says why."""
    try:
        with stopped_like_ctrl_c():
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
    except Exception as error:
        traceback.print_exc()  # nobody foresaw it, so the place is what its reader needs
        click.echo(f"netra-sim broke: {type(error).__name__}: {error}", err=True)
        sys.exit(ExitCode.BROKE)
