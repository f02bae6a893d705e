"""Unmodified clients ask the stand-in services over the virtual network."""

import asyncio

import openai
import redis.asyncio

from netra_sim.distributions import Constant
from netra_sim.recording import marked_question
from netra_sim.runtime import run
from netra_sim.services import Model, Redis, serving
from netra_sim.simulation.hosts.network_loop import NetworkLoop


def simulated(settings, use, seed=1):
    """What the program on one host returns, that uses a service on another."""

    async def main():
        loop = asyncio.get_running_loop()
        server, client = (loop.network.add_host(name) for name in ("service", "client"))
        is_up, is_over = loop.create_future(), asyncio.Event()

        async def serve():
            async with serving(settings, "0.0.0.0", 80, seed=seed) as service:
                is_up.set_result(service)
                await is_over.wait()

        serves = loop.create_task_in(server.process, serve(), "service")
        service = await is_up
        try:
            return await loop.create_task_in(client.process, use(service), "client")
        finally:
            is_over.set()
            await serves

    return run(main(), loop_factory=lambda: NetworkLoop(seed=seed))


def test_times_to_live_and_waits_of_redis_pass_in_virtual_time():
    async def use(service):
        loop = asyncio.get_running_loop()
        async with redis.asyncio.Redis(host="service", port=80, decode_responses=True) as client:
            await client.set("key", "value", ex=3600)
            await asyncio.sleep(3590)
            assert await client.get("key") == "value"
            await asyncio.sleep(20)
            assert await client.get("key") is None
            before = loop.time()
            assert await client.blpop("queue", timeout=3) is None
            return loop.time() - before

    assert 3 < simulated(Redis(), use) < 3.1


def test_published_messages_arrive_in_the_same_order_each_time():
    async def use(service):
        arrived = []

        async def subscribe(number):
            reader, writer = await asyncio.open_connection("service", 80)
            writer.write(b"*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nc\r\n")
            await reader.readuntil(b":1\r\n")
            return number, reader, writer

        async def receive(number, reader, writer):
            await reader.readuntil(b"text\r\n")
            arrived.append(number)
            writer.close()

        subscribers = [await subscribe(number) for number in range(30)]
        receivers = [asyncio.create_task(receive(*one)) for one in subscribers]
        async with redis.asyncio.Redis(host="service", port=80) as client:
            await client.publish("c", "text")
        await asyncio.wait(receivers)
        return arrived

    assert len({tuple(simulated(Redis(), use)) for _ in range(5)}) == 1


def test_a_seed_determines_when_each_token_of_the_model_arrives():
    async def use(service):
        loop = asyncio.get_running_loop()

        async def ask(client, user):
            messages = [{"role": "user", "content": marked_question(user, "run")}]
            try:
                stream = await client.chat.completions.create(model="any", messages=messages, stream=True)
                return [loop.time() async for _ in stream]
            except openai.RateLimitError as error:
                return error.status_code

        async with openai.AsyncOpenAI(base_url="http://service/v1", api_key="any", max_retries=0) as client:
            return await asyncio.gather(*(ask(client, f"user-{number}") for number in range(5)))

    settings = Model(slots=2, queue=1)
    arrived = simulated(settings, use)
    assert arrived == simulated(settings, use)
    assert arrived != simulated(settings, use, seed=2)
    assert arrived.count(429) == 2, "two are answered, and one waits"


def test_a_model_that_is_ten_times_slower_takes_ten_times_as_long():
    async def use(service):
        loop = asyncio.get_running_loop()
        took = []
        async with openai.AsyncOpenAI(base_url="http://service/v1", api_key="any") as client:
            for slower in (1.0, 10.0):
                service.conditions.slower = slower
                before = loop.time()
                await client.responses.create(model="any", input="?")
                took.append(loop.time() - before)
        return took

    usual, slow = simulated(Model(first_token=Constant(1.0), per_token=Constant(0.1), tokens=11), use)
    assert 2 < usual < 2.1
    assert 20 < slow < 20.1
