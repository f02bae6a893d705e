"""What each extra installs, and how long its import takes: `python benchmarks/installs.py [EXTRA ...]`.

Builds the wheel, and installs it with pip into a new environment for each extra; "" stands for none. The import time is the
median of seven processes, against `import asyncio` in the same environment and minute.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMPORTS = {
    "": "netra_sim.bridge, netra_sim.factory",
    "server": "netra_sim.server",
    "lab": "netra_sim.simulation, netra_sim.checks",
    "report": "netra_sim.site.report",
    "notebooks": "netra_sim.studies",
    "all": "netra_sim.studies",
}
PROCESSES = 7
TIMED = """
import sys, time
before = len(sys.modules)
began = time.perf_counter()
import {modules}
print(time.perf_counter() - began, len(sys.modules) - before)
"""


def main(extras: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, str(ROOT)]
        subprocess.run(pip, check=True)
        wheel = next(Path(folder).glob("*.whl"))
        print(f"{'extra':10} {'distributions':>13} {'MiB':>6} {'import':>8} {'asyncio':>8} {'ratio':>6} {'modules':>8}")
        for extra in extras or IMPORTS:
            measure(Path(folder) / (extra or "core"), wheel, extra)


def measure(folder: Path, wheel: Path, extra: str) -> None:
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = f"{wheel}[{extra}]" if extra else str(wheel)
    subprocess.run([python, "-m", "pip", "install", "--quiet", wanted], check=True)
    listed = json.loads(subprocess.check_output([python, "-m", "pip", "list", "--format", "json"]))
    own = [one["name"] for one in listed if one["name"] not in ("pip", "setuptools")]
    site = next(folder.glob("**/site-packages"))
    skipped = ("pip", "setuptools", "pkg_resources", "_distutils_hack")
    own_files = [file for file in site.rglob("*") if not file.relative_to(site).parts[0].startswith(skipped)]
    size = sum(file.stat().st_size for file in own_files if file.is_file())
    imported, modules = timed(python, IMPORTS[extra])
    floor, _ = timed(python, "asyncio")
    print(
        f"{extra or 'core':10} {len(own):13} {size / 2**20:6.1f} {imported * 1e3:5.0f} ms {floor * 1e3:5.0f} ms "
        f"{imported / floor:6.1f} {modules:8}"
    )


def timed(python: Path, modules: str) -> tuple[float, int]:
    script = TIMED.format(modules=modules)
    runs = [subprocess.check_output([python, "-c", script], text=True).split() for _ in range(PROCESSES + 1)]
    return statistics.median(float(seconds) for seconds, _ in runs[1:]), int(runs[0][1])


if __name__ == "__main__":
    main(sys.argv[1:])
