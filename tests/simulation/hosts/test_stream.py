"""What TCP promises holds on every line: all bytes, in order, then the end; the same for the same seed."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from netra_sim.distributions import Constant, Exponential
from netra_sim.simulation.hosts.links import LineConditions
from tests.simulation.hosts.helpers import add_hosts, on, run_on_hosts, start_on

seconds = st.sampled_from([0.0, 0.0003, 0.01, 1.0])
conditions = st.builds(
    LineConditions,
    latency=st.sampled_from([Constant(0.0), Constant(0.0005), Exponential(0.2)]),
    jitter=st.sampled_from([Constant(0.0), Constant(0.01), Exponential(0.05)]),
    bandwidth=st.sampled_from([1000.0, 1e6, 1e9]),
    loss=st.sampled_from([0.0, 0.05, 0.3]),
    split=st.sampled_from([0.0, 0.3, 1.0]),
    send_buffer=st.sampled_from([1, 20, 100, 65_536]),
    receive_buffer=st.sampled_from([1, 20, 100, 65_536]),
)


@dataclass
class Talk:
    """What one side does: it writes chunks with pauses between them, and stops reading now and then."""

    chunks: list[tuple[int, float]]
    reads_in_turns_of: tuple[float, float] | None
    buffered: int  # 0: a plain protocol; otherwise the size of its buffer


talks = st.builds(
    Talk,
    st.lists(st.tuples(st.integers(1, 300), seconds), max_size=6),
    st.sampled_from([None, (0.001, 0.02), (2.0, 0.02)]),
    st.sampled_from([0, 0, 1, 50]),
)
cuts = st.lists(st.tuples(seconds, seconds.filter(bool), st.booleans()), max_size=3)


def content(chunks, salt):
    return [bytes((salt + start + place) % 251 for place in range(size)) for start, (size, _) in enumerate(chunks)]


class Side(asyncio.Protocol):
    """Writes, reads, and notes when it is told what."""

    def __init__(self, name, talk, limit):
        self.chunks, self.talk, self.limit = content(talk.chunks, len(name)), talk, limit
        self.got, self.trace, self.written = bytearray(), [], 0
        loop = asyncio.get_running_loop()
        self.time, self.over = loop.time, loop.create_future()
        self.may_write = asyncio.Event()
        self.may_write.set()

    def note(self, *what):
        self.trace.append((self.time(), *what))

    def connection_made(self, transport):
        self.transport = transport
        self.note("made")
        self.tasks = [asyncio.ensure_future(self.write())]
        if self.talk.reads_in_turns_of:
            self.tasks.append(asyncio.ensure_future(self.stop_reading_now_and_then(*self.talk.reads_in_turns_of)))

    async def write(self):
        for data, (_, pause) in zip(self.chunks, self.talk.chunks, strict=True):
            await self.may_write.wait()
            self.written += len(data)
            self.transport.write(data)
            await asyncio.sleep(pause)
        self.transport.write_eof()

    async def stop_reading_now_and_then(self, stops, reads):
        while True:
            self.transport.pause_reading()
            await asyncio.sleep(stops)
            self.transport.resume_reading()
            await asyncio.sleep(reads)

    def pause_writing(self):
        self.may_write.clear()

    def resume_writing(self):
        self.may_write.set()

    def data_received(self, data):
        assert not self.over.done()
        self.got += data
        self.note("data", len(data))
        in_flight = self.peer.written - self.peer.transport.get_write_buffer_size() - len(self.got)
        assert 0 <= in_flight <= self.limit

    def eof_received(self):
        self.note("end")
        self.over.set_result(None)
        return True

    def connection_lost(self, error):
        self.note("lost", error)
        for task in self.tasks:
            task.cancel()


class BufferedSide(Side, asyncio.BufferedProtocol):
    def get_buffer(self, sizehint):
        self.buffer = bytearray(self.talk.buffered)
        return self.buffer

    def buffer_updated(self, nbytes):
        self.data_received(bytes(self.buffer[:nbytes]))


def conversation(seed, line, talks, cuts, others=0):
    """Two sides talk over a line that is cut now and then; returns the trace of both."""

    async def main():
        loop = asyncio.get_running_loop()
        server, client = add_hosts("server", "client", uplink=line)
        limit = line.send_buffer + line.receive_buffer
        sides = [
            (BufferedSide if talk.buffered else Side)(name, talk, limit) for name, talk in zip("ab", talks, strict=True)
        ]
        sides[0].peer, sides[1].peer = reversed(sides)
        served = iter([sides[0]])
        await on(server, loop.create_server(lambda: next(served), "0.0.0.0", 80))
        await on(server, loop.create_server(asyncio.Protocol, "0.0.0.0", 81))
        noise = [start_on(host, make_noise()) for host in add_hosts(*map(str, range(others)), uplink=line)]

        async def cut_now_and_then():
            for wait, length, there in cuts:
                await asyncio.sleep(wait)
                link = loop.network.link(client, server) if there else loop.network.link(server, client)
                link.cut()
                await asyncio.sleep(length)
                link.heal()

        cutting = asyncio.ensure_future(cut_now_and_then())
        await on(client, persistently(lambda: loop.create_connection(lambda: sides[1], "server", 80)))
        await asyncio.gather(cutting, *(side.over for side in sides))
        for side in sides:
            side.transport.close()
        await asyncio.sleep(10)
        await asyncio.gather(*noise)
        for side in sides:
            assert side.got == b"".join(side.peer.chunks)
            assert [call for _, call, *_ in side.trace if call != "data"] == ["made", "end", "lost"]
            assert side.trace[-1][2] is None
            assert side.trace[-2][1] == "end"
        assert not client.process.endpoints
        return [side.trace for side in sides]

    return run_on_hosts(main, seed, spin_limit=20_000, time_limit=100_000)


async def persistently(connect):
    """Connect in spite of a line that loses all first packets of an attempt."""
    while True:
        with suppress(TimeoutError):
            return await connect()


async def make_noise():
    _, writer = await persistently(lambda: asyncio.open_connection("server", 81))
    writer.write(bytes(200))
    await asyncio.sleep(0.01)
    writer.close()


@settings(max_examples=60)
@given(st.integers(0, 5), conditions, st.tuples(talks, talks), cuts)
def test_all_bytes_arrive_in_order_before_the_end_whatever_the_line_does(seed, line, talks, cuts):
    trace = conversation(seed, line, talks, cuts)
    assert conversation(seed, line, talks, cuts) == trace
    assert conversation(seed, line, talks, cuts, others=3) == trace
