"""Lets the threads of a gate wait for a locked SQLite database in virtual time.

SQLite itself sleeps in C, and then nobody else of the gate could run and release the lock.
"""

import re
import sqlite3
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import chain, repeat
from typing import Any

from netra_sim.simulation.hosts.gate import here
from netra_sim.simulation.hosts.rebinding import rebound, replaced

_DELAYS = (0.001, 0.002, 0.005, 0.010, 0.015, 0.020, 0.025, 0.025, 0.025, 0.050, 0.050)
"""Seconds between SQLite's tries to get a lock; later ones are 0.1 s apart (`sqliteDefaultBusyCallback` in its main.c)."""

_POSITIONAL = ("timeout", "detect_types", "isolation_level", "check_same_thread", "factory", "cached_statements", "uri")
_BUSY_TIMEOUT = re.compile(r"(pragma\s+(?:\w+\.)?busy_timeout\s*[=(]\s*)(\d+)", re.IGNORECASE)
_connect = sqlite3.connect


def _patiently(connection: Any, call: Callable[..., Any], *args: Any) -> Any:
    """Call SQLite until the database is not locked, or until the connection's time-out has passed."""
    waited = 0.0
    for delay in chain(_DELAYS, repeat(0.1)):
        try:
            return call(*args)
        except sqlite3.OperationalError as error:
            is_locked = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
            if here.member is None or not is_locked or waited + delay > connection.patience:
                raise
        here.member.sleep(delay)
        waited += delay
    return None


class _Cursor(sqlite3.Cursor):
    def execute(self, sql: str, *parameters: Any) -> Any:
        if (busy := _BUSY_TIMEOUT.search(sql)) is not None:
            self.connection.patience = int(busy[2]) / 1000  # type: ignore[attr-defined]
            sql = _BUSY_TIMEOUT.sub(r"\g<1>0", sql)
        return _patiently(self.connection, super().execute, sql, *parameters)

    def executemany(self, sql: str, parameters: Any) -> Any:
        return _patiently(self.connection, super().executemany, sql, list(parameters))


class _Connection(sqlite3.Connection):
    patience = 0.0

    def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
        return super().cursor(_waiting(_Cursor, factory))

    def execute(self, sql: str, *parameters: Any) -> Any:
        return self.cursor().execute(sql, *parameters)

    def executemany(self, sql: str, parameters: Any) -> Any:
        return self.cursor().executemany(sql, parameters)

    def commit(self) -> None:
        _patiently(self, super().commit)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> Any:
        if kind is not None:
            return super().__exit__(kind, error, trace)
        try:
            self.commit()
        except BaseException:
            self.rollback()
            raise
        return False


@cache
def _waiting(mixin: type[Any], factory: type[Any]) -> Any:
    """A subclass of a factory that waits."""
    return type(factory.__name__, (mixin, factory), {}) if isinstance(factory, type) else factory


def _connected(database: Any, *args: Any, **options: Any) -> Any:
    """`sqlite3.connect`, whose connection waits in virtual time if a thread of a gate makes it.

    `executescript` does not wait: parts of a script cannot be repeated.
    """
    if here.member is None:
        return _connect(database, *args, **options)
    options.update(zip(_POSITIONAL, args, strict=False))
    timeout: float = options.pop("timeout", 5.0)
    factory = _waiting(_Connection, options.pop("factory", sqlite3.Connection))
    connection: Any = _connect(database, timeout=0.0, factory=factory, **options)
    connection.patience = timeout
    return connection


@contextmanager
def gated_sqlite() -> Generator[None]:
    """Make new connections wait in virtual time, if a thread of a gate makes them."""
    with ExitStack() as undo:
        undo.enter_context(rebound({_connect: _connected}))
        for module in (sqlite3, sqlite3.dbapi2):
            undo.enter_context(replaced(module, "connect", _connected))
        yield
