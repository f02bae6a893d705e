"""The command line: ``netra-sim report``, ``simulate``, ``check``, ``audit`` and the others that ``--help`` lists."""

import os
import select
import sys
import traceback

from netra_sim.cli.supervising import (
    end_second_process,
    exit_code_of_second_process,
    is_second_process,
    may_run_own_code,
)
from netra_sim.exceptions import NetraSimError
from netra_sim.exit_code import CLOSED_PIPE, ExitCode
from netra_sim.runtime import stopped_like_ctrl_c

__all__ = ["main"]


def main() -> None:
    """Run the command line. SIGTERM and Ctrl+Break interrupt it like Ctrl+C; a failure exits with 3 and a message."""
    if is_second_process():
        end_second_process(_after_output(_exit_code()))
    if may_run_own_code(sys.argv[1:]):
        sys.exit(exit_code_of_second_process(sys.argv[1:]))
    sys.exit(_after_output(_exit_code()))


def _exit_code() -> int:
    """Run the command in this process, and say what it exits with."""
    try:
        import click

        from netra_sim.cli.group import cli
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        install = 'pip install "netra-sim[lab]" for simulations, "netra-sim[server]" for servers or "netra-sim[all]"'
        sys.stderr.write(f"The command line needs click, which is not installed; run: {install}\n")
        return ExitCode.USAGE
    try:
        with stopped_like_ctrl_c():
            # By its own name also when started as `python -m netra_sim`: usage and errors name what one types.
            cli(standalone_mode=False, prog_name="netra-sim")
        if sys.__stdout__ is not None:
            sys.__stdout__.flush()
    except click.exceptions.Exit as done:
        return done.exit_code
    except BaseException as error:
        if _has_lost_reader(error):
            return CLOSED_PIPE
        try:
            return _told(error)
        except BrokenPipeError:
            return CLOSED_PIPE
    return ExitCode.GO


def _after_output(code: int) -> int:
    """What the process exits with once its output is written; what no reader can get any more is dropped."""
    for number, stream in enumerate((sys.__stdout__, sys.__stderr__), 1):
        try:
            if stream is not None:
                stream.flush()
        except BrokenPipeError:
            code = CLOSED_PIPE
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)  # Python flushes once more at its end, and would exit with 120
            os.close(nowhere)
    return code


def _told(error: BaseException) -> int:
    """Say why the command ended, and return what it exits with."""
    import click

    match error:
        case SystemExit(code=ExitCode() as code):
            return code
        case click.Abort() | KeyboardInterrupt():
            click.echo("interrupted", err=True)
            return ExitCode.BROKE
        case click.ClickException():
            error.show()
            return ExitCode.USAGE
        case SystemExit():
            told = f"code that it called wanted to end the program (SystemExit: {error.code})"
        case NetraSimError():
            told = str(error)
        case _:
            if not isinstance(error, OSError | RuntimeError):
                traceback.print_exception(error)  # an unexpected error: the reader needs its place
            told = f"{type(error).__name__}: {error}"
    click.echo(f"netra-sim broke: {told}", err=True)
    return ExitCode.BROKE


def _has_lost_reader(error: BaseException) -> bool:
    """Whether the command ended because the reader of its output has gone, such as ``head``."""
    reasons: list[BaseException] = []
    reason: BaseException | None = error
    while reason is not None and reason not in reasons:  # a chain of errors may be a ring
        reasons.append(reason)
        reason = reason.__cause__ or reason.__context__
    is_of_a_pipe = any(isinstance(one, BrokenPipeError) for one in reasons)
    is_clicks = isinstance(error, SystemExit) and not isinstance(error.code, ExitCode)  # click turns that error into it
    if not (is_of_a_pipe or is_clicks) or sys.platform == "win32":
        return False
    outputs = select.poll()
    for number in (1, 2):
        outputs.register(number, 0)  # tells of errors only
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in outputs.poll(0))
