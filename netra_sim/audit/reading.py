"""Finds the Python files of a tree, and reads the facts of each."""

import ast
import os
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from netra_sim.audit.config import matches_glob
from netra_sim.audit.extraction import Extractor
from netra_sim.audit.facts import Module

_SKIPPED = frozenset({"__pycache__", "node_modules"})
_ENDINGS = (".py", ".pyw")


class SourceFile(NamedTuple):
    """A file to read.

    Attributes:
        file: its resolved path.
        shown: its path in findings.
        module: its dotted name.
        error: why the audit cannot read it, if that is known without opening it, else "".
    """

    file: Path
    shown: str
    module: str
    error: str = ""


def find_sources(path: Path, exclude: tuple[str, ...], base: Path) -> Iterator[SourceFile]:
    """The Python files of a tree in order of their names; each once, even if several links lead to it.

    It skips hidden folders, virtual environments and caches below ``path``.

    Args:
        path: a folder or a file.
        exclude: patterns of paths to skip.
        base: the folder that these patterns are relative to.
    """
    root = path.resolve()
    first = root if root.is_dir() else root.parent
    while (first / "__init__.py").exists() and first.parent != first:
        first = first.parent
    names: set[str] = set()
    for file, error in _files(root, exclude, base.resolve(), set()):
        shown = path.joinpath(file.relative_to(root)).as_posix() if file != root else path.as_posix()
        parts = list(file.relative_to(first).with_suffix("").parts)
        if parts[-1] == "__init__" and len(parts) > 1:
            parts.pop()
        name = ".".join(parts)
        while name in names:
            name += "_"
        names.add(name)
        yield SourceFile(file, _writable(shown), _writable(name), error)


def _files(path: Path, exclude: tuple[str, ...], base: Path, seen: set[tuple[int, int]]) -> Iterator[tuple[Path, str]]:
    try:
        status = path.stat()
    except OSError:
        return  # a link to nowhere
    identity = (status.st_dev, status.st_ino)
    if identity in seen or is_excluded(path, exclude, base):
        return
    seen.add(identity)
    if not stat.S_ISDIR(status.st_mode):
        if path.suffix in _ENDINGS:
            yield path, "" if stat.S_ISREG(status.st_mode) else "it is no regular file"
        return
    try:
        entries = sorted(os.listdir(path))
    except OSError as error:
        yield path, f"the folder cannot be listed: {error.strerror}"
        return
    for entry in entries:
        inner = path / entry
        is_left_out = entry in _SKIPPED or entry.startswith(".") or (inner / "pyvenv.cfg").exists()
        if not (is_left_out and inner.is_dir()):
            yield from _files(inner, exclude, base, seen)


def _writable(name: str) -> str:
    """The name of a file, with bytes that are not UTF-8 replaced."""
    return os.fsencode(name).decode("utf-8", "replace")


def is_excluded(path: Path, patterns: tuple[str, ...], base: Path) -> bool:
    """Whether a path matches one of the patterns, which are relative to ``base``."""
    if not patterns or not path.is_relative_to(base):
        return False
    relative = path.relative_to(base).as_posix()
    return matches_glob(relative, *(pattern.rstrip("/") for pattern in patterns))


def read_module(source: SourceFile, max_bytes: int) -> Module:
    """The facts of a file; if it is unreadable, only the reason and the line."""
    module = Module(source.module, source.shown, is_package=source.file.name == "__init__.py", error=source.error)
    if module.error:
        return module
    try:
        size = source.file.stat().st_size
        if size > max_bytes:
            module.error = f"it has {size:,} bytes, more than the {max_bytes:,} of max-file-bytes"
            return module
        data = source.file.read_bytes()
        module.lines = data.count(b"\n") + (not data.endswith(b"\n") and bool(data))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as invalid escapes in the audited code
            tree = ast.parse(data, filename=source.shown)
        return Extractor(module).run(tree)
    except SyntaxError as error:
        return _failed(module, f"it does not parse: {error.msg}", error.lineno or 1)
    except OSError as error:
        return _failed(module, f"it cannot be read: {error.strerror}")
    except (RecursionError, MemoryError):
        return _failed(module, "its expressions are nested too deeply to be read")
    except ValueError as error:
        return _failed(module, f"it does not parse: {error}")


def _failed(module: Module, reason: str, line: int = 1) -> Module:
    """The module without any facts, because those found before the failure are incomplete."""
    return Module(
        module.name,
        module.file,
        is_package=module.is_package,
        lines=module.lines,
        error=reason,
        error_line=max(1, line),
    )
