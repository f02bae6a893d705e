"""The stand-in for Redis, asked by redis-py over real sockets."""

import asyncio
import contextlib

import pytest
import redis.asyncio
import redis.exceptions
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, ResponseError, WatchError
from wire import connection, cut, exchange

from netra_sim.distributions import Constant
from netra_sim.runtime import new_event_loop
from netra_sim.services import Redis, serving

real_time = pytest.mark.real_time


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def protocol(request):
    return request.param


def client_of(service, protocol=3):
    return redis.asyncio.Redis(
        port=service.port, host="127.0.0.1", protocol=protocol, decode_responses=True, retry=Retry(NoBackoff(), 0)
    )


def encoded(command):
    words = command.split()
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


@real_time
async def test_keys_hashes_lists_and_sorted_sets_hold_what_was_stored(protocol):
    async with serving(Redis()) as service, client_of(service, protocol) as client:
        assert await client.ping()
        assert await client.set("text", "a\r\nb")
        assert await client.get("text") == "a\r\nb"
        assert await client.get("none") is None
        await client.hset("hash", mapping={"x": "1", "y": "2"})
        assert await client.hgetall("hash") == {"x": "1", "y": "2"}
        await client.zadd("sorted", {"low": 1.5, "high": 2})
        assert [list(one) for one in await client.zrange("sorted", 0, -1, withscores=True)] == [
            ["low", 1.5],
            ["high", 2],
        ]
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            await client.lpush("text", "x")


@real_time
async def test_a_pipeline_is_a_transaction_that_a_watched_change_prevents(protocol):
    async with serving(Redis()) as service, client_of(service, protocol) as client:
        async with client.pipeline(transaction=True) as pipeline:
            assert await pipeline.incr("n").incr("n").get("n").execute() == [1, 2, "2"]
        async with client.pipeline() as pipeline:
            await pipeline.watch("n")
            await client.incr("n")
            pipeline.multi()
            pipeline.set("n", "lost")
            with pytest.raises(WatchError):
                await pipeline.execute()
        assert await client.get("n") == "3"


@real_time
async def test_published_messages_reach_channel_and_pattern_subscribers_in_order(protocol):
    async with serving(Redis()) as service, client_of(service, protocol) as client:
        async with client.pubsub(ignore_subscribe_messages=True) as one, client.pubsub() as all_of_them:
            await one.subscribe("room:1")
            await all_of_them.psubscribe("room:*")
            assert (await all_of_them.get_message(timeout=5))["type"] == "psubscribe"
            assert await one.get_message(timeout=5) is None  # subscribed by now
            for number in range(3):
                assert await client.publish("room:1", str(number)) == 2
            assert [(await all_of_them.get_message(timeout=5))["data"] for _ in range(3)] == ["0", "1", "2"]
            assert [(await one.get_message(timeout=5))["data"] for _ in range(3)] == ["0", "1", "2"]
        assert await client.publish("room:1", "nobody") == 0


@real_time
async def test_nobody_receives_on_a_shard_channel_that_its_subscriber_has_left():
    async with serving(Redis()) as service, client_of(service) as client:
        async with connection(service.port) as (reader, writer):
            writer.write(encoded(b"SSUBSCRIBE channel"))
            await reader.readuntil(b":1\r\n")
            assert await client.execute_command("SPUBLISH", "channel", "text") == 1
        while len(await client.client_list()) > 1:
            pass
        assert await client.execute_command("SPUBLISH", "channel", "text") == 0


@real_time
async def test_messages_are_pushed_in_the_form_of_the_protocol(protocol):
    command = b"*2\r\n$5\r\nHELLO\r\n$1\r\n%d\r\n" % protocol
    async with serving(Redis()) as service, connection(service.port) as (reader, writer):
        writer.write(command + b"*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nc\r\n")
        got = await reader.readuntil(b"$1\r\nc\r\n:1\r\n")
    assert got.endswith(b"%b3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n" % {2: b"*", 3: b">"}[protocol])


@real_time
async def test_waiting_clients_are_served_in_the_order_in_which_they_came():
    async with serving(Redis()) as service, client_of(service) as client, contextlib.AsyncExitStack() as stack:
        waiting = [await stack.enter_async_context(connection(service.port)) for _ in range(8)]
        for reader, writer in waiting:
            writer.write(encoded(b"PING") + encoded(b"BLPOP queue 0"))
            assert await reader.readline() == b"+PONG\r\n"
        for number, (reader, _) in enumerate(waiting):
            await client.rpush("queue", number)
            assert await reader.readexactly(22) == b"*2\r\n$5\r\nqueue\r\n$1\r\n%d\r\n" % number


@real_time
async def test_commands_that_wait_end_with_what_they_waited_for_or_with_their_time(protocol):
    async with serving(Redis()) as service, client_of(service, protocol) as client:
        entry = asyncio.create_task(client.xread({"stream": "$"}, block=30_000))
        while not entry.done():
            await client.xadd("stream", {"field": "value"})
        assert "value" in str(await entry)
        assert await client.blpop("queue", timeout=0.001) is None


