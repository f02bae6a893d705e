"""One direction of the line between two hosts: what it does to the segments that travel over it."""

import math
from typing import Annotated, Literal

import msgspec

from netra_sim.distributions import Constant, Distribution, Positive
from netra_sim.randomness import uniform

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Bytes = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]

MAXIMUM_SEGMENT = 1_448
"""Bytes of data in a full TCP segment over Ethernet: 1,500 less 40 of headers and 12 of time stamps (RFC 9293, RFC 7323)."""

_SEGMENTS_TOGETHER = 8
"""Full segments that reach the receiver as one, at most; network cards join consecutive segments (Linux: GRO)."""

_FIRST_RETRANSMISSION = 0.2
_LAST_RETRANSMISSION = 120.0
"""Seconds before the first retransmission of a segment, and the most between two: TCP_RTO_MIN and TCP_RTO_MAX of Linux."""

RETRANSMISSIONS = 15
"""Retransmissions after which a connection fails: ``net.ipv4.tcp_retries2`` of Linux, 924.6 seconds in all."""

_SPLIT_PAUSE = 0.001
"""Seconds between the two parts of a split segment, at most."""


class LineConditions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a line does in one direction.

    Attributes:
        latency: seconds from one end to the other, drawn once for each connection.
        jitter: seconds added to each segment; the order of the bytes stays.
        bandwidth: bytes a second, for each connection.
        loss: the share of segments that are lost and sent again after 0.2, 0.4, 0.8 ... seconds, as TCP does.
        split: the share of writes of less than a full segment that arrive in two parts.
        send_buffer: bytes that the sender's operating system holds until they are acknowledged.
        receive_buffer: bytes that the receiver's operating system holds for a program that does not read.
        idle: seconds without a byte after which a proxy on the way forgets the connection; infinite for never.
        idle_cut: what the proxy does then: "reset" both ends, or go "silent" and drop all that comes.
    """

    latency: Distribution = Constant(0.0005)
    jitter: Distribution = Constant(0.0)
    bandwidth: Positive = 125_000_000.0
    loss: Share = 0.0
    split: Share = 0.02
    send_buffer: Bytes = 65_536
    receive_buffer: Bytes = 65_536
    idle: Annotated[float, msgspec.Meta(gt=0)] = math.inf
    idle_cut: Literal["reset", "silent"] = "reset"


class NetworkLink:
    """One direction between two hosts, which faults change while it is in use.

    Args:
        conditions: of the line.
        cuts: how often it is cut from the beginning.

    Attributes:
        conditions: of the line.
        slower: the factor of the latency.
        delay: seconds added to the latency.
        loss: the share of segments lost, instead of that of the conditions if it is higher.
        bandwidth: bytes a second, instead of that of the conditions if it is lower.
        is_up: whether anything passes. TCP keeps what does not pass, and sends it again later.
    """

    def __init__(self, conditions: LineConditions, cuts: int = 0) -> None:
        self.conditions = conditions
        self.slower = 1.0
        self.delay = 0.0
        self.loss = 0.0
        self.bandwidth = math.inf
        self._cuts = cuts
        self._bandwidth, self._loss, self._split = conditions.bandwidth, conditions.loss, conditions.split
        jitter = conditions.jitter
        self._fixed_jitter = jitter.draw(0.0) if isinstance(jitter, Constant) else None
        self.is_up = not cuts

    def cut(self) -> None:
        """Let nothing pass, until `heal` was called as often as this."""
        self._cuts += 1
        self.is_up = False

    def heal(self) -> None:
        """Take one `cut` back."""
        self._cuts = max(0, self._cuts - 1)
        self.is_up = not self._cuts

    def seconds(self, latency: float) -> float:
        """How long a connection with this latency now takes from one end to the other, without jitter."""
        return latency * self.slower + self.delay

    def transmission(self, size: int) -> float:
        """How long the first byte is on its way into the line before the last one follows, in seconds."""
        return size / (self.bandwidth if self.bandwidth < self._bandwidth else self._bandwidth)

    def passes(self, stream: int, draw: int) -> bool:
        """Whether a segment gets through that is sent now.

        Args:
            stream: the key of the draws of one direction of a connection.
            draw: the number of the draw.
        """
        loss = self.loss if self.loss > self._loss else self._loss
        return self.is_up and (not loss or uniform(stream, draw) >= loss)

    def jitter(self, stream: int, draw: int) -> float:
        """Seconds that a segment takes longer than the latency."""
        fixed = self._fixed_jitter
        return self.conditions.jitter.draw(uniform(stream, draw)) if fixed is None else fixed

    def first_part(self, stream: int, draw: int, size: int) -> int:
        """How many of so many bytes travel together as the next segment."""
        if size > MAXIMUM_SEGMENT:
            together = 1 + int(uniform(stream, draw) * _SEGMENTS_TOGETHER)
            return min(size, together * MAXIMUM_SEGMENT)
        split = self._split
        if not split or size == 1 or (chance := uniform(stream, draw)) >= split:
            return size
        return 1 + int(chance / split * (size - 1))

    def split_pause(self, stream: int, draw: int) -> float:
        """Seconds by which the rest of a split segment follows."""
        return (0.01 + 0.99 * uniform(stream, draw)) * _SPLIT_PAUSE


def retransmission_pause(attempt: int) -> float:
    """Seconds before the retransmission with this number, from 0 (RFC 6298: the pause doubles)."""
    return min(_FIRST_RETRANSMISSION * 2.0**attempt, _LAST_RETRANSMISSION)
