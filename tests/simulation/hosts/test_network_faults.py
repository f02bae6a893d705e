"""What programs notice of lines and hosts that fail."""

import asyncio
import errno
import signal
import socket

import pytest

from netra_sim.simulation.hosts.links import LineConditions
from tests.simulation.hosts.helpers import add_hosts, echo, on, run_on_hosts, start_echo, start_on

GIVES_UP = 924.6
"""Seconds after which Linux gives up a connection without an acknowledgement (``tcp_retries2``)."""


def now():
    return asyncio.get_running_loop().time()


def both_ways(client, server):
    network = asyncio.get_running_loop().network
    return network.link(client, server), network.link(server, client)


@pytest.mark.parametrize(("cut_for", "arrives_at"), [(0.1, 0.2), (0.5, 0.6), (10, 12.6), (60, 102.2)])
def test_what_is_sent_during_a_partition_arrives_with_the_first_retransmission_after_it(cut_for, arrives_at):
    async def main():
        server, client = add_hosts("server", "client")
        await start_echo(server)

        async def talk():
            reader, writer = await asyncio.open_connection("server", 80)
            await asyncio.sleep(1)
            network, begin = asyncio.get_running_loop().network, now()
            network.isolate(server)
            asyncio.get_running_loop().call_later(cut_for, network.rejoin, server)
            writer.write(b"hello ")
            await asyncio.sleep(0.05)
            writer.write(b"again")
            assert await reader.readexactly(11) == b"hello again"
            assert now() - begin == pytest.approx(arrives_at, abs=0.01)
            writer.close()

        await on(client, talk())

    run_on_hosts(main)


def test_a_host_that_joins_during_a_partition_is_cut_off_too_and_comes_back_with_the_others():
    async def main():
        network = asyncio.get_running_loop().network
        server, early = add_hosts("server", "early")
        await start_echo(server)
        network.isolate(server)
        (late,) = add_hosts("late")

        async def talk():
            _, writer = await asyncio.open_connection("server", 80)
            writer.close()
            return now()

        talks = [start_on(host, talk()) for host in (early, late)]
        await asyncio.sleep(10)
        network.rejoin(server)
        assert await asyncio.gather(*talks) == [pytest.approx(15, abs=0.01)] * 2

    run_on_hosts(main)


def test_a_line_that_is_cut_in_one_direction_delivers_and_times_out():
    async def main():
        server, client = add_hosts("server", "client")
        got = []

        async def serve(reader, writer):
            got.append(await reader.read(100))
            writer.write(b"answer")
            with pytest.raises(TimeoutError):
                await reader.read(100)

        serving = await on(server, asyncio.start_server(serve, "0.0.0.0", 80))

        async def talk():
            reader, writer = await asyncio.open_connection("server", 80)
            both_ways(client, server)[1].cut()
            begin = now()
            writer.write(b"hello")
            with pytest.raises(TimeoutError) as raised:
                await reader.read()
            assert raised.value.errno == errno.ETIMEDOUT
            assert now() - begin == pytest.approx(GIVES_UP, abs=0.1)
            assert got == [b"hello"]

        await on(client, talk())
        await asyncio.sleep(1000)
        assert not server.process.endpoints
        assert not client.process.endpoints
        serving.close()

    run_on_hosts(main)


def test_a_one_way_cut_that_heals_costs_time_only():
    async def main():
        server, client = add_hosts("server", "client")
        await start_echo(server)

        async def talk():
            reader, writer = await asyncio.open_connection("server", 80)
            back = both_ways(client, server)[1]
            for _ in range(3):  # three times as long as it may take once
                back.cut()
                writer.write(bytes(30_000))
                await asyncio.sleep(500)
                back.heal()
                assert len(await reader.readexactly(30_000)) == 30_000
            writer.close()

        await on(client, talk())

    run_on_hosts(main, inside=LineConditions(send_buffer=40_000))


def test_a_connect_whose_answer_is_cut_off_waits_for_a_retransmission():
    async def main():
        server, client = add_hosts("server", "client")
        await start_echo(server)
        back = both_ways(client, server)[1]
        back.cut()
        asyncio.get_running_loop().call_later(5, back.heal)

        async def talk():
            _, writer = await asyncio.open_connection("server", 80)
            writer.close()
            return now()

        assert await on(client, talk()) == pytest.approx(7, abs=0.01)
        await asyncio.sleep(1)
        assert not server.process.endpoints

    run_on_hosts(main)