@real_time
async def test_a_client_that_leaves_while_it_waits_takes_nothing():
    async with serving(Redis()) as service, client_of(service) as client:
        async with connection(service.port) as (reader, writer):
            writer.write(
                b"*1\r\n$4\r\nPING\r\n*3\r\n$5\r\nBLPOP\r\n$5\r\nqueue\r\n$1\r\n0\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n"
            )
            await reader.readuntil(b"+PONG\r\n")
        while len(await client.client_list()) > 1:
            pass
        await client.rpush("queue", "kept")
        assert await client.lrange("queue", 0, -1) == ["kept"]
        assert await client.get("n") is None


class MovableClock(asyncio.SelectorEventLoop):
    moved = 0.0

    def time(self):
        return super().time() + self.moved


def test_times_to_live_follow_the_clock_of_the_loop():
    async def main():
        loop = asyncio.get_running_loop()
        async with serving(Redis()) as service, client_of(service) as client:
            await client.set("key", "value", ex=3600)
            loop.moved += 3500
            assert 0 < await client.ttl("key") <= 100
            loop.moved += 101
            assert await client.get("key") is None

    with asyncio.Runner(loop_factory=MovableClock) as runner:
        runner.run(main())


COMMANDS = [
    b"SET key value",
    b"GET key",
    b"INCR n",
    b"LPUSH list a b c",
    b"LRANGE list 0 -1",
    b"HELLO 3",
    b"HGETALL none",
]


def run(coroutine):
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(coroutine)


@given(commands=st.lists(st.sampled_from(COMMANDS), max_size=6), places=st.lists(st.integers(0, 400), max_size=8))
def test_commands_get_the_same_replies_wherever_they_are_split(commands, places):
    data = b"".join(map(encoded, [*commands, b"ECHO end"])) + b"no RESP\r\n"  # ends the connection

    async def ask(pieces):
        async with serving(Redis()) as service:
            return await exchange(service.port, *pieces)

    whole = run(ask([data]))
    assert b"$3\r\nend\r\n-ERR Protocol error" in whole
    assert run(ask(cut(data, places))) == whole


@given(garbage=st.binary(min_size=1, max_size=100))
def test_what_is_no_command_harms_no_other_client(garbage):
    async def ask():
        async with serving(Redis()) as service, client_of(service) as client:
            await client.set("key", "value")
            async with connection(service.port) as (_, writer):
                writer.write(garbage + b"\r\nno RESP\r\n")
                await asyncio.sleep(0)
                return await client.get("key")

    assert run(ask()) == "value"


@real_time
async def test_failed_commands_change_nothing_and_name_the_planted_secret():
    async with serving(Redis(secret="sk-planted")) as service, client_of(service) as client:
        await client.set("n", 1)
        service.conditions.error_share = 1.0
        with pytest.raises(BusyLoadingError, match="sk-planted"):
            await client.incr("n")
        service.conditions.error_share = 0.0
        assert await client.get("n") == "1"


@real_time
async def test_a_cut_command_is_carried_out_without_a_reply_and_what_came_with_it_is_not():
    async with serving(Redis()) as service, client_of(service) as client:
        await client.set("n", 1)
        service.conditions.cut_share = 1.0
        with pytest.raises(redis.exceptions.ConnectionError):
            await client.pipeline(transaction=False).incr("n").incr("n").execute()
        service.conditions.cut_share = 0.0
        assert await client.get("n") == "2"


@real_time
async def test_a_service_that_is_down_resets_connections_and_keeps_its_data():
    async with serving(Redis()) as service, client_of(service) as client:
        await client.set("key", "value")
        service.conditions.down = True
        for _ in range(2):
            with pytest.raises(redis.exceptions.ConnectionError):
                await client.get("key")
        service.conditions.down = False
        assert await client.get("key") == "value"


@real_time
async def test_a_rate_limit_refuses_new_connections_only():
    async with serving(Redis()) as service, client_of(service) as old, client_of(service) as new:
        await old.ping()
        service.conditions.rate_limited = True
        assert await old.ping()
        with pytest.raises((redis.exceptions.ConnectionError, ResponseError), match="max number of clients"):
            await new.ping()


@real_time
async def test_commands_take_their_delay_and_a_slower_service_longer():
    async with serving(Redis(delay=Constant(3600.0))) as service, client_of(service) as client:
        service.conditions.slower = 1e-8
        assert await client.ping()


@real_time
async def test_a_client_that_is_killed_is_disconnected_and_info_counts_the_others():
    async with serving(Redis()) as service, client_of(service) as client, connection(service.port) as (reader, writer):
        writer.write(encoded(b"CLIENT ID"))
        number = int((await reader.readline())[1:])
        assert (await client.info())["connected_clients"] == 2
        await client.client_kill_filter(_id=number)
        assert await reader.read() == b""
        assert (await client.info("clients"))["connected_clients"] == 1
