"""What the two processes of a load run say to each other: messages in MessagePack, each behind its length, over pipes."""

import os
import struct
from typing import Any

import msgspec
import numpy as np

from netra_sim.history import History
from netra_sim.history.history import NUMBER_COLUMNS
from netra_sim.loading.plan import Load

LENGTH = struct.Struct(">I")
"""The length of the message that follows, in bytes."""


class AskClock(msgspec.Struct, frozen=True, tag=True):
    """To the clients: what does your clock show?"""


class Orders(msgspec.Struct, frozen=True, tag=True):
    """To the clients: begin.

    Attributes:
        plan: what to do.
        uri: the server's.
        control_uri: the bare echo's.
        tokens: of each user.
        began: what the clock, which both processes share, showed at the time 0 of the History.
    """

    plan: Load
    uri: str
    control_uri: str
    tokens: dict[str, str]
    began: float


class Clock(msgspec.Struct, frozen=True, tag=True):
    """From the clients: what their clock shows."""

    shows: float


class Answered(msgspec.Struct, frozen=True, tag=True):
    """From the clients: a request has come to its end."""


class Broke(msgspec.Struct, frozen=True, tag=True):
    """From the clients: they cannot go on, because of an error of their own."""

    error: str
    where: str


class Recorded(msgspec.Struct, frozen=True, tag=True):
    """From the clients, at the end: their History, its arrays as bytes."""

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
        """The History that the message was made of."""
        numbers = {name: np.frombuffer(self.numbers[name], dtype) for name, dtype in NUMBER_COLUMNS.items()}
        codes = {name: np.frombuffer(values, "<i4") for name, values in self.codes.items()}
        return History(numbers, codes, self.tables, self.meta)


encode = msgspec.msgpack.Encoder().encode
_to_clients = msgspec.msgpack.Decoder(AskClock | Orders)
_from_clients = msgspec.msgpack.Decoder(Clock | Answered | Broke | Recorded)


def decode_to_clients(data: bytes) -> AskClock | Orders:
    """A message to the clients."""
    message: AskClock | Orders = _to_clients.decode(data)
    return message


def decode_from_clients(data: bytes) -> Clock | Answered | Broke | Recorded:
    """A message from the clients."""
    message: Clock | Answered | Broke | Recorded = _from_clients.decode(data)
    return message


def framed(message: msgspec.Struct) -> bytes:
    """A message behind its length."""
    data = encode(message)
    return LENGTH.pack(len(data)) + data


def read(descriptor: int, size: int) -> bytes:
    """So many bytes of a pipe, or fewer if it ends; nothing is read ahead."""
    data = bytearray()
    while len(data) < size and (chunk := os.read(descriptor, size - len(data))):
        data += chunk
    return bytes(data)


def write(descriptor: int, data: bytes) -> None:
    """Write all of it, waiting while the pipe is full."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
