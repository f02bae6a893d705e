"""Writing files: beside the final name, then moved there when complete. Devices and pipes are written to, never replaced."""

import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from netra_sim.exceptions import NetraSimError

_PAUSES = (0.05, 0.1, 0.2, 0.3, 0.35)
"""Seconds between two attempts to replace a file that another program has open."""


class WriteError(NetraSimError, OSError):
    """A file or a folder cannot be written. The message names it as the caller did, and says what to do.

    Attributes:
        reason: what the operating system says, in a few words; "" if the message says what to do instead.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write to. At the end the file replaces ``path``; after an error it is deleted instead.

    A link stays, and the file that it leads to is replaced. A device and a pipe receive the content.

    Raises:
        WriteError: see `must_be_writable`; or the disk is full, or another program has the file open.
    """
    with naming(path):
        if _is_stream(path):
            with tempfile.TemporaryDirectory() as folder:
                temporary = Path(folder) / "content"
                yield temporary
                _send(temporary, path)
            return
        target = _target(path)
        temporary = _beside(target)
        try:
            yield temporary
            move(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn an `OSError`, also one about a file below, into a `WriteError` that names the path which the caller knows."""
    try:
        yield
    except OSError as error:
        if isinstance(error, WriteError):
            if not error.reason:
                raise
            reason = error.reason
        else:
            reason = os.strerror(error.errno) if error.errno else str(error)
            reason = f"{reason[:1].lower()}{reason[1:]}"
        raise WriteError(f"{path} cannot be written: {reason}", reason) from error


def must_be_writable(path: Path) -> None:
    """Try, before anything runs, whether `replacing` can write this file.

    Raises:
        WriteError: its folder does not exist or refuses new files, the file is write-protected, or it is a folder, a
            socket or a disk.
    """
    with naming(path):
        if _is_stream(path):
            if not os.access(path, os.W_OK):
                raise WriteError(f"{path} cannot be written: you have no permission")
        else:
            _try_in(_target(path))


def must_be_writable_folder(folder: Path) -> None:
    """Try, before anything runs, whether `make_folder` can make this folder, and files can be made in it.

    Raises:
        WriteError: the folder above does not exist, one of the two refuses new files, or it is no folder.
    """
    with naming(folder):
        if folder.exists() and not folder.is_dir():
            raise WriteError(f"{folder} is a file, and a folder is expected")
        _must_have_folder(folder)
        _try_in((folder if folder.is_dir() else folder.parent) / "netra-sim")


def make_folder(folder: Path) -> None:
    """Make a folder, unless it exists, but not the folders above it.

    Raises:
        WriteError: see `must_be_writable_folder`.
    """
    with naming(folder):
        _must_have_folder(folder)
        folder.mkdir(exist_ok=True)


def move(source: Path, target: Path) -> None:
    """Move a file, and replace the target if it exists.

    Windows does not replace a file that another program has open. Virus scanners and indexers open files for a moment, so
    the move is tried again for a second.

    Raises:
        OSError: the file cannot be moved. If another program keeps the target open, the message says what to do.
    """
    for pause in (*_PAUSES, None):
        try:
            os.replace(source, target)
            return
        except PermissionError as error:
            if os.name != "nt":
                raise
            if pause is None:
                raise WriteError(f"another program has {target} open; close it there and try again") from error
            time.sleep(pause)


def save_json(path: Path, content: object) -> None:
    """Write a value that msgspec can encode, as indented JSON.

    Raises:
        WriteError: the file cannot be written.
    """
    text = msgspec.json.format(msgspec.json.encode(content), indent=1)
    with replacing(path) as temporary:
        temporary.write_bytes(text + b"\n")


def save_text(path: Path, text: str) -> None:
    """Write a text as UTF-8, with the same line ends on every platform.

    Raises:
        WriteError: the file cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _is_stream(path: Path) -> bool:
    """Whether the path is a device, a pipe, or our own output: what is written to and cannot be replaced."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    if stat.S_ISDIR(found.st_mode):
        raise WriteError(f"{path} is a folder, and a file is expected")
    if stat.S_ISSOCK(found.st_mode) or stat.S_ISBLK(found.st_mode):
        raise WriteError(f"{path} is a socket or a disk; name a file")
    return not stat.S_ISREG(found.st_mode) or _own_output(found) is not None


def is_standard_output(path: Path) -> bool:
    """Whether what is written to this path arrives where this process prints, and is not thrown away there."""
    return path.exists() and _own_output(path.stat()) == 1 and not path.samefile(os.devnull)


def _own_output(found: os.stat_result) -> int | None:
    """The number of our standard output or standard error, if that is what was found: as ``/dev/stdout`` is."""
    for number in (1, 2):
        with suppress(OSError):  # closed
            if os.path.samestat(os.fstat(number), found):
                return number
    return None


def _send(content: Path, path: Path) -> None:
    """Write the content of a file to a device, a pipe or our own output, after what was printed before."""
    sys.stdout.flush()
    own = _own_output(path.stat())
    with content.open("rb") as source, open(path if own is None else os.dup(own), "wb") as target:
        shutil.copyfileobj(source, target)


def _target(path: Path) -> Path:
    """The file to replace: the path itself, or the file that the link leads to."""
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    _must_have_folder(target)
    if target.exists() and not os.access(target, os.W_OK):
        raise WriteError(f"{path} is write-protected")
    return target


def _must_have_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise WriteError(f"there is no folder {path.parent} for {path.name}; make it first")


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.part")


def _try_in(target: Path) -> None:
    """Make an empty file beside the target, and delete it: only this is sure to meet every reason for a refusal."""
    temporary = _beside(target)
    temporary.touch()
    temporary.unlink()