def test_a_line_that_loses_everything_lets_nobody_connect():
    async def main():
        server, client = add_hosts("server", "client")
        await start_echo(server)
        with pytest.raises(TimeoutError):
            await on(client, asyncio.open_connection("server", 80))
        assert now() == pytest.approx(127)
        assert not client.process.endpoints

    run_on_hosts(main, inside=LineConditions(loss=1.0))


@pytest.mark.parametrize("ends_after", [30, None])
def test_a_line_that_begins_to_lose_everything_stalls_the_connection_until_it_ends_or_times_out(ends_after):
    async def main():
        server, client = add_hosts("server", "client")
        await start_echo(server)

        async def talk():
            reader, writer = await asyncio.open_connection("server", 80)
            there, _ = both_ways(client, server)
            there.loss = 1.0
            if ends_after:
                asyncio.get_running_loop().call_later(ends_after, setattr, there, "loss", 0.0)
            writer.write(b"hello")
            try:
                return await reader.read(5), now()
            except TimeoutError:
                return "timed out", now()
            finally:
                writer.close()

        expected = (
            (b"hello", pytest.approx(51, abs=0.1)) if ends_after else ("timed out", pytest.approx(GIVES_UP, abs=0.1))
        )
        assert await on(client, talk()) == expected

    run_on_hosts(main)


@pytest.mark.parametrize("idle_cut", ["reset", "silent"])
def test_a_proxy_cuts_a_connection_that_is_idle_and_no_other(idle_cut):
    async def main():
        server, client = add_hosts("server", "client")
        served = []

        async def serve(reader, writer):
            try:
                while data := await reader.read(100):
                    writer.write(data)
            except OSError as error:
                served.append((type(error), now()))

        await on(server, asyncio.start_server(serve, "0.0.0.0", 80))

        async def talk():
            reader, writer = await asyncio.open_connection("server", 80)
            for _ in range(5):
                await asyncio.sleep(59)
                writer.write(b"ping")
                assert await reader.read(100) == b"ping"
            if idle_cut == "silent":
                await asyncio.sleep(61)
                writer.write(b"ping")
            with pytest.raises((ConnectionResetError, TimeoutError)) as raised:
                await reader.read(100)
            return raised.type, now()

        idle_from = 5 * 59
        expected = {
            "reset": (ConnectionResetError, pytest.approx(idle_from + 60, abs=0.1)),
            "silent": (TimeoutError, pytest.approx(idle_from + 61 + GIVES_UP, abs=0.1)),
        }
        assert await on(client, talk()) == expected[idle_cut]
        assert served == ([expected["reset"]] if idle_cut == "reset" else [])

    run_on_hosts(main, inside=LineConditions(idle=60, idle_cut=idle_cut))


def test_a_stream_in_one_direction_keeps_a_connection_from_being_idle():
    async def main():
        server, client = add_hosts("server", "client")

        async def serve(_reader, writer):
            for _ in range(5):
                await asyncio.sleep(50)
                writer.write(b"tick")
            writer.close()

        await on(server, asyncio.start_server(serve, "0.0.0.0", 80))
        reader, writer = await on(client, asyncio.open_connection("server", 80))
        assert await reader.read() == b"tick" * 5
        writer.close()

    run_on_hosts(main, inside=LineConditions(idle=60))


@pytest.mark.parametrize("unread", [False, True])
def test_the_connections_of_a_killed_process_end_and_those_with_unread_bytes_are_reset(unread):
    async def main():
        loop = asyncio.get_running_loop()
        server, client = add_hosts("server", "client")
        cleaned = []

        async def serve(_reader, writer):
            writer.transport.pause_reading()
            try:
                await asyncio.sleep(1000)
            finally:
                cleaned.append(True)

        await on(server, asyncio.start_server(serve, "0.0.0.0", 80))

        async def talk():
            reader, writer = await asyncio.open_connection("server", 80)
            if unread:
                writer.write(b"nobody reads this")
            await asyncio.sleep(1)
            loop.kill(server)
            try:
                return await reader.read()
            except ConnectionResetError:
                return "reset"
            finally:
                writer.close()

        assert await on(client, talk()) == ("reset" if unread else b"")
        await asyncio.sleep(2000)
        assert not cleaned

    run_on_hosts(main)


