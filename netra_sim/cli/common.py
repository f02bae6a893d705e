"""What several commands use: option types, and progress."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock, Thread
from time import monotonic
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


HEARTBEAT = 30.0
"""Seconds between two lines of progress where standard error is no terminal."""


class Progress:
    """What a command has finished, and what it does now; call it once for each finished unit, from any thread.

    Args:
        total: the number of units, if it is known.
        unit: what is counted, in the plural.
        say: takes a line when something begins or ends.
        clock: seconds.
    """

    def __init__(
        self, total: int | None, unit: str, say: Callable[[str], None], clock: Callable[[], float] = monotonic
    ) -> None:
        self.total, self.unit, self.done = total, unit, 0
        self._say, self._clock = say, clock
        self._began = clock()
        self._running: dict[str, tuple[str, float]] = {}
        self._lock = Lock()

    def __call__(self) -> None:
        """One more unit is finished."""
        with self._lock:
            self.done += 1

    def now(self, what: str) -> None:
        """Say what runs now, where one thing runs after another."""
        with self._lock:
            self._running[""] = what, self._clock()

    def begin(self, name: str, part: str) -> None:
        """Something begins, or goes on to its next part, beside others."""
        with self._lock:
            is_new = name not in self._running
            self._running[name] = part, self._clock()
        if is_new:
            self._say(f"{name} begins")

    def end(self, name: str, how: str) -> None:
        """Something that began has ended."""
        with self._lock:
            self._running.pop(name, None)
        self._say(f"{name} {how}; {self.counted()}")

    def counted(self) -> str:
        """How much is done, and for how long it has been going on."""
        of = "" if self.total is None else f" of {self.total:,}"
        return f"{self.unit}: {self.done:,}{of}, {_elapsed(self._clock() - self._began)}"

    def running(self) -> str:
        """What runs now, each with the time that its part has taken."""
        with self._lock:
            now = dict(self._running)
        return "; ".join(
            f"{name}{name and ': '}{part}, {_elapsed(self._clock() - began)}" for name, (part, began) in now.items()
        )


@contextmanager
def progress(total: int | None, unit: str) -> Iterator[Progress]:
    """Show on standard error how far a command is: a bar in a terminal, else a line now and then.

    Without a terminal, a line says what begins and ends, and one every `HEARTBEAT` seconds what runs. No line has a control
    character.
    """
    if sys.stderr.isatty():
        with _bar(total, unit) as shown:
            yield shown
        return

    def say(line: str) -> None:
        click.echo(line, err=True)

    shown = Progress(total, unit, say)
    with _every(HEARTBEAT, lambda: say("; ".join(filter(None, (shown.counted(), shown.running()))))):
        yield shown


@contextmanager
def _bar(total: int | None, unit: str) -> Iterator[Progress]:
    from tqdm import tqdm  # a command that only lists something needs no bar

    shown = Progress(total, unit, lambda line: None)
    with tqdm(total=total, desc=unit, unit="", leave=False) as bar:

        def draw() -> None:
            bar.n = shown.done
            bar.set_description_str(shown.running() or unit)

        with _every(0.5, draw):
            yield shown


@contextmanager
def _every(seconds: float, act: Callable[[], None]) -> Iterator[None]:
    """Do something every so many seconds, in a thread, until the block ends."""
    is_over = Event()

    def work() -> None:
        while not is_over.wait(seconds):
            act()

    thread = Thread(target=work, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _elapsed(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


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
