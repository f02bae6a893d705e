"""Draws what the code under test takes as entropy from a seed."""

import os
import random
import ssl
import uuid
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any

from netra_sim.randomness import key
from netra_sim.simulation.hosts.gate import here
from netra_sim.simulation.hosts.rebinding import rebound, replaced

_MULTICAST = 1 << 40
"""The bit that marks a node of `uuid1` that is no hardware address (RFC 9562, section 6.10)."""


@contextmanager
def seeded_entropy(seed: int) -> Generator[None]:
    """Seed `random`, `secrets`, `uuid`, `os.urandom` and `ssl.RAND_bytes` for the threads of open loops.

    To other threads `os.urandom` and what is made of it are real. Code in C and Rust that asks the operating system itself,
    such as `uuid_utils` and pydantic_core, is not seeded.
    """
    source = random.Random(key(seed, "entropy"))
    real_urandom, real_seed = os.urandom, random.Random.seed

    def urandom(size: int, /) -> bytes:
        return real_urandom(size) if here.member is None or size < 0 else source.randbytes(size)

    def getrandom(size: int, flags: int = 0) -> bytes:
        return urandom(size)

    def seed_with(self: random.Random, a: Any = None, version: int = 2) -> None:
        real_seed(self, source.getrandbits(64) if a is None and here.member is not None else a, version)

    replacements: list[tuple[object, str, object]] = [(os, "urandom", urandom), (ssl, "RAND_bytes", urandom)]
    if hasattr(os, "getrandom"):
        replacements.append((os, "getrandom", getrandom))
    with ExitStack() as undo:
        undo.enter_context(rebound({getattr(owner, name): stand_in for owner, name, stand_in in replacements}))
        for owner, name, stand_in in (
            *replacements,
            (random, "_urandom", urandom),
            (random.Random, "seed", seed_with),
            (uuid, "_node", key(seed, "node") % _MULTICAST | _MULTICAST),
        ):
            undo.enter_context(replaced(owner, name, stand_in))
        undo.callback(random.setstate, random.getstate())
        random.seed(key(seed, "random"))
        yield
