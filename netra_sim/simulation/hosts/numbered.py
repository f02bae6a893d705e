"""Gives protocols a hash by number, so that a server's set of connections has the same order in every process."""

import asyncio
from itertools import count
from typing import Any


class ProtocolNumbers:
    """Numbers the protocols of one loop.

    Servers keep their open connections in a set (uvicorn's ``server_state.connections``, ``all_connections`` of
    `websockets`), and close them in its order. The hash of an object is its address, which differs between processes.
    """

    def __init__(self) -> None:
        self._numbers = count()
        self._classes: dict[type, type] = {}

    def number(self, protocol: asyncio.BaseProtocol) -> None:
        """Let a new protocol hash by its number, unless its class has a hash of its own or no room for a number."""
        kind: Any = type(protocol)
        if kind.__hash__ is not object.__hash__ or not hasattr(protocol, "__dict__"):
            return
        numbered = self._classes.get(kind)
        if numbered is None:
            names = {
                "__slots__": (),
                "__hash__": _hash,
                "__module__": kind.__module__,
                "__qualname__": kind.__qualname__,
            }
            numbered = self._classes[kind] = type(kind)(kind.__name__, (kind,), names)
        try:
            protocol.__class__ = numbered
        except TypeError:
            return  # a class with a memory layout of its own, such as one in C
        vars(protocol)["_netra_sim_number"] = next(self._numbers)


def _hash(self: Any) -> int:
    number: int = self._netra_sim_number
    return number
