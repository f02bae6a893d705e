"""What simulations cost, against another checkout: `simulation_speed.py [FOLDER or REVISION] [--other-histories]`.

The other checkout is a folder, or a revision of this repository, by default HEAD, so that the changes that are not committed
yet are measured. Both run in processes of their own, with the same interpreter and the same installed packages, and take
turns. They must give the same digests; `--other-histories` leaves this out, for a revision that records other things.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from measure import Measured, clock, main, per_operation, ratio

ROOT = Path(__file__).parents[1]
MAY_DIFFER = "--other-histories" in sys.argv
QUESTION = "Which figures does it take: How can I cut the cost of canary:user-0042;run:user-0042.1;?"
COMMANDS = (
    ("import netra_sim", ("-c", "import netra_sim"), 0.15),
    ("netra-sim --help", ("-m", "netra_sim", "--help"), 0.2),
    ("netra-sim scenarios", ("-m", "netra_sim", "scenarios"), 0.35),
)
PROCESSES = 9
"""Fresh interpreters for each command; the least CPU time counts, as a busy machine only adds to it."""


def simulate_one(name: str, users: int, seed: int) -> tuple[float, list[str]]:
    from netra_sim import simulate
    from netra_sim.simulation import find_scenario

    scenario = find_scenario(name).with_settings({"users": users})
    histories = []
    seconds = per_operation(lambda: histories.append(simulate(scenario, seed)), 1)()
    return seconds, [one.digest() for one in histories]


def detect_one(seed: int) -> tuple[float, list[str]]:
    """All seeded defects, and their scenarios without them, each simulated and checked once."""
    from netra_sim.defects import DEFECTS, silenced
    from netra_sim.exploration import run_trial

    digests = []

    def work() -> None:
        clean = {one.scenario.name: one.scenario for one in DEFECTS.values()}
        for one in DEFECTS.values():
            with one.switched_on(), silenced():
                digests.append(run_trial(one.scenario, seed).digest)
        digests.extend(run_trial(scenario, seed).digest for scenario in clean.values())

    return per_operation(work, 1)(), digests


def look_for_secrets(times: int) -> tuple[float, list[str]]:
    from netra_sim.bridge.secrets import is_harmless

    return per_operation(lambda: [is_harmless(QUESTION) for _ in range(times)], times)(), [str(is_harmless(QUESTION))]


def read_marks(times: int) -> tuple[float, list[str]]:
    from netra_sim.recording import marks_in

    frame = QUESTION.encode()
    seconds = per_operation(lambda: [marks_in(frame, "user-0042", "user-0042.1") for _ in range(times)], times)()
    return seconds, list(marks_in(frame, "user-0042", "user-0042.1"))


JOBS: dict[str, Callable[..., tuple[float, list[str]]]] = {
    one.__name__: one for one in (simulate_one, detect_one, look_for_secrets, read_marks)
}


def serve() -> None:
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(JOBS[name](*arguments)), flush=True)


class Checkout:
    """A process that works with the package of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder,
            env=os.environ | {"PYTHONPATH": str(folder)},
        )  # fmt: skip

    def do(self, *job: str | int) -> tuple[float, list[str]]:
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(job), file=self._process.stdin, flush=True)
        seconds, digests = json.loads(self._process.stdout.readline())
        return seconds, digests

    def close(self) -> None:
        self._process.communicate()


@contextmanager
def checkout_of(wanted: str) -> Iterator[Path]:
    """The folder of that name, or a temporary folder with that revision."""
    if Path(wanted).is_dir():
        yield Path(wanted).resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", wanted], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        yield Path(folder)


def pairs(name: str, ours: Checkout, other: Checkout, jobs: Sequence[tuple[str | int, ...]], goal: float) -> Measured:
    """The ratio of each job, after one that does not count."""
    ratios = []
    for job in (jobs[0], *jobs):
        (mine, found), (theirs, expected) = ours.do(*job), other.do(*job)
        if found != expected and not MAY_DIFFER:
            raise SystemExit(
                f"{job}: the histories of the two checkouts differ: {found[:3]} and {expected[:3]}; "
                "if that is as it should be, add --other-histories"
            )
        ratios.append(mine / theirs)
    return Measured(name, tuple(ratios[1:]), goal)


def command_seconds(words: Sequence[str]) -> float:
    """The CPU seconds of a fresh interpreter, or the seconds of the clock where a child's CPU time cannot be had."""
    began = clock()
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, cwd=ROOT)
    if not hasattr(os, "wait4"):
        process.wait()
        return clock() - began
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def audit_again() -> Measured:
    from netra_sim.audit import audit

    with tempfile.TemporaryDirectory() as folder:
        again = per_operation(lambda: audit(ROOT / "netra_sim", cache=Path(folder)), 1)
        first = per_operation(lambda: audit(ROOT / "netra_sim"), 1)
        return ratio("an audit of unchanged files / the first", again, first, goal=0.4, repetitions=7)


def measure_all() -> Sequence[Measured]:
    wanted = next((word for word in sys.argv[1:] if not word.startswith("--")), "HEAD")
    lines = []
    with checkout_of(wanted) as folder:
        ours, other = Checkout(ROOT), Checkout(folder)
        try:
            for users, repetitions, goal in ((40, 15, 0.45), (100, 9, 0.6), (3_000, 3, 0.85)):
                jobs = [("simulate_one", "steady-load", users, seed) for seed in range(repetitions)]
                lines.append(pairs(f"steady-load, {users:,} users / before", ours, other, jobs, goal))
            lines.append(pairs("all seeded defects, one seed / before", ours, other, [("detect_one", 1)] * 3, 0.65))
            for name, job in (("looking for secrets", "look_for_secrets"), ("reading marks", "read_marks")):
                lines.append(pairs(f"{name} / before", ours, other, [(job, 20_000)] * 9, 0.7))
        finally:
            ours.close()
            other.close()
    lines.append(audit_again())
    for name, words, goal in COMMANDS:
        lines.append(Measured(name, (min(command_seconds(words) for _ in range(PROCESSES)),), goal, "s"))
    return lines


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        main("simulation_speed", measure_all)
