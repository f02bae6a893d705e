"""Programs that talk over the virtual network meet what TCP does to bytes, and nothing else."""

import asyncio
import errno
import socket
from contextlib import asynccontextmanager

import pytest

from netra_sim.simulation.hosts.links import LineConditions
from tests.simulation.hosts.helpers import add_hosts, echo, on, run_on_hosts


@asynccontextmanager
async def connection(name, port, **options):
    reader, writer = await asyncio.open_connection(name, port, **options)
    try:
        yield reader, writer
    finally:
        writer.close()


def test_a_server_and_a_client_on_two_hosts_talk_over_streams():
    async def main():
        server, client = add_hosts("server", "client")
        await on(server, asyncio.start_server(echo, "0.0.0.0", 80))

        async def talk():
            async with connection("server", 80) as (reader, writer):
                writer.write(b"hello")
                writer.write_eof()
                return await reader.read(), writer.get_extra_info("peername"), writer.get_extra_info("sockname")[0]

        assert await on(client, talk()) == (b"hello", (server.address, 80), client.address)

    run_on_hosts(main)


def test_connecting_where_nothing_listens_is_refused_and_to_an_unknown_name_fails():
    async def main():
        add_hosts("server")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("server", 81)
        with pytest.raises(socket.gaierror, match="no host 'elsewhere'"):
            await asyncio.open_connection("elsewhere", 80)

    run_on_hosts(main)


def test_connecting_to_a_host_without_power_fails_after_two_minutes():
    async def main():
        loop = asyncio.get_running_loop()
        (server,) = add_hosts("server")
        loop.power_off(server)
        with pytest.raises(TimeoutError) as raised:
            await asyncio.open_connection("server", 80)
        assert raised.value.errno == errno.ETIMEDOUT
        assert loop.time() == pytest.approx(127, abs=1)

    run_on_hosts(main)


def test_a_reader_who_stops_reading_makes_the_writer_wait():
    conditions = LineConditions(send_buffer=10_000, receive_buffer=10_000)

    async def main():
        server, client = add_hosts("server", "client")
        sent = 0

        async def flood(reader, writer):
            nonlocal sent
            while True:
                writer.write(bytes(1000))
                await writer.drain()
                sent += 1000

        await on(server, asyncio.start_server(flood, "0.0.0.0", 80))

        async def stop_reading():
            async with connection("server", 80, limit=1000) as (_reader, _writer):
                await asyncio.sleep(100)
                return sent

        # The reader's buffer, those of both operating systems, and the high-water mark of the writer's transport.
        assert 20_000 <= await on(client, stop_reading()) <= 20_000 + 64 * 1024 + 10_000

    run_on_hosts(main, inside=conditions)


@pytest.mark.parametrize("seed", range(3))
def test_bytes_arrive_complete_and_in_order_over_a_line_that_loses_and_splits(seed):
    conditions = LineConditions(loss=0.2, split=0.5, bandwidth=100_000)

    async def main():
        server, client = add_hosts("server", "client")
        await on(server, asyncio.start_server(echo, "0.0.0.0", 80))
        message = bytes(range(256)) * 100

        async def talk():
            async with connection("server", 80) as (reader, writer):
                for start in range(0, len(message), 100):
                    writer.write(message[start : start + 100])
                writer.write_eof()
                return await reader.read()

        assert await on(client, talk()) == message

    run_on_hosts(main, seed, inside=conditions)


def test_bytes_wait_for_those_sent_before_them_and_arrive_with_them():
    async def main():
        loop = asyncio.get_running_loop()
        server, client = add_hosts("server", "client")
        got = []

        class Notes(asyncio.Protocol):
            def data_received(self, data):
                got.append((round(loop.time(), 3), data))

        await on(server, loop.create_server(Notes, "0.0.0.0", 80))
        transport, _ = await on(client, loop.create_connection(asyncio.Protocol, "server", 80))
        begin, link = loop.time(), loop.network.link(client, server)
        for delay, data in ((1.0, b"slow "), (0.0, b"fast")):
            link.delay = delay
            transport.write(data)
        await asyncio.sleep(2)
        assert got == [(pytest.approx(begin + 1, abs=0.01), b"slow fast")]
        transport.close()

    run_on_hosts(main)
