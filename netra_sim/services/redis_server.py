"""Redis' protocol on asyncio streams, carried out by fakeredis.

fakeredis parses the commands of a connection and carries them out in a class that it calls a socket. Its own TCP server
needs threads and real sockets; here the class gets the bytes of a stream and writes to it. It is not a public name of
fakeredis, hence the exact bounds of the version in pyproject.toml.
"""

import asyncio
import itertools
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

from fakeredis import FakeServer
from fakeredis._commands import Signature
from fakeredis._core import Database
from fakeredis._helpers import NoResponse, SimpleError
from fakeredis._socket import AsyncFakeSocket
from redis.exceptions import ConnectionError as KilledError

from netra_sim.distributions import Distribution
from netra_sim.randomness import key, uniform
from netra_sim.resetting import reset
from netra_sim.services import resp
from netra_sim.services.conditions import Conditions

_AT_ONCE = 65_536
_VERSION = (7, 4, 0)
_INFO = Signature("info", "info", (), (bytes,))  # type: ignore[arg-type]  # no fixed arguments


class RedisServer:
    """Serves the connections of one Redis; all share its data.

    Args:
        delay: the seconds from the arrival of bytes to the execution of the commands in them.
        conditions: how it is; read at each use.
        seed: determines all draws.
    """

    def __init__(self, delay: Distribution, conditions: Conditions, seed: int) -> None:
        self._delay = delay
        self._conditions = conditions
        self._seed = seed
        self._numbers = itertools.count()
        self._data = FakeServer(version=_VERSION)
        clock = _loop_clock()
        self._data.dbs = defaultdict(lambda: _Database(self._data.lock, clock))

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until the client leaves."""
        if self._conditions.rate_limited:
            writer.write(resp.error(self._conditions.error("ERR max number of clients reached")))
            return
        draws = key(self._seed, "connection", next(self._numbers))
        session = _Session(self._data, writer, self._conditions, draws)
        try:
            for batch in itertools.count():
                data = await reader.read(_AT_ONCE)
                if not data:
                    return
                if delay := self._delay.draw(uniform(key(draws, "delay"), batch)):
                    await self._conditions.wait(delay)
                if not session.take(data):
                    return
                await writer.drain()
        finally:
            await session.leave()


class _Session(AsyncFakeSocket):
    """fakeredis' side of one connection: it writes replies as they are made, and keeps none."""

    def __init__(self, data: FakeServer, writer: asyncio.StreamWriter, conditions: Conditions, draws: int) -> None:
        self._writer = writer
        self._conditions = conditions
        self._draws = draws
        self._commands = itertools.count()
        self._is_cut = self._has_left = False
        self._blocked_in: asyncio.Task[None] | None = None
        addresses = {"addr": _address(writer, "peername"), "laddr": _address(writer, "sockname")}
        super().__init__(data, 0, client_class=object, client_info=addresses)

    def __hash__(self) -> int:
        # Subscribers stand in sets: the order of publishing must not depend on addresses in memory.
        return int(self._client_info["id"])

    def take(self, data: bytes) -> bool:
        """Carry out the commands in the bytes; False if the connection is to be closed."""
        try:
            self.sendall(data)
        except KilledError:
            return False
        except (SimpleError, ValueError) as problem:  # it is not RESP, and fakeredis' parser has ended
            self._write(resp.error(f"ERR Protocol error: {problem}"))
            return False
        return True

    async def leave(self) -> None:
        """End the session: a blocked command takes nothing more, and the subscriptions are dropped."""
        self._has_left = True
        await asyncio.sleep(0)  # a command that has just blocked begins to wait, and can be stopped
        if self._blocked_in is not None:
            self._blocked_in.cancel()
            await asyncio.wait([self._blocked_in])
        self._discard_subscriptions()
        self.close()

    def put_response(self, msg: Any) -> None:
        """Called by fakeredis with a reply, or with a message of a channel."""
        if self._has_left or self._is_cut:
            return
        protocol = self._client_info.protocol_version
        if msg is None or isinstance(msg, _Reply):
            self._write(resp.encode(msg and msg.value, protocol))
        else:
            self._write(resp.push(msg, protocol))

    def resume(self) -> None:
        """Called by fakeredis when a blocked command has ended: carry out what has arrived since."""
        if not self._has_left:
            super().resume()

    def kill(self) -> None:
        """Called by fakeredis for ``CLIENT KILL``."""
        super().kill()
        asyncio.get_running_loop().call_soon(self._writer.close)  # a client that kills itself still gets the reply

    def info(self, *sections: bytes) -> bytes:
        """The command ``INFO``, which fakeredis does not have: what job queues ask for when they start."""
        about = {
            "redis_version": ".".join(map(str, _VERSION)),
            "redis_mode": "standalone",
            "connected_clients": len(self._server.sockets),
            **{f"db{number}": f"keys={len(keys)}" for number, keys in self._server.dbs.items() if len(keys)},
        }
        return "".join(f"{name}:{value}\r\n" for name, value in about.items()).encode()

    def _name_to_func(self, name: str) -> tuple[Callable[..., Any] | None, Signature]:
        return (self.info, _INFO) if name == "info" else super()._name_to_func(name)

    def _process_command(self, fields: list[bytes]) -> None:
        number = next(self._commands)
        if uniform(key(self._draws, "error"), number) < self._conditions.error_share:
            self._transaction_failed = self._transaction is not None
            self._write(resp.error(self._conditions.error("LOADING Redis is loading the dataset in memory")))
            return
        self._is_cut = uniform(key(self._draws, "cut"), number) < self._conditions.cut_share
        super()._process_command(fields)
        if self._is_cut:
            self.pause()  # what else has arrived is not carried out
            reset(self._writer.transport)

    def _decode_result(self, result: Any) -> Any:
        # fakeredis would turn the result into redis-py's values and exceptions, and lose its form on the wire.
        return result if isinstance(result, NoResponse) else _Reply(result)

    async def _async_blocking(self, *arguments: Any) -> None:
        self._blocked_in = asyncio.current_task()
        try:
            await super()._async_blocking(*arguments)
        finally:
            self._blocked_in = None

    def _write(self, data: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(data)


class _Reply(NamedTuple):
    """The result of a command, to tell it from a message of a channel."""

    value: Any


class _Database(Database):
    """The keys of one database. They live by the loop's clock, and of the clients that wait for one the first gets it."""

    def __init__(self, lock: threading.Lock, clock: Callable[[], float]) -> None:
        self._clock = clock
        super().__init__(lock)
        self._waiting: dict[Callable[[], None], None] = {}

    @property
    def time(self) -> float:
        """The time in seconds since 1970."""
        return self._clock()

    @time.setter
    def time(self, wall_clock: float) -> None:
        """Called by fakeredis before each command; the loop's clock counts instead."""

    def add_change_callback(self, callback: Callable[[], None]) -> None:
        """Called by fakeredis when a command begins to wait; its own set would wake clients in the order of addresses."""
        self._waiting[callback] = None

    def remove_change_callback(self, callback: Callable[[], None]) -> None:
        """Called by fakeredis when a command ends its wait."""
        del self._waiting[callback]

    def wake_all(self) -> None:
        """Called by fakeredis when a command that waits may go on."""
        super().wake_all()
        for callback in self._waiting:
            callback()


def _loop_clock() -> Callable[[], float]:
    """The time of day now, and from now on as the loop's clock goes."""
    loop = asyncio.get_running_loop()
    start = time.time() - loop.time()
    return lambda: start + loop.time()


def _address(writer: asyncio.StreamWriter, end: str) -> str:
    host, port, *_ = writer.get_extra_info(end)
    return f"{host}:{port}"
