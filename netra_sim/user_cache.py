"""Results that are kept between runs in the user's cache folder: a result is found again only for the same key.

A cache saves time and nothing else. A folder that cannot be written, and a damaged file, count as an empty cache.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

import platformdirs

from netra_sim.files import replacing

VARIABLE = "NETRA_SIM_CACHE"
"""The environment variable that names another folder; with the value "off" nothing is kept."""

_DIGEST = hashlib.sha256().digest_size


def cache_folder() -> Path | None:
    """The folder for this user: that of the platform, or the one that `VARIABLE` names; None if it says "off"."""
    named = os.environ.get(VARIABLE, "")
    if named.lower() == "off":
        return None
    return Path(named) if named else platformdirs.user_cache_path("netra_sim", appauthor=False)


class KeptFiles:
    """Bytes by name, each in a file of its own.

    Any number of processes may read and write at the same time. A file is written beside its place and then moved there, and
    it begins with a digest of its content, so that a reader gets the whole content or nothing. The last writer wins.

    Args:
        folder: for the files; None keeps nothing.
        most: files that stay; a write deletes the least recently written beyond them.
    """

    def __init__(self, folder: Path | None, most: int) -> None:
        self._folder = folder
        self._most = most

    def read(self, name: str) -> bytes | None:
        """The kept bytes; None if there are none, or if they are damaged."""
        if self._folder is None:
            return None
        try:
            data = (self._folder / name).read_bytes()
        except OSError:
            return None
        digest, content = data[:_DIGEST], data[_DIGEST:]
        return content if hashlib.sha256(content).digest() == digest else None

    def write(self, name: str, content: bytes) -> None:
        """Keep bytes, if the folder can be written."""
        if self._folder is None:
            return
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            with replacing(self._folder / name) as temporary:
                temporary.write_bytes(hashlib.sha256(content).digest() + content)
            by_age = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
            for path in by_age[self._most :]:
                path.unlink(missing_ok=True)
