"""Sets up netra_sim in `.venv` and runs it; needs only Python 3.11 or later.

    python3 bootstrap.py report [OPTION ...]   write the validation report (same options as `netra-sim report`)
    python3 bootstrap.py test                  run every check: style, types, import contracts, tests
    python3 bootstrap.py COMMAND [OPTION ...]  any other command of `netra-sim`

On Windows, type `py bootstrap.py ...`.

The first run makes the environment from the pinned, hash-checked `requirements.txt`. A later run makes it again only if
that file, `pyproject.toml` or the interpreter has changed. Nothing is activated, and nothing outside this folder changes.
"""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENVIRONMENT = HERE / ".venv"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = ENVIRONMENT / "netra-sim.stamp"
HEARTBEAT = 30.0
"""Seconds between two lines while a step of setting up goes on."""

LONGEST = 90
"""Longest path of `.venv` on Windows, in characters: its longest file adds 166, and the limit is 260."""

CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("lint-imports",),
)


PYTEST = ("pytest", "-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder")
"""On all cores, each file in one process, as its tests share what is slow to make."""


def main(arguments: list[str]) -> int:
    """Set up if necessary, run the command, and return its exit code."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if arguments else 2
    if sys.version_info < (3, 11):
        print(f"netra_sim needs Python 3.11 or later; this is {sys.version.split()[0]}.", file=sys.stderr)
        return 2
    os.environ.pop("VIRTUAL_ENV", None)  # an active environment must not affect the programs of this one
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of processes would compile the same modules again
    if not is_set_up():
        set_up()
    if arguments[0] == "test":
        return test(arguments[1:])
    words = command("netra-sim", *arguments)
    if os.name == "posix":
        os.execv(words[0], words)  # noqa: S606 - the program gets every signal itself, and only once
    return wait_for(words)


def is_set_up() -> bool:
    """Whether this interpreter made the environment from the current pins."""
    return PYTHON.exists() and STAMP.exists() and STAMP.read_text(encoding="utf-8") == fingerprint()


def fingerprint() -> str:
    """A digest of everything that the environment depends on."""
    digest = hashlib.sha256(sys.version.encode())
    for name in ("requirements.txt", "pyproject.toml"):
        digest.update((HERE / name).read_bytes())
    return digest.hexdigest()


def set_up() -> None:
    """Make the environment; a failure stops the program with a message."""
    if os.name == "nt" and (length := len(str(ENVIRONMENT))) > LONGEST:
        raise SystemExit(
            f"{ENVIRONMENT} has {length} characters, and Windows allows {LONGEST} here, as paths below it grow to 260. "
            "Put the checkout in a folder with a shorter path."
        )
    if ENVIRONMENT.is_symlink():
        raise SystemExit(
            f"{ENVIRONMENT} is a link, and making it anew would empty the folder that it leads to; remove it."
        )
    pinned = (HERE / "requirements.txt").read_text(encoding="utf-8").count("==")
    pip = (str(PYTHON), "-m", "pip", "install", "--quiet")
    steps = {
        "make the environment": (sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)),
        f"download, check and install {pinned} packages": (
            *pip,
            "--require-hashes",
            "-r",
            str(HERE / "requirements.txt"),
        ),
        "install netra_sim": (*pip, "--no-deps", "--no-build-isolation", "-e", str(HERE)),
    }
    say(
        f"Setting up in .venv, once, in {len(steps)} steps: a minute or two on an idle machine, up to ten on a busy one."
    )
    for number, (what, step) in enumerate(steps.items(), 1):
        code = run_step(f"  {number} of {len(steps)}: {what}", step)
        if code:
            in_use = "; close what runs from .venv, such as JupyterLab" if os.name == "nt" and PYTHON.exists() else ""
            raise SystemExit(f"Setting up failed with exit code {code} at: {' '.join(step)}{in_use}")
    STAMP.write_text(fingerprint(), encoding="utf-8")


def run_step(name: str, words: tuple[str, ...]) -> int:
    """Run one step of setting up; say that it begins, every half minute that it goes on, and how long it took."""
    say(name)
    began = time.monotonic()
    with subprocess.Popen(words, env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}) as process:
        while True:
            try:
                code = process.wait(HEARTBEAT)
                break
            except subprocess.TimeoutExpired:
                say(f"{name}: {time.monotonic() - began:.0f} s so far")
            except BaseException:
                process.kill()
                raise
    say(f"{name}: {'done' if code == 0 else 'failed'} after {time.monotonic() - began:.0f} s")
    return code


def say(line: str) -> None:
    """Tell how far setting up is, beside the output of the command."""
    print(line, file=sys.stderr, flush=True)


def test(pytest_arguments: list[str]) -> int:
    """Run all checks, even after one has failed; returns 1 if any failed, else 0."""
    os.chdir(HERE)
    checks = (*CHECKS, (*PYTEST, *pytest_arguments))
    failed = [" ".join(check) for check in checks if wait_for(command(*check))]
    if failed:
        print(f"Failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def command(name: str, *arguments: str) -> list[str]:
    """The command line for a command of the environment."""
    return [str(PYTHON.with_name(name)), *arguments]


def wait_for(words: list[str]) -> int:
    """Run a program to its end; returns its exit code, or 130 if an interruption killed it.

    The terminal sends Ctrl+C and Ctrl+Break to the program itself, which then ends cleanly; SIGTERM is passed on.
    """
    with subprocess.Popen(words) as process:
        before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        was_interrupted = False
        while True:
            try:
                code = process.wait()
                break
            except KeyboardInterrupt:
                was_interrupted = True
        signal.signal(signal.SIGTERM, before)
    if was_interrupted and code < 0:
        return 130
    return code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
