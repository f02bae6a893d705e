"""The report's folder: a new report is written to a room inside it, and replaces the earlier report when it is complete."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from netra_sim.files import make_folder, move

MANIFEST = "manifest.json"
EARLIER = "earlier"
"""Where the last complete report goes when the one after it broke."""

_ROOM = ".making"


class FileDigest(msgspec.Struct, frozen=True):
    """The size of a file in bytes, and its SHA-256."""

    bytes: int
    sha256: str


class _Kept(msgspec.Struct, frozen=True):
    """What a new report must know of the manifest of an earlier report."""

    complete: bool = False
    files: dict[str, FileDigest] = {}


@contextmanager
def room_inside(folder: Path, runs: str) -> Iterator[Path]:
    """Yield a folder inside the report's folder for a new report, with copies of the earlier verdicts only.

    Two reports must not be made in one folder at the same time. The leftovers of a killed run are removed.

    Args:
        folder: the report's folder.
        runs: the name of the folder with the earlier verdicts.

    Raises:
        OSError: the folder above does not exist, or the folder cannot be written to.
    """
    room = folder / _ROOM
    shutil.rmtree(room, ignore_errors=True)
    make_folder(folder)
    room.mkdir()
    try:
        if (folder / runs).is_dir():
            shutil.copytree(folder / runs, room / runs)
        yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)


def files_in(folder: Path) -> list[str]:
    """The relative paths of all files below, with slashes, sorted; without `EARLIER` and the room."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in paths if path.parts[0] not in (EARLIER, _ROOM))


def digests(folder: Path) -> dict[str, FileDigest]:
    """Size and SHA-256 of every file below except the manifest."""
    return {
        name: FileDigest((folder / name).stat().st_size, _sha256(folder / name))
        for name in files_in(folder)
        if name != MANIFEST
    }


def will_keep_earlier(folder: Path) -> bool:
    """Whether the folder holds a complete report, or an earlier one."""
    return _manifest(folder).complete or (folder / EARLIER / MANIFEST).exists()


def move_into_place(room: Path, folder: Path, *, keep_earlier: bool) -> None:
    """Replace the report in a folder by the new one in its room, file by file, the index last.

    Files that the earlier report's manifest does not name stay, and so do the verdicts below ``runs/``.

    Args:
        room: see `room_inside`.
        folder: the report's folder.
        keep_earlier: whether a complete earlier report moves to `EARLIER`; otherwise it is deleted.

    Raises:
        OSError: the folder cannot be written to.
    """
    manifest = _manifest(folder)
    old = [name for name in manifest.files if _is_below(folder, name) and not name.startswith("runs/")]
    if keep_earlier and manifest.complete:
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


def _manifest(folder: Path) -> _Kept:
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=_Kept)
    except (OSError, msgspec.DecodeError):
        return _Kept()


def _is_below(folder: Path, name: str) -> bool:
    return (folder / name).resolve().is_relative_to(folder)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
