"""Tests netra_sim on Windows CPython under Wine, and records what the report says of Windows.

    python .ci/windows_lane.py [VERSION ...]   3.11, whose clock is coarse, and 3.13 by default

Exits with 1 if a test failed, and with 77 where Windows CPython cannot be had; it then says why. What was set up is kept in
`.windows/` (or the folder that NETRA_WINDOWS_HOME names), 2 GB for two versions.
"""

import sys
import time

from windows_python import FULL_VERSION, CannotRunError, run, set_up

SKIPPED = 77
"""As in automake: what was to be tested cannot be had here."""

TIME_LIMIT = 360.0
"""Seconds for all that is run, once it is set up."""

TESTS = ("tests/windows", "tests/runtime", "tests/bridge", "tests/factory", "tests/server")
NOT_THERE = {
    "tests/runtime/test_notebook.py": "a kernel takes minutes to start under Wine",
}
"""Tests that the lane leaves out, and why; everything else that does not run there says so by itself."""


def main(versions: list[str]) -> int:
    """Set up what is missing, record, test; returns what to exit with."""
    if unknown := [version for version in versions if version not in FULL_VERSION]:
        print(f"windows lane: there is no {', '.join(unknown)}; known are {', '.join(FULL_VERSION)}", file=sys.stderr)
        return 2
    failed, ends = [], 0.0
    for version in versions or list(FULL_VERSION):
        began = time.monotonic()
        try:
            set_up(version)
        except CannotRunError as reason:
            print(f"windows lane: SKIPPED on {version}: {reason}", flush=True)
            return SKIPPED
        print(f"windows lane: {FULL_VERSION[version]} is set up ({time.monotonic() - began:.0f} s)", flush=True)
        ends = ends or time.monotonic() + TIME_LIMIT
        for words in (["-m", "tests.windows.record"], _pytest()):
            began = time.monotonic()
            code, _ = run(version, words, seconds=max(1.0, ends - began), echo=True)
            print(
                f"windows lane: {FULL_VERSION[version]}: {words[1]}: exit {code}, {time.monotonic() - began:.0f} s",
                flush=True,
            )
            if code:
                failed.append(f"{words[1]} on {version}")
    if failed:
        print(f"windows lane: FAILED: {', '.join(failed)}", flush=True)
    return 1 if failed else 0


def _pytest() -> list[str]:
    for path, reason in NOT_THERE.items():
        print(f"windows lane: left out: {path}: {reason}", flush=True)
    left_out = [f"--ignore={path}" for path in NOT_THERE]
    return ["-m", "pytest", "-q", "-p", "no:cacheprovider", *left_out, *TESTS]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
