"""One end of a TCP connection, as the operating system of its host keeps it."""

import errno
import os
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from netra_sim.randomness import key, uniform
from netra_sim.simulation.hosts.kernel_timer import KernelEvent, KernelTimer
from netra_sim.simulation.hosts.links import RETRANSMISSIONS, NetworkLink, retransmission_pause

if TYPE_CHECKING:
    from netra_sim.simulation.loop import VirtualTimeLoop

_DRAWS = 4
"""Draws that belong to each segment."""

READ_AT_ONCE = 256 * 1024
"""Bytes that a program gets from one read, at most, as in asyncio (``max_size`` in ``selector_events.py``)."""


class Owner(Protocol):
    """The program's side of an endpoint."""

    def on_readable(self) -> None:
        """There are bytes to read, the end of the stream, or an error."""

    def on_writable(self) -> None:
        """The operating system takes more bytes, or the next write raises an error."""

    def forget(self) -> None:
        """The program is dead, or the loop is closed: use the endpoint no more, and tell nobody."""


class _Segment(KernelEvent):
    """Bytes that arrive together, and whether the end of the stream follows them."""

    __slots__ = ("_sender", "ends", "parts", "size")

    def __init__(self, sender: "Endpoint", data: bytes, *, ends: bool) -> None:
        self._sender = sender
        self.parts = [data]
        self.size = len(data)
        self.ends = ends

    def _run(self) -> None:
        self._sender._arrive()


class OpenSockets(dict["Endpoint", None]):
    """The open sockets of one process.

    Attributes:
        is_stalled: whether the program reads from none of them.
    """

    is_stalled = False


