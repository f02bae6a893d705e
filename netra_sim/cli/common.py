"""What several commands use: option types, a progress bar, and the printed results of checks."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netra_sim.exit_code import ExitCode
from netra_sim.files import WriteError, must_be_writable, must_be_writable_folder, replacing

if TYPE_CHECKING:
    from netra_sim.checks import CheckResult, ResourceUse


class _Writable(click.Path):
    """A path that is refused, before the command runs, if it cannot be written."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path: Path = super().convert(value, param, ctx)  # type: ignore[assignment]
        try:
            (must_be_writable if self.file_okay else must_be_writable_folder)(path)
        except WriteError as error:
            self.fail(str(error), param, ctx)
        return path


NEW_FILE = _Writable(dir_okay=False, path_type=Path)
"""A file that a command writes; a device or a pipe is written to as well."""

NEW_FOLDER = _Writable(file_okay=False, path_type=Path)
"""A folder that a command writes to, and makes if necessary."""


def write_or_print(text: str, output: Path | None) -> None:
    """Write a text to a file, or print it if there is none.

    Raises:
        WriteError: the file cannot be written; the text is printed instead.
    """
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        with replacing(output) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")
    except WriteError:
        click.echo(text, nl=False)
        raise


@contextmanager
def progress(total: int | None, unit: str) -> Iterator[Callable[[], None]]:
    """A progress bar on standard error. Yields a function to call once for each finished unit; the total may be unknown."""
    from tqdm import tqdm  # a command that only lists something needs no bar

    with tqdm(total=total, desc=unit, unit="", leave=False, mininterval=0.2) as bar:
        yield lambda: bar.update() and None


def show(
    results: "list[CheckResult]",
    lines: Sequence[int] = (),
    lacks: Callable[[str], str] = lambda check: "",
    *,
    is_brief: bool = False,
) -> ExitCode:
    """Print each result: what the check found, and where, or why it could not judge.

    Args:
        results: the results of the checks.
        lines: for a log, the line number of each row of the history.
        lacks: says for the name of a check what the log lacks.
        is_brief: whether the checks that do not apply are only named, in one line, and the times that others measured shown.

    Returns:
        NO_GO if a check failed, else GO.
    """
    left_out = [one.check for one in results if is_brief and one.state == "not applicable"]
    for result in results:
        if result.check in left_out:
            continue
        click.echo(f"{result.state:>14}  {result.check}: {result.looked_at:,} {result.unit}")
        if is_brief and result.state in ("passed", "failed") and (figures := _seconds(result)):
            click.echo(f"{'':>16}{figures}")
        if result.state == "inconclusive":
            click.echo(f"{'':>16}{result.inconclusive}")
        if result.state == "not applicable" and (reason := result.inconclusive):
            click.echo(f"{'':>16}{reason}")
        elif result.state == "not applicable" and (missing := lacks(result.check)):
            click.echo(f"{'':>16}it lacks {missing}")
        for finding in result.findings[:5]:
            where = [finding.run, finding.event, f"number {finding.seq}" if finding.seq >= 0 else ""]
            where += [f"at {finding.time:.3f} s" if finding.time is not None and any(where) else ""]
            where += [f"line {lines[finding.row]}" if lines and finding.row >= 0 else ""]
            place = ", ".join(part for part in where if part)
            click.echo(f"{'':>16}{finding.message}{f' ({place})' if place else ''}")
        if result.found > 5:
            click.echo(f"{'':>16}and {result.found - 5:,} more")
    if left_out:
        click.echo(f"not applicable  {', '.join(left_out)}; netra-sim check on the saved history says why")
    return ExitCode.NO_GO if any(result.state == "failed" for result in results) else ExitCode.GO


def _seconds(result: "CheckResult") -> str:
    """The times that a check has measured, in one line."""
    timed = [(name, figure.value) for name, figure in result.measured.items() if figure.unit == "s"]
    return "; ".join(f"{name} {value * 1000:,.0f} ms" for name, value in timed if not isnan(value))


def show_use(uses: "Sequence[ResourceUse]") -> None:
    """Print how each limited resource was used."""
    for use in uses:
        click.echo(f"{use.resource:>14}  {use}")
