"""What several commands use: option types, and a progress bar."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from netra_sim.files import WriteError, must_be_writable, must_be_writable_folder, replacing


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
