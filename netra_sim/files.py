"""How every file of this project is written: beside its place, and moved there when it is complete."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

_PAUSES = (0.05, 0.1, 0.2, 0.3, 0.35)
"""Seconds between two attempts to replace a file that is open elsewhere."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to; the file takes the place of ``path`` at the end, and does not if an error is raised."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield beside
        move(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def move(source: Path, target: Path) -> None:
    """Move a file to its place, over what is there.

    Windows does not replace a file that another program has open, be it for a moment, as virus scanners and indexers do:
    that is tried again for a second.

    Raises:
        OSError: it cannot be moved; for a file that stays open elsewhere, the message says what to do.
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
    """Write anything that msgspec encodes, indented.

    Raises:
        OSError: the file cannot be written.
    """
    text = msgspec.json.format(msgspec.json.encode(content), indent=1)
    with replacing(path) as beside:
        beside.write_bytes(text + b"\n")
