"""Facts of modules that are kept between audits, so that only changed files are parsed again."""

import hashlib
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import msgspec

from netra_sim.audit.facts import Module
from netra_sim.audit.reading import SourceFile
from netra_sim.fingerprint import digest_of_folders
from netra_sim.user_cache import KeptFiles

_MOST_TREES = 64
"""Audited folders whose facts are kept."""


class KeptFacts:
    """The facts of the modules of one audited folder, by everything that they depend on.

    That is the content of the file, its path and name, which are part of the facts, the code of the audit, and the
    interpreter, whose parser reads the file. So an edit or an upgrade is never answered with earlier facts.

    Args:
        folder: of the cache; None keeps nothing.
        root: what is audited.
    """

    def __init__(self, folder: Path | None, root: Path) -> None:
        self._files = KeptFiles(None if folder is None else folder / "audit", _MOST_TREES)
        self._name = hashlib.sha256(str(root.resolve()).encode(errors="surrogateescape")).hexdigest()[:32]
        self._known: dict[str, Module] = {}
        self._keys: dict[str, str] = {}
        if (data := self._files.read(self._name)) is not None:
            try:
                self._known = msgspec.msgpack.decode(data, type=dict[str, Module])
            except msgspec.DecodeError:  # another version wrote it
                self._known = {}

    def get(self, source: SourceFile, max_bytes: int) -> Module | None:
        """The facts of a file as it is now, if they are known; None also for a file that is too large to be read."""
        if source.error:
            return None
        try:
            if source.file.stat().st_size > max_bytes:
                return None
            content = source.file.read_bytes()
        except OSError:
            return None
        described = (_version(), source.module, source.shown, source.file.name, hashlib.sha256(content).hexdigest())
        key = self._keys[source.module] = hashlib.sha256(
            "\0".join(described).encode(errors="surrogateescape")
        ).hexdigest()
        return self._known.get(key)

    def keep(self, modules: Iterable[Module]) -> None:
        """Keep the facts of these modules, and no others.

        A failure is not kept: it may be due to the machine, such as the depth of its stack.
        """
        kept = {self._keys[one.name]: one for one in modules if not one.error and one.name in self._keys}
        if kept.keys() != self._known.keys():
            self._files.write(self._name, msgspec.msgpack.encode(kept))


@cache
def _version() -> str:
    return f"{digest_of_folders('audit')} {sys.version}"
