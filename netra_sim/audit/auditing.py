"""`audit`: reads the files of a tree on all cores, and turns their facts into findings."""

import multiprocessing
import os
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import msgspec

from netra_sim.audit.config import Allowance, Config, ConfigError, find_config, matches_glob, read_config
from netra_sim.audit.facts import Module
from netra_sim.audit.kept_facts import KeptFacts
from netra_sim.audit.reading import SourceFile, find_sources, is_excluded, read_module
from netra_sim.audit.report import AuditFinding, AuditReport, RuleCount
from netra_sim.audit.rules import RULES, STALE_ALLOWANCE, UNREADABLE_FILE
from netra_sim.audit.tree import Tree

_ENOUGH_FOR_PROCESSES = 4_000_000
"""Bytes of source; with fewer, one process finishes before others have started."""

_BATCH = 40
"""Files per task of a process."""


def audit(
    path: str | Path,
    config: Config | None = None,
    *,
    jobs: int | None = None,
    config_file: Path | None = None,
    cache: Path | None = None,
) -> AuditReport:
    """Read a Python tree without importing it, and find code that goes round the architecture.

    Args:
        path: a folder or a file.
        config: roles and allowances, with paths relative to ``path``; by default the table of the nearest
            ``pyproject.toml``, or the default values without one.
        jobs: number of processes; by default one per core, or one process for a small tree.
        config_file: the ``pyproject.toml`` to use instead of the nearest one.
        cache: a folder that keeps the facts of unchanged files between audits, such as that of `cache_folder`; by default
            nothing is kept.

    Raises:
        ConfigError: the configuration cannot be used, or ``path`` has no Python file.
    """
    root = Path(path)
    if not root.exists():
        raise ConfigError(f"there is nothing at {root}; name a folder or a Python file")
    base = root if root.is_dir() else root.parent
    if config is None:
        file = config_file or find_config(root.resolve())
        config = Config() if file is None else config_of(file)
        base = base if file is None else file.parent
    sources = list(find_sources(root, config.exclude, base))
    if not sources:
        raise ConfigError(f"there is no Python file in {root}")
    for pattern in config.exclude:
        if not any(True for _ in base.glob(pattern.rstrip("/"))):
            raise ConfigError(f"exclude has {pattern!r}, and there is nothing of that name in {base}; take it out")
    tree = Tree(_facts_of(sources, config.max_file_bytes, jobs, KeptFacts(cache, root)), config)
    files = {source.shown: source.file for source in sources}
    return _report(tree, files, base.resolve())


def config_of(file: Path) -> Config:
    """The configuration of the audit in a ``pyproject.toml``.

    Raises:
        ConfigError: it cannot be used.
    """
    return read_config(file, [name for rule in RULES.values() for name in (rule.id, rule.name)])


def _facts_of(sources: Sequence[SourceFile], max_bytes: int, jobs: int | None, kept: KeptFacts) -> list[Module]:
    known = {source.module: module for source in sources if (module := kept.get(source, max_bytes)) is not None}
    known |= {
        module.name: module for module in _read([one for one in sources if one.module not in known], max_bytes, jobs)
    }
    modules = [known[source.module] for source in sources]
    kept.keep(modules)
    return modules


def _read(sources: Sequence[SourceFile], max_bytes: int, jobs: int | None) -> list[Module]:
    batches = [sources[first : first + _BATCH] for first in range(0, len(sources), _BATCH)]
    workers = min(jobs or os.cpu_count() or 1, len(batches) or 1)
    if jobs is None and sum(map(_size, sources)) < _ENOUGH_FOR_PROCESSES:
        workers = 1
    if workers == 1:
        return [read_module(source, max_bytes) for source in sources]
    # A fork of a process with threads, such as a Jupyter kernel, can deadlock.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        read = pool.map(_read_batch, batches, [max_bytes] * len(batches))
        return [module for data in read for module in msgspec.msgpack.decode(data, type=list[Module])]


def _read_batch(sources: Sequence[SourceFile], max_bytes: int) -> bytes:
    return msgspec.msgpack.encode([read_module(source, max_bytes) for source in sources])


