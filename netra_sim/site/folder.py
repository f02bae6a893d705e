"""The report's folder: a new report is made beside what is there, and takes its place when it is complete."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from netra_sim.files import move

MANIFEST = "manifest.json"
EARLIER = "earlier"
"""Where the last complete report goes when the one after it broke."""

_ROOM = ".making"


@contextmanager
def room_beside(folder: Path, runs: str) -> Iterator[Path]:
    """An empty folder, inside the report's, to make a new report in, with copies of the verdicts that are kept.

    Two reports must not be made in one folder at the same time. What a killed run has left is removed.

    Args:
        folder: the report's.
        runs: name of the folder with the earlier verdicts.

    Raises:
        OSError: the folder cannot be written to.
    """
    room = folder / _ROOM
    shutil.rmtree(room, ignore_errors=True)
    room.mkdir(parents=True)
    try:
        if (folder / runs).is_dir():
            shutil.copytree(folder / runs, room / runs)
        yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)


def files_in(folder: Path) -> list[str]:
    """The paths of all files below, relative and with slashes, in order; `EARLIER` is left out."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in paths if path.parts[0] not in (EARLIER, _ROOM))


def digests(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and SHA-256 of every file below, but for the manifest's own."""
    return {
        name: {"bytes": (folder / name).stat().st_size, "sha256": _sha256(folder / name)}
        for name in files_in(folder)
        if name != MANIFEST
    }


def will_keep_earlier(folder: Path) -> bool:
    """Whether there is a complete report in the folder, or one that was kept before."""
    return _manifest(folder).get("complete", False) or (folder / EARLIER / MANIFEST).exists()


def move_into_place(room: Path, folder: Path, *, keep_earlier: bool) -> None:
    """Replace the report in a folder by the one that was made beside it, file by file, the index last.

    What the earlier report's manifest does not name is left alone, and so is what the new one has not and is kept run by
    run.

    Args:
        room: see `room_beside`.
        folder: the report's.
        keep_earlier: whether the earlier report, if it is a complete one, moves to `EARLIER` instead of going.

    Raises:
        OSError: the folder cannot be written to.
    """
    manifest = _manifest(folder)
    old = [name for name in manifest.get("files", {}) if _is_below(folder, name) and not name.startswith("runs/")]
    if keep_earlier and manifest.get("complete"):
        shutil.rmtree(folder / EARLIER, ignore_errors=True)
        for name in [*old, MANIFEST]:
            _move(folder / name, folder / EARLIER / name)
    elif not keep_earlier:
        shutil.rmtree(folder / EARLIER, ignore_errors=True)
    new = files_in(room)
    for name in sorted(new, key=lambda name: (name == "index.html", name)):
        _move(room / name, folder / name)
    for name in set(old) - set(new):
        (folder / name).unlink(missing_ok=True)


def _move(source: Path, target: Path) -> None:
    if source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        move(source, target)


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _is_below(folder: Path, name: str) -> bool:
    return (folder / name).resolve().is_relative_to(folder)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
