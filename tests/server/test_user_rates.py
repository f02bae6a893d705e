"""The rates of one user's messages and connections, over all sockets, in virtual time."""

import asyncio

from carriers import memory

from netra_sim.server import ServerLimits
from netra_sim.server.limits import UserRates


async def pings(clients, number):
    """Send ``number`` pings on each client; return how many were answered, and how many were refused."""
    heard = []
    for client in clients:
        for _ in range(number):
            await client.say({"type": "ping"})
    for client in clients:
        heard += [(await client.hear("pong", "refused"))["type"] for _ in range(number)]
    return heard.count("pong"), heard.count("refused")


async def test_all_sockets_of_a_user_share_one_rate_and_each_user_has_one():
    async with memory(limits=ServerLimits(errors_in_a_row=1_000)) as place:
        tabs = [await place.connect("mallory") for _ in range(4)]
        bob = await place.connect("bob")
        for client in (*tabs, bob):
            await client.resume()
        answered, refused = await pings(tabs, 25)
        assert 40 <= answered <= 42
        assert answered + refused == 100
        assert await pings([bob], 30) == (30, 0)
        await asyncio.sleep(10.0)
        assert (await pings(tabs, 10))[0] == 40  # the bucket is full again


async def test_a_new_connection_does_not_refill_the_users_bucket():
    async with memory(limits=ServerLimits(errors_in_a_row=1_000)) as place:
        first = await place.connect("mallory")
        await first.resume()
        assert (await pings([first], 60))[0] <= 42
        await first.leave()
        second = await place.connect("mallory")
        await second.resume()
        assert (await pings([second], 20))[0] <= 2


async def test_a_user_who_connects_too_often_waits_a_second_and_must_try_later():
    loop = asyncio.get_running_loop()
    async with memory(limits=ServerLimits(arrival_burst=5)) as place:
        for _ in range(5):
            client = await place.connect("mallory")
            await client.resume()
            await client.leave()
        began = loop.time()
        turned_away = await place.connect("mallory")
        bob = await place.connect("bob")
        await bob.resume()
        assert loop.time() - began < 0.1
        assert await turned_away.closed() == 1013
        assert 0.9 < loop.time() - began < 1.2
        await asyncio.sleep(3.0)
        again = await place.connect("mallory")
        await again.resume()


async def test_full_buckets_are_dropped():
    rates = UserRates(rate=1.0, burst=2)
    for number in range(1_000):
        assert rates.of(f"user-{number}").take()
    await asyncio.sleep(5.0)
    assert rates.of("one-more").take()
    assert len(rates._buckets) == 1
