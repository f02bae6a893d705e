"""The table ``[tool.netra-sim.audit]`` of a ``pyproject.toml``: the roles of modules, and the allowed findings."""

import re
import tomllib
from collections.abc import Sequence
from fnmatch import translate
from functools import lru_cache
from pathlib import Path

import msgspec

from netra_sim.exceptions import NetraSimError


class ConfigError(NetraSimError, ValueError):
    """The configuration cannot be used; the message names the file, the key and the accepted values."""


class Allowance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Findings that may stay.

    Attributes:
        rule: the id or the name of the rule.
        reason: why; it must not be empty.
        path: of the file, relative to the folder of the ``pyproject.toml``; may contain ``*``.
        symbol: the function, class or name, with its module in front; may contain ``*``.
    """

    rule: str
    reason: str = ""
    path: str = ""
    symbol: str = ""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """The configuration of an audit.

    Patterns name modules. A pattern with a dot matches that module and all modules in it. A pattern without a dot matches
    every module with a part of that name. ``*`` stands for any text.

    Attributes:
        factory: modules that may make engines, agents and emitters.
        bridge: modules that may make emitters and write to WebSockets.
        runtime: the Windows-safe layer itself, and the set-up of event loops.
        streaming: modules in which the audit looks for streaming functions.
        request_path: modules that serve the requests of several users; by default those that send or read, the
            factory, the bridge, those that call them, and all that these import.
        exclude: files and folders to skip, relative to the folder of the ``pyproject.toml``; may contain ``*``.
        engines: names of engine classes.
        emitters: names of emitter classes.
        agents: names of agent classes.
        managers: names of classes that write to WebSockets for other code.
        conventional: names that every module may define, such as ``main``.
        max_file_bytes: the audit skips larger files and reports them.
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
    conventional: tuple[str, ...] = (
        "main",
        "cli",
        "setup",
        "teardown",
        "register",
        "configure",
        "run",
        "app",
        "pytest_addoption",
        "pytest_configure",
    )
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
        ConfigError: the file cannot be read or is not TOML, a key is unknown or has a wrong type, or an allowance has no
            reason, no path and no symbol, or no known rule.
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
    """The ``pyproject.toml`` with the audit's table that is nearest to a path, in its folder or above; None without one.

    The search ends at the root of a git repository.

    Raises:
        ConfigError: a ``pyproject.toml`` on the way cannot be read.
    """
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
