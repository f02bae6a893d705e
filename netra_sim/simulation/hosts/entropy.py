"""Draws what the code under test takes as entropy from a seed, and for each connection from a stream of its own."""

import os
import random
import ssl
import uuid
import weakref
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

from netra_sim.randomness import key
from netra_sim.simulation.hosts.gate import here
from netra_sim.simulation.hosts.host import PROCESS
from netra_sim.simulation.hosts.rebinding import rebound, replaced

CONNECTION: ContextVar[int] = ContextVar("netra_sim.connection", default=0)
"""The key of the connection that the running code serves; 0 outside of any."""

_MULTICAST = 1 << 40
"""The bit that marks a node of `uuid1` that is no hardware address (RFC 9562, section 6.10)."""

_NAMES = ("random", "getrandbits")
"""The methods of `random.Random` that all others draw with."""

_unseeded: "weakref.WeakSet[random.Random]" = weakref.WeakSet()
"""Generators that simulated code made without a seed; installed packages keep some from one simulation to the next."""


@contextmanager
def seeded_entropy(seed: int) -> Generator[None]:
    """Seed `random`, `secrets`, `uuid`, `os.urandom` and `ssl.RAND_bytes` for the threads of open loops.

    What serves a connection draws from the stream of this connection, whoever else is there, so that two users who draw the
    same also do so without the others. Everything else draws from the stream of its host. A generator of `random` belongs to
    these streams until it gets a seed, or until its state is read or set.

    To other threads `os.urandom` and what is made of it are real. Code in C and Rust that asks the operating system itself,
    such as `uuid_utils` and pydantic_core, is not seeded.
    """
    streams = _Streams(seed)
    shared = random._inst
    methods = _methods(streams)
    functions = _functions(streams)
    with ExitStack() as undo:
        undo.callback(shared.setstate, shared.getstate())
        undo.callback(lambda: _release(shared, *_unseeded))
        for generator in (shared, *_unseeded):
            streams.bind(generator)
        for name, method in methods.items():
            undo.enter_context(replaced(random.Random, name, method))
        functions += [(random, name, _as_function(shared, name)) for name in (*_NAMES, *methods)]
        undo.enter_context(rebound({getattr(owner, name): stand_in for owner, name, stand_in in functions}))
        for owner, name, stand_in in (
            *functions,
            (random, "_urandom", functions[0][2]),
            (uuid, "_node", key(seed, "node") % _MULTICAST | _MULTICAST),
        ):
            undo.enter_context(replaced(owner, name, stand_in))
        yield


def _functions(streams: "_Streams") -> list[tuple[object, str, Any]]:
    """What takes the place of the functions that ask the operating system for entropy, with their owners and names."""
    real = os.urandom

    def urandom(size: int, /) -> bytes:
        return real(size) if here.member is None or size < 0 else streams.current().randbytes(size)

    def getrandom(size: int, flags: int = 0) -> bytes:
        return urandom(size)

    functions: list[tuple[object, str, Any]] = [(os, "urandom", urandom), (ssl, "RAND_bytes", urandom)]
    return [*functions, (os, "getrandom", getrandom)] if hasattr(os, "getrandom") else functions


class _Streams:
    """The streams of one simulation.

    Args:
        seed: determines all of them.
    """

    def __init__(self, seed: int) -> None:
        self._key = key(seed, "entropy")
        self._streams: dict[tuple[str, int], random.Random] = {}

    def current(self) -> random.Random:
        """The stream of what runs now."""
        process = PROCESS.get()
        name = ("" if process is None else process.host.name, CONNECTION.get())
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = random.Random(key(self._key, *name))
        return stream

    def bind(self, generator: random.Random) -> None:
        """Let a generator draw from the streams; in other threads it draws by itself."""
        own = {name: getattr(super(random.Random, generator), name) for name in _NAMES}

        def draw(name: str) -> Callable[..., Any]:
            return lambda *args: own[name](*args) if here.member is None else getattr(self.current(), name)(*args)

        for name in _NAMES:
            vars(generator)[name] = draw(name)


def _methods(streams: _Streams) -> dict[str, Callable[..., Any]]:
    """The methods of `random.Random` that say whether a generator draws from the streams or by itself."""
    real_seed, real_getstate, real_setstate = random.Random.seed, random.Random.getstate, random.Random.setstate

    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        if a is not None or here.member is None:
            _draw_alone(self)
            real_seed(self, a, version)
        elif type(self).random is random.Random.random:
            _unseeded.add(self)
            streams.bind(self)
        else:  # a subclass that draws in a way of its own
            real_seed(self, streams.current().getrandbits(64), version)

    def getstate(self: random.Random) -> tuple[Any, ...]:
        if _draw_alone(self) and here.member is not None:
            real_seed(self, streams.current().getrandbits(64))
        return real_getstate(self)

    def setstate(self: random.Random, state: tuple[Any, ...]) -> None:
        _draw_alone(self)
        real_setstate(self, state)

    return {"seed": seed, "getstate": getstate, "setstate": setstate}


def _draw_alone(generator: random.Random) -> bool:
    """Let a generator draw by itself from now on; returns whether it drew from the streams."""
    was_bound = _NAMES[0] in vars(generator)
    _release(generator)
    _unseeded.discard(generator)
    return was_bound


def _as_function(generator: random.Random, name: str) -> Callable[..., Any]:
    """A function that calls the method which the generator has at that moment."""
    return lambda *args, **named: getattr(generator, name)(*args, **named)


def _release(*generators: random.Random) -> None:
    for generator in generators:
        for name in _NAMES:
            vars(generator).pop(name, None)
