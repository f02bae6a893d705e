"""Writing files: to a temporary name in the same folder, then moved to the final name when complete."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

_PAUSES = (0.05, 0.1, 0.2, 0.3, 0.35)
"""Seconds between two attempts to replace a file that another program has open."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write to. At the end the file replaces ``path``; after an error it is deleted instead."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        move(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
                message = f"another program has {target} open; close it there and try again"
                raise PermissionError(error.errno, message) from error
            time.sleep(pause)


def save_json(path: Path, content: object) -> None:
    """Write a value that msgspec can encode, as indented JSON.

    Raises:
        OSError: the file cannot be written.
    """
    text = msgspec.json.format(msgspec.json.encode(content), indent=1)
    with replacing(path) as temporary:
        temporary.write_bytes(text + b"\n")
