"""The HTTP of stand-in services: framing, keep-alive, and what is no HTTP."""

import asyncio

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire import answer, connection, cut, exchange, request

from netra_sim.distributions import Constant
from netra_sim.runtime import new_event_loop
from netra_sim.services import Echo, serving

AT_ONCE = Echo(delay=Constant(0.0))


def run(coroutine):
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(coroutine)


@given(
    body=st.binary(max_size=60).map(lambda data: data.hex().encode()),
    chunks=st.none() | st.lists(st.integers(0, 120), max_size=5),
    places=st.lists(st.integers(0, 400), max_size=8),
)
def test_a_request_gives_the_same_answer_wherever_it_is_split(body, chunks, places):
    async def ask():
        async with serving(AT_ONCE) as echo:
            return await exchange(echo.port, *cut(request("POST", "/tool?x=1", body, chunks=chunks), places))

    status, told = answer(run(ask()))
    assert status == 200
    assert (told["method"], told["target"], told["body"]) == ("POST", "/tool?x=1", body.decode())


@given(garbage=st.binary(min_size=1, max_size=200))
def test_what_is_no_request_is_refused_and_harms_no_other_client(garbage):
    async def ask():
        async with serving(AT_ONCE) as echo, connection(echo.port) as (reader, writer):
            writer.write(request("GET", "/before", close=False))
            await reader.readuntil(b"\r\n\r\n")
            refusal = await exchange(echo.port, garbage, b"\r\n\r\n")
            return refusal, await exchange(echo.port, request("GET", "/after"))

    refusal, after = run(ask())
    assert not refusal or 400 <= int(refusal.split()[1]) <= 501
    assert answer(after)[1]["target"] == "/after"


@pytest.mark.real_time
async def test_a_malformed_request_is_answered_with_400():
    async with serving(AT_ONCE) as echo:
        refusal = await exchange(echo.port, b"GET /no version\r\n\r\n")
    assert refusal.startswith(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.real_time
async def test_a_body_beyond_the_limit_is_refused():
    async with serving(AT_ONCE) as echo:
        head = b"POST / HTTP/1.1\r\nhost: service\r\ncontent-length: 20000000\r\n\r\n"
        refusal = await exchange(echo.port, head, b"x" * (16 * 1024 * 1024 + 1))
    assert refusal.startswith(b"HTTP/1.1 413 ")


@pytest.mark.real_time
async def test_a_connection_carries_several_requests_also_when_they_come_together():
    async with serving(AT_ONCE) as echo:
        pieces = [request("POST", f"/{number}", b"x", close=number == 2) for number in range(3)]
        answers = await exchange(echo.port, b"".join(pieces))
    assert answers.count(b"HTTP/1.1 200 OK") == 3
    assert [answers.index(b'"/%d"' % number) for number in range(3)] == sorted(
        answers.index(b'"/%d"' % number) for number in range(3)
    )


@pytest.mark.real_time
async def test_a_client_that_asks_to_continue_is_told_so():
    async with serving(AT_ONCE) as echo, connection(echo.port) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nhost: service\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(b"ok")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


@pytest.mark.real_time
async def test_the_echo_tells_httpx_what_it_sent():
    async with serving(AT_ONCE) as echo, httpx.AsyncClient(base_url=f"http://127.0.0.1:{echo.port}") as client:
        told = (await client.put("/a/b?c=d", content=b"body", headers={"x-user": "ann"})).json()
    assert (told["method"], told["target"], told["body"]) == ("PUT", "/a/b?c=d", "body")
    assert ["x-user", "ann"] in told["headers"]
