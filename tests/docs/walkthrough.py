"""Follows a document: writes the files that it shows, runs its commands in order, and compares their output.

In a document, a fenced block after a line that ends in "`NAME`:" is a file. An `sh` block has one command in each line and
needs no shell; a comment states the exit code (``# exits with 1``), or that the command keeps running
(``# until Ctrl+C``). A `python` block is a script. A `text` block is the output of the commands or the script before it;
``...`` stands for any text, and alone on its line for any number of lines. Blocks of other kinds are ignored.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import click

from netra_sim.cli.group import cli

ROOT = Path(__file__).parents[2]
TIME_LIMIT = 120
READY = {"serve": "interrupt to stop", "jupyter": "is running at:"}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
NAMED = re.compile(r"`([\w.-]+\.\w+)`:\s*\Z")


class Block(NamedTuple):
    """A fenced block, with its first line in the document; `name` is the name of a file, or ""."""

    language: str
    text: str
    line: int
    name: str


class DocumentError(AssertionError):
    """A document is wrong."""


def blocks(text):
    return [
        Block(match[1], match[2], text.count("\n", 0, match.start(2)), name[1] if name else "")
        for match in FENCE.finditer(text)
        for name in [NAMED.search(text, 0, match.start())]
    ]


def commands(text):
    """The lines of an `sh` block, each with its comment; a backslash continues a line."""
    lines = text.replace("\\\n", " ").splitlines()
    parted = (line.partition(" #") for line in lines if line)
    return [(command.strip(), comment.strip()) for command, _, comment in parted]


def follow(text, folder):
    """Follow a document in a folder that stands for the reader's checkout.

    Raises:
        DocumentError: the document is wrong; the message names the line and the difference.
    """
    for name in ("netra_sim", "notebooks", "tests", "docs", "examples"):
        link(folder / name, ROOT / name)
    reader = Reader(folder)
    printed = None
    for block in blocks(text):
        try:
            if block.name:
                (folder / block.name).write_text(block.text, encoding="utf-8")
            elif block.language == "sh":
                printed = "".join(reader.run(command, comment) for command, comment in commands(block.text))
            elif block.language == "python":
                printed = reader.script(block.text)
            elif block.language == "text":
                compare(block.text, printed)
        except DocumentError as error:
            raise DocumentError(f"line {block.line + 1}: {error}") from None


def compare(shown, printed):
    if printed is None:
        raise DocumentError("an output is shown before anything has run")
    pattern = "".join(map(_pattern, shown.splitlines()))
    if not re.fullmatch(pattern, printed):
        raise DocumentError(f"the document shows\n{shown}\nand the output is\n{printed}")


def _pattern(line):
    if line.strip() == "...":
        return r"(?:.*\n)*?"
    return r"[^\n]*?".join(map(re.escape, line.rstrip().split("..."))) + r"[^\S\n]*\n"


def link(place, target):
    """Link a folder to another place; on Windows by a junction, which needs no privilege."""
    if sys.platform == "win32":
        import _winapi

        _winapi.CreateJunction(str(target), str(place))
    else:
        place.symlink_to(target)


class Reader:
    """A reader who types a document's commands into one terminal."""

    def __init__(self, folder):
        self.folder = folder
        self.is_activated = False

    def run(self, command, comment=""):
        """Run a command, compare its exit code with the comment, and return what it printed."""
        if command == "source .venv/bin/activate":
            self.is_activated = True
            return ""
        arguments = self.meant(shlex.split(command))
        if arguments is None:
            return ""
        if "until Ctrl+C" in comment:
            return self.until_ready(arguments, command)
        expected = re.search(r"exits with (\d)", comment)
        return self.printed_by(arguments, command, int(expected[1]) if expected else 0)

    def script(self, text):
        """Run a script, and return what it printed."""
        return self.printed_by([sys.executable, "-P", "-c", text], "the script", 0)

    def printed_by(self, arguments, told, code):
        done = subprocess.run(
            arguments, cwd=self.folder, capture_output=True, text=True, timeout=TIME_LIMIT, check=False
        )
        if done.returncode != code:
            raise DocumentError(f"{told} exits with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout or done.stderr

    def meant(self, words):
        """The process for a command; None for a command that takes minutes, after a check of its options."""
        match words:
            case ["python3", "bootstrap.py", "test"]:
                return None
            case ["python3", "bootstrap.py", *arguments] | [".venv/bin/netra-sim", *arguments]:
                return self.netra_sim(arguments)
            case ["netra-sim", *arguments] if self.is_activated:
                return self.netra_sim(arguments)
            case ["jupyter", "lab", *arguments] if self.is_activated:
                return [sys.executable, "-m", "jupyterlab", *arguments, "--no-browser", "--allow-root", "--port=0"]
            case ["pytest", *arguments] if self.is_activated:
                return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
            case ["python", script] if self.is_activated:
                return [sys.executable, script]
        raise DocumentError(f"{shlex.join(words)} is no command that a reader has at this place")

    def netra_sim(self, arguments):
        if arguments[0] == "report" and "--notebook" not in arguments:
            check_options(arguments)
            return None
        return [sys.executable, "-P", "-m", "netra_sim", *arguments]

    def until_ready(self, arguments, command):
        word = next(word for name, word in READY.items() if name in command)
        own = {name: str(self.folder / "jupyter") for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR")}
        process = subprocess.Popen(
            arguments, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=os.environ | own | {"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        watchdog = threading.Timer(TIME_LIMIT, process.kill)
        watchdog.start()
        try:
            said = ""
            for line in process.stdout:
                said += line
                if word in line:
                    process.send_signal(signal.SIGINT if "serve" in arguments else signal.SIGTERM)
                    break
            else:
                raise DocumentError(f"{command} ended before it was ready:\n{said}")
            said += process.stdout.read()
            process.wait()
        finally:
            watchdog.cancel()
            process.kill()
            process.stdout.close()
        return said


def check_options(arguments):
    """Check the options of a report, without making it; CI makes the whole report.

    Raises:
        DocumentError: an option or a parameter does not exist, or does not take its value.
    """
    from netra_sim.site.report import plan

    name, *options = arguments
    try:
        given = cli.get_command(None, name).make_context(name, options).params
        typed = {name: given[name] for name in ("users", "seed") if given[name] is not None}
        plan(given["texts"], typed, given["names"])
    except (click.ClickException, ValueError) as error:
        raise DocumentError(f"{shlex.join(arguments)} is refused: {error}") from error
