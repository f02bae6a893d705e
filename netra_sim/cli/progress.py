"""Progress of a long command on standard error: a bar in a terminal, whole lines in a log."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread
from time import monotonic

import click

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
