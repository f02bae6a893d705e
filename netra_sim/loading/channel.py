"""The messages between the two processes of a load run: MessagePack over pipes, each prefixed with its length."""

import os
import struct
from typing import Any

import msgspec
import numpy as np

from netra_sim.history import History
from netra_sim.history.history import NUMBER_COLUMNS
from netra_sim.loading.plan import Load
from netra_sim.loading.system_plan import SystemOrders

LENGTH = struct.Struct(">I")
"""The length prefix of a message, in bytes."""


class AskClock(msgspec.Struct, frozen=True, tag=True):
    """To the clients: send the reading of your clock."""


class Orders(msgspec.Struct, frozen=True, tag=True):
    """To the clients: carry out the plan.

    Attributes:
        plan: what the clients do.
        uri: the URI of the server.
        control_uri: the URI of the bare echo server.
        tokens: the token of each user.
        began: the reading of the clock, which both processes share, at time 0 of the History.
    """

    plan: Load
    uri: str
    control_uri: str
    tokens: dict[str, str]
    began: float


class Clock(msgspec.Struct, frozen=True, tag=True):
    """From the clients: the reading of their clock."""

    shows: float


class Began(msgspec.Struct, frozen=True, tag=True):
    """From the clients of a system: when their window begins, in seconds since time 0 of the History."""

    at: float


class Answered(msgspec.Struct, frozen=True, tag=True):
    """From the clients: a request has ended."""


class Broke(msgspec.Struct, frozen=True, tag=True):
    """From the clients: an error in their process ends the load run."""

    error: str
    where: str


class Recorded(msgspec.Struct, frozen=True, tag=True):
    """From the clients, at the end: their History, with its arrays as bytes."""

    numbers: dict[str, bytes]
    codes: dict[str, bytes]
    tables: dict[str, list[str]]
    meta: dict[str, Any]

    @classmethod
    def of(cls, history: History) -> "Recorded":
        """A History as a message."""
        numbers = {name: values.tobytes() for name, values in history.numbers.items()}
        codes = {name: values.tobytes() for name, values in history.codes.items()}
        return cls(numbers, codes, history.tables, history.meta)

    def history(self) -> History:
        """The History in the message."""
        numbers = {name: np.frombuffer(self.numbers[name], dtype) for name, dtype in NUMBER_COLUMNS.items()}
        codes = {name: np.frombuffer(values, "<i4") for name, values in self.codes.items()}
        return History(numbers, codes, self.tables, self.meta)


encode = msgspec.msgpack.Encoder().encode
_to_clients = msgspec.msgpack.Decoder(AskClock | Orders | SystemOrders)
_from_clients = msgspec.msgpack.Decoder(Clock | Began | Answered | Broke | Recorded)


def decode_to_clients(data: bytes) -> AskClock | Orders | SystemOrders:
    """Decode a message to the clients."""
    message: AskClock | Orders | SystemOrders = _to_clients.decode(data)
    return message


def decode_from_clients(data: bytes) -> Clock | Began | Answered | Broke | Recorded:
    """Decode a message from the clients."""
    message: Clock | Began | Answered | Broke | Recorded = _from_clients.decode(data)
    return message


def framed(message: msgspec.Struct) -> bytes:
    """A message, encoded and prefixed with its length."""
    data = encode(message)
    return LENGTH.pack(len(data)) + data


def read(descriptor: int, size: int) -> bytes:
    """Read so many bytes of a pipe and no more; fewer if the pipe ends."""
    data = bytearray()
    while len(data) < size and (chunk := os.read(descriptor, size - len(data))):
        data += chunk
    return bytes(data)


def write(descriptor: int, data: bytes) -> None:
    """Write all data to a pipe, and block while the pipe is full."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