class Endpoint:
    """What the operating system of one host keeps of a connection: buffers, what is on its way, and errors.

    Bytes are never lost, changed or reordered. They wait for bandwidth, for room at the receiver, and for lost segments
    before them, as in TCP. A segment that does not get through, or whose acknowledgement does not, is sent again after
    0.2, 0.4, 0.8 ... seconds, and after 924.6 seconds the connection fails. Not modelled: congestion control, fast
    retransmission, delayed acknowledgements, and single acknowledgements that are lost (the next one tells the same).

    Args:
        loop: the clock and the timers.
        address: the address and port of this end.
        link: the direction in which this end sends.
        stream: the key of all draws for what this end sends.

    Attributes:
        key: of all draws for what this end sends.
        peer: the other end.
        owner: the program's side; None before a program has the endpoint and after it has closed it.
        error: what reading and writing raise; None while all is well.
        is_closed: whether the program has closed it, or died.
        resets: whether closing it resets the connection (SO_LINGER with no time).
        used: when a segment last left, in seconds.
    """

    peer: "Endpoint"

    def __init__(self, loop: "VirtualTimeLoop", address: tuple[str, int], link: NetworkLink, stream: int) -> None:
        self.address = address
        self.owner: Owner | None = None
        self.error: OSError | None = None
        self.is_closed = False
        self.resets = False
        self.used = loop.exact_time()
        self._loop = loop
        self._link = link
        self.key = stream
        self._latency = link.conditions.latency.draw(uniform(key(stream, "latency")))
        self._send_buffer = link.conditions.send_buffer
        self._receive_buffer = link.conditions.receive_buffer  # of the other end
        self._open_sockets = OpenSockets()
        # Sending: bytes that wait for room at the receiver, segments on their way, and acknowledgements on their way.
        self._segments = 0
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
        # Sending again: segments that did not get through, and bytes whose acknowledgement did not.
        self._stuck: list[tuple[bytes, bool]] = []
        self._unheard = 0
        self._retries = 0
        self._retries_soon = False
        self._is_silenced = False
        # Receiving.
        self._received: deque[bytes] = deque()
        self._unread = 0
        self._has_end = False
        self._broke_off = False
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

    @property
    def is_stalled(self) -> bool:
        """Whether the program reads nothing now."""
        return self._open_sockets.is_stalled

    def open_in(self, sockets: "OpenSockets") -> None:
        """Be one of the open sockets of a process, until it is closed."""
        self._open_sockets = sockets
        sockets[self] = None

    def send(self, data: "bytes | memoryview") -> int:
        """Take bytes to send; returns how many. The owner is called when there is room for the rest.

        Raises:
            OSError: the connection is broken.
        """
        if self.error is not None:
            raise self.error
        if self._ends:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        now, acknowledged = self._loop._now, self._acknowledged
        while acknowledged and acknowledged[0][0] <= now:
            self._kept -= acknowledged.popleft()[1]
        size, free = len(data), self._send_buffer - self._kept
        if size > free:
            self._want_room()
            if not free:
                return 0
            data, size = data[:free], free
        self._kept += size
        self._unsent.append(bytes(data))
        self._push()
        return size

    def end(self) -> None:
        """Send the end of the stream after all bytes."""
        if not self._ends:
            self._ends = True
            self._push()

    def read(self, most: int = READ_AT_ONCE) -> bytes:
        """The bytes that have arrived, at most so many; b"" if there are none, and after the end of the stream.

        Raises:
            OSError: the connection is broken, and all that arrived before was read.
        """
        received = self._received
        if not received:
            if self.error is not None and not self._has_end:
                raise self.error
            return b""
        if self._unread <= most:
            data = received.popleft() if len(received) == 1 else b"".join(received)
            received.clear()
        else:
            whole = b"".join(received)
            data = whole[:most]
            received.clear()
            received.append(whole[most:])
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
        if self._received or self.resets or self.error is not None:
            self.reset()
        else:
            self._leave()
            self.end()

    def reset(self) -> None:
        """Give up the connection at once: what is not on its way is lost, and the other end gets ECONNRESET."""
        if self.is_closed:
            return
        self._break_off()
        if self.error is None and self._gets_through():
            arrives = max(self._arrives_at, self._loop.exact_time() + self.one_way)
            KernelTimer(self._loop, arrives, self.peer.on_reset)

    def vanish(self) -> None:
        """The host loses its power: nothing more is sent, not even a reset."""
        if not self._broke_off:
            self._break_off()

    def silence(self) -> None:
        """A box on the way has forgotten the connection, and drops whatever this end sends."""
        self._is_silenced = True

    def on_reset(self) -> None:
        """The other end, or a box on the way, resets the connection."""
        # Linux gives EPIPE to a program that may still write after the other end has closed.
        self.fail(errno.EPIPE if self._has_end and not self._ends else errno.ECONNRESET)

    def fail(self, number: int) -> None:
        """Break the connection at this end with an ``errno``; a second error changes nothing."""
        if self.error is not None:
            return
        self._unsent.clear()
        self._stuck.clear()
        self._has_sent_end = True
        if self.is_closed:
            return
        self.error = OSError(number, os.strerror(number))
        if self.owner is not None:
            self.owner.on_readable()
        if self.owner is not None and self._wants_room:
            self._wants_room = False
            self.owner.on_writable()

    def _leave(self) -> None:
        self.is_closed = True
        self.owner = None
        self._open_sockets.pop(self, None)

    def _break_off(self) -> None:
        self._leave()
        self._broke_off = self._ends = self._has_sent_end = True
        self._unsent.clear()
        self._stuck.clear()
        self._received.clear()
        self._unread = 0
        if self.peer._unsent:  # the other end probes whether there is room now (RFC 9293, section 3.8.6.1)
            self._after(retransmission_pause(0), self.peer._push)

    def _gets_through(self) -> bool:
        """Whether what this end sends is not cut off from the other end."""
        return self._link.is_up and not self._is_silenced

    def _push(self) -> None:
        """Send what the receiver has room for."""
        unsent, link, stream = self._unsent, self._link, self.key
        while unsent:
            room = self._receive_buffer - self.peer._unread - self._flying_size
            if room <= 0:
                return
            data = unsent[0]
            whole = len(data)
            draw = _DRAWS * self._segments
            size = link.first_part(stream, draw, whole if whole < room else room)
            if size == whole:
                unsent.popleft()
                self._fly(data, size)
            else:
                unsent[0] = data[size:]
                self._fly(data[:size], size)
                self._pause = link.split_pause(stream, draw + 1)
        if self._ends and not self._has_sent_end:
            self._has_sent_end = True
            self._fly(b"", 0, ends=True)

    def _fly(self, data: bytes, size: int, *, ends: bool = False) -> None:
        draw = _DRAWS * self._segments
        self._segments += 1
        link, now = self._link, self._loop._now
        self.used = now
        self._flying_size += size
        pause, self._pause = self._pause, 0.0
        if self._stuck or self._is_silenced or not link.passes(self.key, draw + 2):
            self._hold(data, ends)
            return
        begins = now if now > self._leaves_at else self._leaves_at
        self._leaves_at = leaves = begins + link.transmission(size)
        delay = link.seconds(self._latency) + link.jitter(self.key, draw + 3)
        self._launch(data, leaves + delay + pause, ends)

    def _launch(self, data: bytes, arrives: float, ends: bool) -> None:
        if arrives <= self._arrives_at and self._flying:
            # It waits for an earlier segment, with which the receiver's program gets it.
            last = self._flying[-1]
            last.parts.append(data)
            last.size += len(data)
            last.ends = ends
            return
        self._arrives_at = arrives
        segment = _Segment(self, data, ends=ends)
        self._flying.append(segment)
        segment.schedule(self._loop, arrives)

    def _hold(self, data: bytes, ends: bool) -> None:
        """Keep a segment that does not get through, and send it again later."""
        self._stuck.append((data, ends))
        self._retry_later()

    def _retry_later(self) -> None:
        if not self._retries_soon:
            self._retries_soon = True
            self._after(retransmission_pause(self._retries), self._retry)

    def _retry(self) -> None:
        self._retries_soon = False
        if not (self._stuck or self._unheard) or self.error is not None:
            return
        if self._retries == RETRANSMISSIONS:
            self.fail(errno.ETIMEDOUT)
            return
        self._retries += 1
        # A draw below zero belongs to no first transmission of a segment.
        draw = -(RETRANSMISSIONS + 1) * self._segments - self._retries
        if self._is_silenced or not self._link.passes(self.key, draw):
            self._retry_later()
        elif self._stuck:
            stuck, self._stuck = self._stuck, []
            arrives = self._loop.exact_time() + self.one_way
            for data, ends in stuck:
                arrives += self._link.transmission(len(data))
                self._launch(data, max(arrives, self._arrives_at), ends)
        else:
            self._after(self.one_way, self._acknowledge, 0)

    def _arrive(self) -> None:
        segment, peer = self._flying.popleft(), self.peer
        size = segment.size
        self._flying_size -= size
        if peer.is_closed:
            self._arrive_at_closed(segment)
            return
        if peer._unheard:
            peer._hear(0)  # every segment acknowledges what its sender has received
        if size:
            self._acknowledge(size)
        peer._take(segment)

    def _arrive_at_closed(self, segment: _Segment) -> None:
        """Get a reset, except for an end that answers an end; from a host without power there is no answer."""
        peer = self.peer
        if not segment.size and not peer._broke_off:
            return
        if peer._gets_through():
            self._after(peer.one_way, self.on_reset)
        else:
            self._flying_size += segment.size
            self._hold(b"".join(segment.parts), segment.ends)

    def _acknowledge(self, size: int) -> None:
        """The other end acknowledges so many bytes, and those whose acknowledgements did not get through."""
        peer = self.peer
        if not peer._gets_through() or peer._link.loss >= 1:
            self._unheard += size
            self._retry_later()
            return
        back = peer.one_way
        if peer._broke_off:
            self._after(back, self.on_reset)
            return
        self._hear(back, size)

    def _hear(self, after: float, size: int = 0) -> None:
        """Know in some seconds that so many bytes have arrived, and those whose acknowledgements were cut off."""
        self._acknowledged.append((self._loop.exact_time() + after, size + self._unheard))
        self._unheard = self._retries = 0
        if self._wants_room:
            self._after(after, self._make_room)

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
                KernelTimer(self._loop, self._acknowledged[0][0], self._make_room)

    def _make_room(self) -> None:
        if self._wants_room and self.owner is not None:
            self._wants_room = False
            self.owner.on_writable()

    def _report_window(self) -> None:
        self._window_reported = False
        self.peer._push()

    def _after(self, seconds: float, act: Callable[..., object], *args: object) -> None:
        KernelTimer(self._loop, self._loop.exact_time() + seconds, act, *args)
