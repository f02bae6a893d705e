"""Tests netra_sim on Windows CPython under Wine, and records the report's evidence about Windows.

    python .ci/windows_lane.py [VERSION ...]   3.11, whose clock is coarse, and 3.13 by default

Exits with 1 if a test failed, and with 77 where Windows CPython cannot be had; it then says why. What was set up is kept in
`.windows/` (or the folder that NETRA_WINDOWS_HOME names), and made anew when the pins change.
"""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from windows_python import FULL_VERSION, CannotRunError, run, set_up, wine_version

SKIPPED = 77
"""The exit code if a requirement is missing on this machine, as in automake."""

TIME_LIMIT = 360.0
"""Seconds for the tests of all versions, which run in parallel."""

TESTS = {
    "3.11": ("tests/windows", "tests/runtime", "tests/server"),
    "3.13": ("tests/windows", "tests/runtime", "tests/bridge", "tests/factory", "tests/server/test_server.py"),
}
"""Tests by version, split to take similar time; tests that depend on the clock run on the version with the coarse clock."""
LEFT_OUT = {
    "tests/runtime/test_notebook.py": "a kernel takes minutes to start under Wine",
    "tests/server/test_load.py": "each test starts a process, which takes 6 s under Wine",
    "tests/server/test_load_command.py": "each test starts two processes, which takes 10 s under Wine",
}


def main(versions: list[str]) -> int:
    """Set up what is missing, record, and test; returns the exit code."""
    if unknown := [version for version in versions if version not in FULL_VERSION]:
        say(f"there is no {', '.join(unknown)}; known are {', '.join(FULL_VERSION)}")
        return 2
    chosen = versions or list(FULL_VERSION)
    began = time.monotonic()
    try:
        wine = wine_version()
        for version in chosen:
            set_up(version)
    except (CannotRunError, subprocess.TimeoutExpired) as reason:
        say(f"SKIPPED: {reason}")
        return SKIPPED
    say(f"{' and '.join(FULL_VERSION[one] for one in chosen)} under {wine} ({time.monotonic() - began:.0f} s)")
    for path, reason in LEFT_OUT.items():
        say(f"left out: {path}: {reason}")
    began = time.monotonic()
    # One after the other, as both write one file.
    codes = [outcome(one, ["-m", "tests.windows.record"], 120.0) for one in chosen]
    ends = began + TIME_LIMIT
    with ThreadPoolExecutor() as pool:
        codes += pool.map(lambda one: outcome(one, pytest_words(one), ends - time.monotonic()), chosen)
    result = next((code for code in (1, SKIPPED) if code in codes), 0)
    told = {0: "passed", 1: "FAILED", SKIPPED: f"SKIPPED: it takes more than {TIME_LIMIT:g} s on this machine"}
    say(f"{told[result]} ({time.monotonic() - began:.0f} s)")
    return result


def outcome(version: str, words: list[str], seconds: float) -> int:
    """Run python.exe and print how it ended, with its output if it failed; returns 0, 1 or `SKIPPED`."""
    code, output = run(version, words, seconds=max(1.0, seconds))
    lines = output.strip().splitlines()
    for line in lines if code else lines[-12:]:
        print(f"{version}: {line}")
    say(f"{FULL_VERSION[version]}: {words[1]}: " + ("took too long" if code == -9 else f"exit code {code}"))
    return {0: 0, -9: SKIPPED}.get(code, 1)


def pytest_words(version: str) -> list[str]:
    """The command that runs the version's tests."""
    left_out = [f"--ignore={path}" for path in LEFT_OUT]
    return ["-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", *left_out, *TESTS[version]]


def say(what: str) -> None:
    """Print a line and flush it."""
    print(f"windows lane: {what}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