def test_a_task_that_pauses_when_its_process_is_killed_never_goes_on():
    async def main():
        loop, ran = asyncio.get_running_loop(), []
        (server,) = add_hosts("server")

        async def work():
            await asyncio.sleep(1)
            ran.append(now())

        tasks = [start_on(server, work()) for _ in range(20)]
        await asyncio.sleep(1.005)
        killed = now()
        loop.kill(server)
        for _ in range(3_000):
            await asyncio.sleep(0)
        await asyncio.sleep(1)
        assert 0 < len(ran) < len(tasks)
        assert max(ran) <= killed

    run_on_hosts(main, order="pauses:1:50")


@pytest.mark.parametrize("comes_back", [False, True])
def test_a_host_without_power_is_silent_and_resets_old_connections_when_it_comes_back(comes_back):
    async def main():
        loop = asyncio.get_running_loop()
        server, client = add_hosts("server", "client")
        await start_echo(server)

        async def talk():
            reader, writer = await asyncio.open_connection("server", 80)
            writer.write(b"on its way when the power goes")
            loop.power_off(server)
            begin = now()
            if comes_back:
                loop.call_later(60, loop.network.power_on, server)
            with pytest.raises((ConnectionResetError, TimeoutError)) as raised:
                await reader.read()
            writer.close()
            return raised.type, now() - begin

        assert await on(client, talk()) == (
            (ConnectionResetError, pytest.approx(102.2, abs=0.1))
            if comes_back
            else (TimeoutError, pytest.approx(GIVES_UP, abs=0.1))
        )
        assert not client.process.endpoints

    run_on_hosts(main)


def test_a_reader_learns_with_the_end_of_its_own_stream_that_the_other_host_was_without_power():
    async def main():
        loop = asyncio.get_running_loop()
        server, client = add_hosts("server", "client")
        await start_echo(server)

        async def talk():
            reader, writer = await asyncio.open_connection("server", 80)
            await asyncio.sleep(1)
            loop.power_off(server)
            loop.network.power_on(server)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(), 5000)
            writer.write_eof()
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()

        await on(client, talk())

    run_on_hosts(main)


def test_a_writer_that_waits_for_a_full_reader_notices_that_its_host_lost_power():
    async def main():
        loop = asyncio.get_running_loop()
        server, client = add_hosts("server", "client")

        async def serve(_reader, writer):
            writer.transport.pause_reading()
            await asyncio.sleep(1e6)

        await on(server, asyncio.start_server(serve, "0.0.0.0", 80))

        async def talk():
            _, writer = await asyncio.open_connection("server", 80)
            writer.write(bytes(1_000_000))
            await asyncio.sleep(10)
            loop.power_off(server)
            with pytest.raises(TimeoutError):
                await writer.drain()
            return now()

        assert await on(client, talk()) == pytest.approx(10 + GIVES_UP, abs=1)

    run_on_hosts(main)


def test_a_first_packet_that_meets_a_host_without_power_is_not_answered():
    async def main():
        loop = asyncio.get_running_loop()
        server, client = add_hosts("server", "client")
        connecting = start_on(client, asyncio.open_connection("server", 80))
        await asyncio.sleep(0)
        loop.power_off(server)
        with pytest.raises(TimeoutError):
            await connecting
        assert now() == pytest.approx(127)

    run_on_hosts(main)


def test_a_client_reconnects_to_a_host_that_was_started_again():
    async def main():
        loop = asyncio.get_running_loop()
        server, client = add_hosts("server", "client")
        await start_echo(server)

        async def talk():
            answers = []
            for _ in range(3):
                reader, writer = await asyncio.open_connection("server", 80)
                writer.write(b"hello")
                answers.append(await reader.readexactly(5))
                before = server.process
                loop.kill(server)
                assert server.process is not before
                assert await reader.read() == b""
                with pytest.raises(ConnectionRefusedError):
                    await asyncio.open_connection("server", 80)
                await start_echo(server)
                writer.close()
            return answers

        assert await on(client, talk()) == [b"hello"] * 3

    run_on_hosts(main)


