"""One end of a TCP connection, as the operating system of its host keeps it."""

import errno
import math
import os
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Protocol

from netra_sim.randomness import key, uniform
from netra_sim.simulation.hosts.links import GIVES_UP_AFTER, Link, next_attempt

if TYPE_CHECKING:
    from netra_sim.simulation.loop import VirtualTimeLoop

_READ_AT_ONCE = 256 * 1024
"""Bytes that a program gets from one read, at most, as in asyncio (``max_size`` in ``selector_events.py``)."""


class Owner(Protocol):
    """The program's side of an endpoint."""

    def on_readable(self) -> None:
        """There are bytes to read, the end of the stream, or an error."""

    def on_writable(self) -> None:
        """The operating system takes more bytes, or the next write raises an error."""

    def forget(self) -> None:
        """The program is dead, or the loop is closed: use the endpoint no more, and tell nobody."""


class _Segment:
    """Bytes that arrive together, and whether the end of the stream follows them."""

    __slots__ = ("ends", "parts", "size")

    def __init__(self, data: bytes, *, ends: bool) -> None:
        self.parts = [data]
        self.size = len(data)
        self.ends = ends


class Endpoint:
    """What the operating system of one host keeps of a connection: buffers, what is on its way, and errors.

    Bytes are never lost, changed or reordered. They wait for bandwidth, for room at the receiver, and for lost segments
    before them, as in TCP. Not modelled: congestion control, delayed or lost acknowledgements.

    Args:
        loop: the clock and the timers.
        kernel: the context of the timers, which belongs to no host.
        address: the address and port of this end.
        link: the direction in which this end sends.
        stream: the key of all draws for what this end sends.

    Attributes:
        peer: the other end.
        owner: the program's side; None before a program has the endpoint and after it has closed it.
        error: what reading and writing raise; None while all is well.
        is_closed: whether the program has closed it, or died.
        used: when a segment last left, in seconds.
    """

    peer: "Endpoint"

    def __init__(
        self, loop: "VirtualTimeLoop", kernel: Context, address: tuple[str, int], link: Link, stream: int
    ) -> None:
        self.address = address
        self.owner: Owner | None = None
        self.error: OSError | None = None
        self.is_closed = False
        self.used = loop.exact_time()
        self._loop = loop
        self._kernel = kernel
        self._link = link
        self._stream = stream
        self._latency = link.conditions.latency.draw(uniform(key(stream, "latency")))
        self._segments = 0
        # Sending: bytes that wait for room at the receiver, segments on their way, and acknowledgements on their way.
        self._unsent: deque[bytes] = deque()
        self._flying: deque[_Segment] = deque()
        self._flying_size = 0
        self._acknowledged: deque[tuple[float, int]] = deque()
        self._kept = 0
        self._ends = self._has_sent_end = False
        self._leaves_at = 0.0
        self._arrives_at = 0.0
        self._pause = 0.0
        self._wants_room = False
        self._stuck: list[tuple[bytes, bool]] | None = None
        self._is_silenced = False
        # Receiving.
        self._received: deque[bytes] = deque()
        self._unread = 0
        self._has_end = False
        self._window_reported = False

    @property
    def one_way(self) -> float:
        """Seconds that a small segment now takes from here to the other end, without jitter."""
        return self._link.seconds(self._latency)

    @property
    def is_readable(self) -> bool:
        """Whether a read returns at once: with bytes, with the end of the stream, or with an error."""
        return bool(self._received) or self._has_end or self.error is not None

    @property
    def is_at_end(self) -> bool:
        """Whether all was read and the other end sends no more."""
        return self._has_end and not self._received

    def send(self, data: bytes) -> int:
        """Take bytes to send; returns how many. The owner is called when there is room for the rest.

        Raises:
            OSError: the connection is broken.
        """
        if self.error is not None:
            raise self.error
        now = self._loop.exact_time()
        acknowledged = self._acknowledged
        while acknowledged and acknowledged[0][0] <= now:
            self._kept -= acknowledged.popleft()[1]
        size = min(len(data), self._link.conditions.send_buffer - self._kept)
        if size < len(data):
            self._want_room()
        if size <= 0:
            return 0
        self._kept += size
        self._unsent.append(data if size == len(data) else data[:size])
        self._push()
        return size

    def end(self) -> None:
        """Send the end of the stream after all bytes."""
        if not self._ends:
            self._ends = True
            self._push()

    def read(self) -> bytes:
        """The bytes that have arrived; b"" if there are none.

        Raises:
            OSError: the connection is broken, and all that arrived before was read.
        """
        received = self._received
        if not received:
            if self.error is not None:
                raise self.error
            return b""
        if self._unread <= _READ_AT_ONCE:
            data = received.popleft() if len(received) == 1 else b"".join(received)
            received.clear()
        else:
            whole = b"".join(received)
            data = whole[:_READ_AT_ONCE]
            received.clear()
            received.append(whole[_READ_AT_ONCE:])
        self._unread -= len(data)
        if self.peer._unsent and not self._window_reported:
            self._window_reported = True
            self._after(self.one_way, self._report_window)
        return data

    def close(self) -> None:
        """The program closes the socket, or its process dies: what is in the buffers is still sent, then the end.

        Bytes that the program has not read make it a reset, as on Linux (RFC 2525, section 2.17).
        """
        if self.is_closed:
            return
        self.owner = None
        if self._received:
            self.reset()
        else:
            self.is_closed = True
            self.end()

    def reset(self) -> None:
        """Give up the connection at once: what is not on its way is lost, and the other end gets ECONNRESET."""
        if self.is_closed:
            return
        self._break_off()
        if self.error is None and self._link.is_up and not self._is_silenced:
            arrives = max(self._arrives_at, self._loop.exact_time() + self.one_way)
            self._at(arrives, self.peer.on_reset)

    def vanish(self) -> None:
        """The host loses its power: nothing more is sent, not even a reset."""
        self._is_silenced = True
        self._break_off()

    def silence(self) -> None:
        """A box on the way has forgotten the connection, and drops whatever this end sends."""
        self._is_silenced = True

    def on_reset(self) -> None:
        """The other end, or a box on the way, resets the connection."""
        self.fail(errno.ECONNRESET)

    def fail(self, number: int) -> None:
        """Break the connection at this end with an ``errno``; a second error changes nothing."""
        if self.is_closed or self.error is not None:
            return
        self.error = OSError(number, os.strerror(number))
        self._unsent.clear()
        owner = self.owner
        if owner is not None:
            owner.on_readable()
        if self.owner is not None and self._wants_room:
            self._wants_room = False
            owner = self.owner
            owner.on_writable()

    def _break_off(self) -> None:
        self.is_closed = True
        self.owner = None
        self._ends = self._has_sent_end = True
        self._unsent.clear()
        self._received.clear()

    def _push(self) -> None:
        """Send what the receiver has room for."""
        unsent, link = self._unsent, self._link
        while unsent:
            room = link.conditions.receive_buffer - self.peer._unread - self._flying_size
            if room <= 0:
                return
            data = unsent[0]
            number = self._segments
            size = link.first_part(self._stream, number, min(len(data), room))
            if size == len(data):
                unsent.popleft()
                self._fly(data, number)
            else:
                unsent[0] = data[size:]
                self._fly(data[:size], number)
                self._pause = link.split_pause(self._stream, number)
        if self._ends and not self._has_sent_end:
            self._has_sent_end = True
            self._fly(b"", self._segments, ends=True)

    def _fly(self, data: bytes, number: int, *, ends: bool = False) -> None:
        self._segments = number + 1
        now = self._loop.exact_time()
        link = self._link
        self.used = now
        self._flying_size += len(data)
        pause, self._pause = self._pause, 0.0
        jitter = link.jitter(self._stream, number)
        if self._stuck is not None or not link.is_up or self._is_silenced or math.isinf(jitter):
            self._hold(data, ends)
            return
        begins = now if now > self._leaves_at else self._leaves_at
        self._leaves_at = leaves = begins + link.transmission(len(data))
        self._launch(data, leaves + link.seconds(self._latency) + jitter + pause, ends)

    def _launch(self, data: bytes, arrives: float, ends: bool) -> None:
        if arrives <= self._arrives_at and self._flying:
            # It waits for an earlier segment, with which the receiver's program gets it.
            last = self._flying[-1]
            last.parts.append(data)
            last.size += len(data)
            last.ends = ends
            return
        self._arrives_at = arrives
        self._flying.append(_Segment(data, ends=ends))
        self._at(arrives, self._arrive)

    def _hold(self, data: bytes, ends: bool) -> None:
        """Keep a segment that does not get through, and those after it; TCP gives up after `GIVES_UP_AFTER` seconds."""
        if self._stuck is not None:
            self._stuck.append((data, ends))
            return
        self._stuck = stuck = [(data, ends)]
        sent = self._loop.exact_time()
        self._after(GIVES_UP_AFTER, self._give_up, stuck)
        if not self._is_silenced and not self._link.is_up:
            self._link.when_up(lambda: self._at(next_attempt(sent, self._loop.exact_time()), self._resend, stuck))

    def _resend(self, stuck: list[tuple[bytes, bool]]) -> None:
        if self._stuck is not stuck or self._is_silenced or self.error is not None:
            return
        if not self._link.is_up:
            sent = self._loop.exact_time()
            self._link.when_up(lambda: self._at(next_attempt(sent, self._loop.exact_time()), self._resend, stuck))
            return
        self._stuck = None
        arrives = self._loop.exact_time() + self.one_way
        for data, ends in stuck:
            arrives += self._link.transmission(len(data))
            self._launch(data, max(arrives, self._arrives_at), ends)

    def _give_up(self, stuck: list[tuple[bytes, bool]]) -> None:
        if self._stuck is stuck:
            self.fail(errno.ETIMEDOUT)

    def _arrive(self) -> None:
        segment, peer = self._flying.popleft(), self.peer
        self._flying_size -= segment.size
        back = peer.one_way
        if peer.is_closed:
            if segment.size and peer._link.is_up and not peer._is_silenced:
                self._after(back, self.on_reset)
            return
        if segment.size:
            self._acknowledged.append((self._loop.exact_time() + back, segment.size))
            if self._wants_room:
                self._after(back, self._on_acknowledged)
        peer._take(segment)

    def _take(self, segment: _Segment) -> None:
        if self.error is not None:
            return
        if segment.size:
            self._received.extend(segment.parts)
            self._unread += segment.size
        self._has_end = self._has_end or segment.ends
        if self.owner is not None:
            self.owner.on_readable()

    def _want_room(self) -> None:
        if not self._wants_room:
            self._wants_room = True
            if self._acknowledged:
                self._at(self._acknowledged[0][0], self._on_acknowledged)

    def _on_acknowledged(self) -> None:
        if self._wants_room and self.owner is not None:
            self._wants_room = False
            self.owner.on_writable()

    def _report_window(self) -> None:
        self._window_reported = False
        if self.peer.error is None:
            self.peer._push()

    def _after(self, seconds: float, act: Callable[..., object], *args: object) -> None:
        self._at(self._loop.exact_time() + seconds, act, *args)

    def _at(self, when: float, act: Callable[..., object], *args: object) -> None:
        self._loop.call_at(when, act, *args, context=self._kernel)
