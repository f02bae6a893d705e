"""What an audit of 500,000 lines takes, in seconds of the clock with two processes, from files to the finished report.

The lines are those of the packages installed beside this one, in the order of their names, until there are enough; where
fewer are installed, they are copied again. netra_sim itself is measured beside, in one process.
"""

import itertools
import shutil
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from measure import Measured, main

import netra_sim
from netra_sim.audit import Config, audit

LINES, PROCESSES, GOAL_SECONDS = 500_000, 2, 60.0


def corpus(folder: Path) -> None:
    """Copy files of real code until there are enough lines."""
    lines = 0
    for turn, name, file in _files():
        copy = folder / f"turn{turn}" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
        lines += file.read_bytes().count(b"\n")
        if lines >= LINES:
            return


def _files() -> Iterator[tuple[int, Path, Path]]:
    root = Path(sysconfig.get_path("purelib"))
    for turn in itertools.count():
        for file in sorted(root.rglob("*.py")):
            yield turn, file.relative_to(root), file


def seconds(path: Path, processes: int) -> float:
    began = time.perf_counter()
    report = audit(path, Config(), jobs=processes)
    took = time.perf_counter() - began
    print(f"{report.lines:,} lines in {report.files:,} files, {report.functions:,} functions: {took:.1f} s")
    return took


def measure_all() -> Sequence[Measured]:
    with tempfile.TemporaryDirectory() as folder:
        corpus(Path(folder))
        large = [seconds(Path(folder), PROCESSES) for _ in range(3)]
    own = [seconds(Path(netra_sim.__file__).parent, 1) for _ in range(5)]
    return [
        Measured(f"an audit of {LINES:,} lines, {PROCESSES} processes", tuple(large), GOAL_SECONDS, "s"),
        Measured("an audit of netra_sim, 1 process", tuple(own), None, "s"),
    ]


if __name__ == "__main__":
    main("audit_speed", measure_all)
