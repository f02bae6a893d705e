"""The table ``[tool.netra-sim.audit]`` of a ``pyproject.toml``: which module plays which part, and what is allowed."""

import re
import tomllib
from collections.abc import Sequence
from fnmatch import translate
from functools import lru_cache
from pathlib import Path

import msgspec


class ConfigError(ValueError):
    """The configuration cannot be used; the message names the file, the key and what it takes."""


class Allowance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Findings that may stay.

    Attributes:
        rule: the id or the name of the rule.
        reason: why; it must not be empty.
        path: of the file, from the folder of the ``pyproject.toml``; may hold ``*``.
        symbol: of the function, class or name, with its module in front; may hold ``*``.
    """

    rule: str
    reason: str = ""
    path: str = ""
    symbol: str = ""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """What the audit is told about a tree.

    A module is told by patterns. One with a dot, or that is the name of a top-level package, matches that module and
    all in it; one without matches any module of which a part has that name. ``*`` stands for anything.

    Attributes:
        factory: where engines and agents, and emitters, are made.
        bridge: where emitters are made and WebSockets are written to.
        runtime: the Windows-safe layer itself, and the set-up of event loops.
        streaming: in which modules streaming functions are looked for.
        request_path: modules that serve the requests of several users; by default those that send or read, the
            factory, the bridge and those that call them, and all that they import.
        exclude: files and folders that are not read, from the folder of the ``pyproject.toml``; may hold ``*``.
        engines: names of classes of engines.
        emitters: names of classes of emitters.
        agents: names of classes of agents.
        managers: names of classes that write to WebSockets for others.
        conventional: names that each module may have of its own, such as ``main``.
        max_file_bytes: a file that is larger is not read, which is a finding.
        allow: findings that may stay, with the reason.
    """

    factory: tuple[str, ...] = ("factory", "factories", "*_factory", "*_factories")
    bridge: tuple[str, ...] = ("bridge", "*_bridge", "transport", "*_transport")
    runtime: tuple[str, ...] = ("windows_asyncio_safe",)
    streaming: tuple[str, ...] = ("*",)
    request_path: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    engines: tuple[str, ...] = ("*ExecutionEngine",)
    emitters: tuple[str, ...] = ("*Emitter",)
    agents: tuple[str, ...] = ("*Agent",)
    managers: tuple[str, ...] = ("*WebSocketManager", "*WebsocketManager", "*ConnectionManager")
    conventional: tuple[str, ...] = ("main", "cli", "setup", "teardown", "register", "configure", "run", "app")
    max_file_bytes: int = 10_000_000
    allow: tuple[Allowance, ...] = ()


@lru_cache(maxsize=65536)
def matches(name: str, patterns: tuple[str, ...] | None) -> bool:
    """Whether a dotted name matches one of the patterns of a `Config`."""
    return any(_matches(name, pattern) for pattern in patterns or ())


def _matches(name: str, pattern: str) -> bool:
    parts = name.split(".")
    if "." not in pattern:
        return any(matches_glob(part, pattern) for part in parts)
    return any(matches_glob(".".join(parts[:end]), pattern) for end in range(1, len(parts) + 1))


def matches_glob(text: str, *patterns: str) -> bool:
    """Whether a text matches one of the patterns with ``*``; case counts."""
    return any(_compiled(pattern).match(text) for pattern in patterns)


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern))


def read_config(path: Path, rules: Sequence[str]) -> Config:
    """Read the table of a ``pyproject.toml``.

    Args:
        path: the file.
        rules: ids and names of all rules.

    Raises:
        ConfigError: it is no TOML, a key is unknown or mistyped, or an allowance has no reason, no place or no rule.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        section = table.get("tool", {}).get("netra-sim", {}).get("audit", {})
        config = msgspec.convert(section, Config)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError, AttributeError) as error:
        raise ConfigError(f"{path}, [tool.netra-sim.audit]: {error}") from error
    for number, one in enumerate(config.allow, start=1):
        where = f"{path}, [tool.netra-sim.audit], allow, entry {number}"
        if one.rule not in rules:
            raise ConfigError(f"{where}: there is no rule {one.rule!r}; `netra-sim audit --rules` lists them")
        if not one.reason.strip():
            raise ConfigError(f"{where}: say why {one.rule} is allowed here, in `reason`")
        if not one.path and not one.symbol:
            raise ConfigError(f"{where}: say where {one.rule} is allowed, with `path` or `symbol`")
    return config


def find_config(path: Path) -> Path | None:
    """The ``pyproject.toml`` with our table in the folder of a path or the nearest one above; None if there is none."""
    folder = path if path.is_dir() else path.parent
    for above in (folder, *folder.parents):
        candidate = above / "pyproject.toml"
        try:
            if candidate.is_file() and b"tool.netra-sim.audit" in candidate.read_bytes():
                return candidate
        except OSError as error:
            raise ConfigError(f"{candidate} cannot be read: {error.strerror}") from error
        if (above / ".git").exists():
            break
    return None
