"""Ratios of costs that a noisy machine bends least: two callables measured in turn, and the median of the pairs."""

import gc
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"

Measure = Callable[[], float]
"""Does some operations and returns the seconds that one of them took."""

# Windows counts CPU time in steps of 1/64 s, which is too coarse here.
clock = time.process_time if time.get_clock_info("process_time").resolution < 1e-5 else time.perf_counter


@dataclass(frozen=True)
class Measured:
    """One line of a benchmark's table.

    Attributes:
        name: what was measured.
        values: one a repetition.
        goal: the median must be at most this; None if it is only reported.
        unit: of the values; ratios have none.
    """

    name: str
    values: tuple[float, ...]
    goal: float | None = None
    unit: str = ""

    @property
    def median(self) -> float:
        """The figure that is compared with the goal."""
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The lower and the upper one."""
        if len(self.values) == 1:
            return self.values[0], self.values[0]
        lower, _, upper = statistics.quantiles(self.values, n=4, method="inclusive")
        return lower, upper

    @property
    def is_missed(self) -> bool:
        """Whether there is a goal that the median does not meet."""
        return self.goal is not None and self.median > self.goal


def per_operation(work: Callable[[], object], operations: int) -> Measure:
    """A measure of work that consists of so many operations, each time from a collected heap, with gc enabled."""

    def measure() -> float:
        gc.collect()
        began = clock()
        work()
        return (clock() - began) / operations

    return measure


def ratio(name: str, ours: Measure, reference: Measure, *, goal: float | None, repetitions: int = 25) -> Measured:
    """What ours costs in units of the reference: both in turn, so that whatever slows one slows the other."""
    pairs = in_turn(ours, reference, repetitions=repetitions)
    return Measured(name, tuple(mine / other for mine, other in zip(*pairs, strict=True)), goal)


def in_turn(*measures: Measure, repetitions: int) -> list[list[float]]:
    """The seconds of each measure, all of them in every repetition; one repetition before does not count."""
    for measure in measures:
        measure()
    rounds = [[measure() for measure in measures] for _ in range(repetitions)]
    return [list(column) for column in zip(*rounds, strict=True)]


@contextmanager
def own_process(make: Callable[..., Measure], *arguments: Any) -> Iterator[Measure]:
    """A measure made and run in a process of its own, so that the heap of one is not garbage-collected in another's time.

    Args:
        make: a function of a module, which returns the measure.
        arguments: what it is called with.
    """
    spawn = multiprocessing.get_context("spawn")
    near, far = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(far, make, arguments), daemon=True)
    process.start()
    far.close()

    def measure() -> float:
        near.send(True)
        seconds: float = near.recv()
        return seconds

    try:
        yield measure
    finally:
        near.close()
        process.join()


def _serve(requests: Connection, make: Callable[..., Measure], arguments: Sequence[Any]) -> None:
    measure = make(*arguments)
    try:
        while requests.recv():
            requests.send(measure())
    except EOFError:
        os._exit(0)  # What a measure holds, such as an event loop that stands still, is not taken down.


def table(lines: Sequence[Measured]) -> str:
    """All lines with their goals, as plain text."""
    rows = [("", "median", "quartiles", "min-max", "n", "goal", "")]
    for line in lines:
        lower, upper = line.quartiles
        low, high = min(line.values), max(line.values)
        goal = "" if line.goal is None else f"<= {_text(line.goal)}"
        verdict = "" if line.goal is None else "MISSED" if line.is_missed else "met"
        figures = f"{_text(line.median)} {line.unit}".strip()
        spread = (f"{_text(lower)}-{_text(upper)}", f"{_text(low)}-{_text(high)}", str(len(line.values)))
        rows.append((line.name, figures, *spread, goal, verdict))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _text(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def main(benchmark: str, measure_all: Callable[[], Sequence[Measured]]) -> None:
    """Measure, print the table, keep it under `results`, and exit with 1 if a goal is missed."""
    lines = measure_all()
    python = f"{platform.python_implementation()} {platform.python_version()} on {sys.platform}"
    text = f"{benchmark}, {python}\n\n{table(lines)}\n"
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{benchmark}.txt").write_text(text, encoding="utf-8")
    sys.exit(any(line.is_missed for line in lines))
