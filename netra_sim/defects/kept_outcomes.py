"""Outcomes of simulations with seeded defects that are kept between reports of the same code."""

import hashlib
import sys
from collections.abc import Mapping
from importlib.metadata import distributions, entry_points
from pathlib import Path

import msgspec

from netra_sim.fingerprint import fingerprint
from netra_sim.user_cache import KeptFiles

_MOST = 1_000
"""Outcomes that are kept."""

Call = tuple[str, tuple[int, ...], bool]
"""A defect, the seeds, and whether it is switched on."""


class KeptOutcomes:
    """The outcomes of calls of `detect`, by everything that determines them.

    That is the call, every file of this package, the interpreter, the platform, and the versions of all installed packages.
    Where another package adds checks, defects or anything else to this one, nothing is kept, as its code has no fingerprint.

    Args:
        folder: of the cache; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        if any(group.startswith("netra_sim.") for group in entry_points().groups):
            folder = None
        self._files = KeptFiles(None if folder is None else folder / "detection", _MOST)
        installed = sorted(f"{one.name} {one.version}" for one in distributions())
        self._code = fingerprint().package
        self._about = "\0".join([self._code, sys.version, sys.platform, *installed])

    def get(self, call: Call) -> dict[str, int] | None:
        """The outcome of a call of the same code; None if it is not known."""
        data = self._files.read(self._name(call))
        return None if data is None else msgspec.msgpack.decode(data, type=dict[str, int])

    def keep(self, outcomes: Mapping[Call, Mapping[str, int]]) -> None:
        """Keep new outcomes, unless a file of the package was edited since the code was read."""
        if outcomes and fingerprint.__wrapped__().package == self._code:
            for call, outcome in outcomes.items():
                self._files.write(self._name(call), msgspec.msgpack.encode(outcome))

    def _name(self, call: Call) -> str:
        return hashlib.sha256(f"{self._about}\0{call!r}".encode()).hexdigest()