def _size(source: SourceFile) -> int:
    try:
        return source.file.stat().st_size
    except OSError:
        return 0


def _report(tree: Tree, files: dict[str, Path], base: Path) -> AuditReport:
    allow = tree.config.allow
    used: set[Allowance] = set()
    findings = [
        AuditFinding(
            file=module.file,
            line=module.error_line,
            column=1,
            rule=UNREADABLE_FILE.id,
            name=UNREADABLE_FILE.name,
            symbol=module.name,
            message=f"{module.error}. {UNREADABLE_FILE.why} {UNREADABLE_FILE.fix}",
        )
        for module in tree.unreadable
    ]
    counts = []
    for rule in RULES.values():
        looked_at = allowed = 0
        found: set[AuditFinding] = set()
        for location in rule.look(tree):
            looked_at += 1
            if not location.problem:
                continue
            symbol = f"{location.module.name}.{location.symbol}" if location.symbol else location.module.name
            finding = AuditFinding(
                file=location.module.file,
                line=location.line,
                column=location.column,
                rule=rule.id,
                name=rule.name,
                symbol=symbol,
                message=f"{location.problem}. {rule.why} {rule.fix}",
            )
            by = [one for one in allow if one.rule in (rule.id, rule.name) and _is_allowed(finding, one, files, base)]
            used.update(by)
            allowed += bool(by)
            if not by:
                found.add(finding)
        findings += found
        counts.append(RuleCount(rule=rule.id, looked_at=looked_at, unit=rule.unit, found=len(found), allowed=allowed))
    findings += _stale([one for one in allow if one not in used], tree, files, base)
    modules = [*tree.modules.values(), *tree.unreadable]
    return AuditReport(
        findings=tuple(sorted(_with_characters(findings, files))),
        files=len(modules),
        lines=sum(module.lines for module in modules),
        functions=sum(len(module.functions) for module in modules),
        counts=tuple(counts),
    )


def _is_allowed(finding: AuditFinding, one: Allowance, files: dict[str, Path], base: Path) -> bool:
    return (not one.path or is_excluded(files[finding.file], (one.path,), base)) and (
        not one.symbol or matches_glob(finding.symbol, one.symbol)
    )


def _stale(unused: Iterable[Allowance], tree: Tree, files: dict[str, Path], base: Path) -> list[AuditFinding]:
    """Findings for allowances that match nothing; it skips allowances for code outside of the audited tree."""
    packages = {name.partition(".")[0] for name in tree.modules}
    found = []
    for one in unused:
        is_here = any(is_excluded(file, (one.path,), base) for file in files.values())
        is_elsewhere = one.path and not is_here and any(True for _ in base.glob(one.path))
        if is_elsewhere or (not one.path and one.symbol.partition(".")[0] not in packages):
            continue
        where = " and ".join(f"{key} {value!r}" for key, value in (("path", one.path), ("symbol", one.symbol)) if value)
        found.append(
            AuditFinding(
                file="pyproject.toml",
                line=1,
                column=1,
                rule=STALE_ALLOWANCE.id,
                name=STALE_ALLOWANCE.name,
                symbol=one.rule,
                message=f"{one.rule} is allowed for {where}, and nothing is found there. "
                f"{STALE_ALLOWANCE.why} {STALE_ALLOWANCE.fix}",
            )
        )
    return found


def _with_characters(findings: Sequence[AuditFinding], files: dict[str, Path]) -> list[AuditFinding]:
    """The findings with columns in characters; the parser counts bytes of UTF-8."""
    by_file: dict[str, list[AuditFinding]] = defaultdict(list)
    for finding in findings:
        by_file[finding.file].append(finding)
    moved = []
    for name, own in by_file.items():
        lines: list[str] = []
        if name in files and any(finding.column > 1 for finding in own) and not files[name].read_bytes().isascii():
            with tokenize.open(files[name]) as file:
                lines = file.read().splitlines()
        for finding in own:
            if lines and finding.line <= len(lines):
                before = lines[finding.line - 1].encode("utf-8", "surrogatepass")[: finding.column - 1]
                finding = msgspec.structs.replace(finding, column=len(before.decode("utf-8", "ignore")) + 1)
            moved.append(finding)
    return moved
