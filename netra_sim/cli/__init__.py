"""The command line: ``netra-sim report``, ``simulate``, ``check``, ``audit`` and the others that ``--help`` lists."""

import os
import sys
import traceback

from netra_sim.exceptions import NetraSimError
from netra_sim.exit_code import ExitCode
from netra_sim.runtime import stopped_like_ctrl_c

__all__ = ["main"]


def main() -> None:
    """Run the command line. SIGTERM and Ctrl+Break interrupt it like Ctrl+C; a failure exits with 3 and a message."""
    _fix_hash_seed()
    try:
        import click

        from netra_sim.cli.group import cli
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        install = 'pip install "netra-sim[lab]" for simulations, "netra-sim[server]" for servers or "netra-sim[all]"'
        sys.stderr.write(f"The command line needs click, which is not installed; run: {install}\n")
        sys.exit(ExitCode.USAGE)
    try:
        with stopped_like_ctrl_c():
            # By its own name also when started as `python -m netra_sim`: usage and errors name what one types.
            cli(standalone_mode=False, prog_name="netra-sim")
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        sys.exit(ExitCode.BROKE)
    except SystemExit as left:
        if isinstance(left.code, ExitCode):
            raise
        click.echo(
            f"netra-sim broke: code that it called wanted to end the program (SystemExit: {left.code})", err=True
        )
        sys.exit(ExitCode.BROKE)
    except NetraSimError as error:
        click.echo(f"netra-sim broke: {error}", err=True)
        sys.exit(ExitCode.BROKE)
    except (OSError, RuntimeError) as error:
        click.echo(f"netra-sim broke: {type(error).__name__}: {error}", err=True)
        sys.exit(ExitCode.BROKE)
    except Exception as error:
        traceback.print_exc()  # an unexpected error: the reader needs its place
        click.echo(f"netra-sim broke: {type(error).__name__}: {error}", err=True)
        sys.exit(ExitCode.BROKE)


def _fix_hash_seed() -> None:
    """Start again with a fixed hash seed for a system under test, in which sets of texts may decide an order.

    A scenario file may have a system; the library scenarios have none.
    """
    arguments = sys.argv[1:]
    may_have_system = "--app" in arguments or any(one.endswith(".toml") for one in arguments)
    if may_have_system and not os.environ.get("PYTHONHASHSEED") and sys.platform != "win32":
        os.execve(sys.executable, [sys.executable, "-m", "netra_sim", *arguments], os.environ | {"PYTHONHASHSEED": "0"})  # noqa: S606