def test_a_signal_reaches_the_handler_of_the_process_and_of_no_other():
    async def main():
        loop = asyncio.get_running_loop()
        hosts = add_hosts("one", "two")
        caught = []

        async def wait(name):
            stop = asyncio.Event()
            loop.add_signal_handler(signal.SIGTERM, lambda: (caught.append(name), stop.set()))
            await stop.wait()
            return loop.remove_signal_handler(signal.SIGTERM), loop.remove_signal_handler(signal.SIGTERM)

        tasks = [start_on(host, wait(host.name)) for host in hosts]
        await asyncio.sleep(1)
        assert loop.send_signal(hosts[0].process, signal.SIGTERM)
        assert not loop.send_signal(hosts[0].process, signal.SIGINT)
        assert await tasks[0] == (True, False)
        assert caught == ["one"]
        assert not tasks[1].done()
        tasks[1].cancel()

    run_on_hosts(main)


@pytest.mark.parametrize("how", ["cancel", "kill"])
@pytest.mark.parametrize("step", range(14))
def test_a_connect_that_is_given_up_at_any_stage_leaves_nothing(how, step):
    async def main():
        loop = asyncio.get_running_loop()
        server, client = add_hosts("server", "client")
        opened = []

        async def serve(reader, writer):
            opened.append(1)
            await reader.read()
            writer.close()
            opened.append(-1)

        listening = await on(server, asyncio.start_server(serve, "0.0.0.0", 80))
        connecting = start_on(client, asyncio.open_connection("server", 80))
        process = client.process
        if step < 10:
            await asyncio.sleep(step * 0.0002)  # a round trip takes 0.001 seconds
        else:
            for _ in range(step - 9):
                await asyncio.sleep(0.0005 if step == 13 else 0)
        if how == "kill":
            loop.kill(client)
        elif connecting.cancel():
            with pytest.raises(asyncio.CancelledError):
                await connecting
        else:
            connecting.result()[1].close()
        await asyncio.sleep(10)
        assert not process.endpoints
        assert not server.process.endpoints
        assert sum(opened) == 0
        assert opened == [] or step >= 5  # the server did not see what was given up before its answer came
        listening.close()

    run_on_hosts(main)


@pytest.mark.parametrize("step", range(8))
def test_a_connect_that_is_cancelled_just_as_it_succeeds_leaves_nothing(step):
    async def main():
        loop = asyncio.get_running_loop()
        server, client = add_hosts("server", "client")
        listening = await start_echo(server)
        connecting = start_on(client, asyncio.open_connection("server", 80))

        def cancel_soon(steps):
            if steps:
                loop.call_soon(cancel_soon, steps - 1)
            else:
                connecting.cancel()

        loop.call_at(0.001, cancel_soon, step)  # the second packet arrives at this instant
        await asyncio.wait([connecting])
        if not connecting.cancelled():
            connecting.result()[1].close()
        await asyncio.sleep(10)
        assert not client.process.endpoints
        assert not server.process.endpoints
        listening.close()

    run_on_hosts(main)


def test_a_socket_that_connects_and_is_not_used_is_closed_with_its_last_reference():
    async def main():
        loop = asyncio.get_running_loop()
        server, client = add_hosts("server", "client")
        await start_echo(server)

        async def talk():
            with socket.socket() as sock:
                sock.setblocking(False)
                await loop.sock_connect(sock, ("server", 80))
            assert len(client.process.endpoints) == 1

        await on(client, talk())
        await asyncio.sleep(1)
        assert not client.process.endpoints
        assert not server.process.endpoints

    run_on_hosts(main)


def test_a_server_listens_on_addresses_of_its_own_host_only():
    async def main():
        server, other = add_hosts("server", "other")
        for address in ("127.0.0.1", "localhost", server.address, "server", None, "0.0.0.0"):
            listening = await on(server, asyncio.start_server(echo, address, 0))
            assert listening.sockets[0].getsockname()[1] > 1024
            listening.close()
        with pytest.raises(OSError, match="bind on address") as raised:
            await on(server, asyncio.start_server(echo, other.address, 80))
        assert raised.value.errno == errno.EADDRNOTAVAIL

    run_on_hosts(main)
