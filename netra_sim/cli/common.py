"""Options and output that several commands have."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from netra_sim.cli.printing import Printer
from netra_sim.files import WriteError, is_standard_output, must_be_writable, must_be_writable_folder, save_text

C = TypeVar("C", bound=Callable[..., object])


class _Writable(click.Path):
    """A path that is refused, before the command runs, if it cannot be written."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path: Path = super().convert(value, param, ctx)  # type: ignore[assignment]
        if self.file_okay and os.path.basename(value) in ("", os.curdir):
            self.fail(f"{value} names a folder, and a file is expected; leave out what follows its name", param, ctx)
        try:
            (must_be_writable if self.file_okay else must_be_writable_folder)(path)
        except WriteError as error:
            self.fail(str(error), param, ctx)
        printer = None if ctx is None else ctx.params.get("printer")
        if isinstance(printer, Printer) and not printer.is_text and self.file_okay and is_standard_output(path):
            self.fail(f"{path} is where --format prints its document; name a file", param, ctx)
        if ctx is not None and self.file_okay and not (path.exists() and not path.is_file()):
            option = ctx.meta.setdefault(f"{__name__}.files", {}).setdefault(path.resolve(), param)
            if option is not param and option is not None:
                self.fail(f"{path} is the file of {option.opts[-1]} as well", param, ctx)
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
        save_text(output, text)
    except WriteError:
        click.echo(text, nl=False)
        raise


@contextmanager
def wrong_usage(*kinds: type[Exception]) -> Iterator[None]:
    """Turn errors of these kinds into wrong usage, with the same message."""
    try:
        yield
    except kinds as error:
        raise click.UsageError(str(error)) from error


def html_option(told: str) -> Callable[[C], C]:
    """The option ``--html FILE``, refused before anything runs if the packages that write pages are not installed.

    Args:
        told: what the page has, for the help.
    """

    def refuse(_: click.Context, __: click.Parameter, value: Path | None) -> Path | None:
        if value is not None:
            try:
                import netra_sim.site.run_page  # noqa: F401
            except ModuleNotFoundError as error:
                raise click.UsageError(
                    f'--html needs {error.name}, which is not installed; run: pip install "netra-sim[report]"'
                ) from error
        return value

    return click.option("--html", "page", type=NEW_FILE, callback=refuse, help=told)
