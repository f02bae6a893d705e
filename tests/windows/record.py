"""Records the evidence of the report about Windows: the hazards and the digests of the scenarios.

    python -m tests.windows.record [FILE]

Without a file it is the package's own, `netra_sim/defects/windows.json`. Other versions' runs in it are kept.
"""

import asyncio
import ctypes
import json
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

from netra_sim.defects import WindowsRun, keep_windows_runs, measure_hazards, read_windows_runs, recorded_code
from netra_sim.defects.windows_record import RECORD
from netra_sim.runtime import new_event_loop
from netra_sim.simulation import find_scenario, simulate
from tests.simulation.digests import FILE

SEEDS = ("seed 1", "seed 2")


def system():
    """The name and version of the platform. Wine calls itself Windows, but has one more function."""
    version = getattr(ctypes.windll.ntdll, "wine_get_version", None)
    if version is None:
        return f"Windows {platform.version()}"
    version.restype = ctypes.c_char_p
    return f"Wine {version().decode().split()[0]}"


def expected_digests():
    """The digests of the first seeds of each scenario, which every platform must make."""
    digests = json.loads(FILE.read_text(encoding="utf-8"))
    return {name: digest for name, digest in digests.items() if name.endswith(SEEDS)}


def has_expected_digest(name, digest):
    scenario, _, seed = name.partition(", seed ")
    return simulate(find_scenario(scenario), int(seed)).digest() == digest


def record():
    loop = new_event_loop()
    loop.close()
    equal = [has_expected_digest(name, digest) for name, digest in expected_digests().items()]
    return WindowsRun(
        python=platform.python_version(),
        system=system(),
        loop=tuple(one.__name__ for one in type(loop).__mro__ if issubclass(one, asyncio.AbstractEventLoop)),
        date=datetime.now(UTC).date().isoformat(),
        code=recorded_code(),
        hazards=tuple(measure_hazards()),
        digests_equal=sum(equal),
        digests=len(equal),
    )


def main(arguments):
    if sys.platform != "win32":
        print("This records what happens on Windows, and runs there only.", file=sys.stderr)
        return 2
    path = Path(arguments[0]) if arguments else RECORD
    run = record()
    others = [one for one in read_windows_runs(path) if one.python != run.python and one.code == run.code]
    keep_windows_runs(tuple(sorted([*others, run], key=lambda one: one.python)), path)
    print(run.label)
    for hazard in run.hazards:
        print(f"  {hazard.name}: of {hazard.tried} stock {hazard.stock}, safe {hazard.safe}")
    print(f"  digests equal: {run.digests_equal} of {run.digests}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
