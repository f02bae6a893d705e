"""The fingerprint of the code and data of the package."""

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import msgspec

PACKAGE = Path(__file__).resolve().parent
_IN_WHEEL = PACKAGE / "_checkout"
CHECKOUT = _IN_WHEEL if _IN_WHEEL.is_dir() else PACKAGE.parent
"""The folder with the notebooks and the plan's tests: next to the package in a checkout, inside it in a wheel."""


class Fingerprint(msgspec.Struct, frozen=True, kw_only=True):
    """SHA-256 digests of what a result depends on: results of different code or data never look alike.

    Attributes:
        package: every file of the package: sources, claims, scenarios, templates.
        claims: the claims of the plan.
        scenarios: the library scenarios.
        notebooks: the notebooks of the checkout; the digest of nothing if there are none.
        tests: the plan's test files and the files they share; the digest of nothing if there are none.
    """

    package: str
    claims: str
    scenarios: str
    notebooks: str
    tests: str

    @property
    def whole(self) -> str:
        """One digest of all of them."""
        parts = " ".join(getattr(self, name) for name in self.__struct_fields__)
        return hashlib.sha256(parts.encode()).hexdigest()


@cache
def fingerprint() -> Fingerprint:
    """The fingerprint of this package and its checkout."""
    tests = [path for name in ("critical", "mission_critical", "unit") for path in _files(CHECKOUT / "tests" / name)]
    return Fingerprint(
        package=_digest(PACKAGE, [path for path in _files(PACKAGE) if _IN_WHEEL not in path.parents]),
        claims=_digest(PACKAGE, [PACKAGE / "verdict" / "claims.toml"]),
        scenarios=_digest(PACKAGE, _files(PACKAGE / "simulation" / "scenarios")),
        notebooks=_digest(CHECKOUT, sorted((CHECKOUT / "notebooks").glob("*.ipynb"))),
        tests=_digest(CHECKOUT, [*tests, *sorted((CHECKOUT / "tests").glob("co*.py"))]),
    )


def digest_of_folders(*names: str) -> str:
    """SHA-256 of all files in these folders of the package."""
    return _digest(PACKAGE, [path for name in names for path in _files(PACKAGE / name)])


def _files(folder: Path) -> list[Path]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in paths if "__pycache__" not in path.parts and not path.name.startswith("."))


def _digest(folder: Path, files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        content = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{path.relative_to(folder).as_posix()} {len(content)} ".encode() + content)
    return digest.hexdigest()
