"""Back ends with unmodified libraries on virtual hosts, each with 20 clients on hosts of their own.

Run as a program, it prints a hash of what the clients saw, for each back end.
"""

import asyncio
import hashlib
import sys
from contextlib import asynccontextmanager

import aiohttp
import httpx
import openai
import redis.asyncio
import uvicorn
import websockets
from aiohttp import web
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute

from tests.simulation.hosts.helpers import add_hosts, echo, on, run_on_hosts, start_on

CLIENTS = 20
SECONDS = 0.05
"""Between two pieces of an answer."""


class Trace:
    """What the clients saw, and when."""

    def __init__(self):
        self.seen = []

    def see(self, client, what):
        self.seen.append((asyncio.get_running_loop().time(), client, what))

    def of(self, client):
        return [what for _, one, what in self.seen if one == client]


@asynccontextmanager
async def uvicorn_on(host, app, **options):
    server = uvicorn.Server(uvicorn.Config(app, "0.0.0.0", 80, log_config=None, **options))
    serving = start_on(host, server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield
    server.should_exit = True
    await serving


async def each_client(talk, trace):
    """Let every client talk, beginning a little after the one before."""

    async def later(number):
        await asyncio.sleep(number * 0.011)
        await talk(str(number), trace)

    hosts = add_hosts(*(f"user-{number}" for number in range(CLIENTS)))
    await asyncio.gather(*(start_on(host, later(number)) for number, host in enumerate(hosts)))
    return hosts


async def pieces(text):
    for number in range(5):
        await asyncio.sleep(SECONDS)
        yield f"{text}#{number};"


async def starlette_websocket(server, trace):
    async def chat(websocket):
        await websocket.accept()
        async for question in websocket.iter_text():
            async for piece in pieces(question):
                await websocket.send_text(piece)

    async def talk(name, trace):
        async with websockets.connect("ws://server/chat") as websocket:
            for turn in "ab":
                await websocket.send(name + turn)
                for _ in range(5):
                    trace.see(name, await websocket.recv())
                await asyncio.sleep(30)  # longer than the library's pings

    async with uvicorn_on(server, Starlette(routes=[WebSocketRoute("/chat", chat)])):
        return await each_client(talk, trace)


async def starlette_sse(server, trace):
    """Server-sent events with keep-alive; the server closes idle connections, which the client's pool notices."""

    async def answer(request):
        events = (f"data: {piece}\n\n" async for piece in pieces(request.query_params["q"]))
        return StreamingResponse(events, media_type="text/event-stream")

    async def talk(name, trace):
        async with httpx.AsyncClient(verify=False, base_url="http://server") as http:
            for turn, wait in (("a", 1), ("b", 6), ("c", 0)):
                async with http.stream("GET", "/answer", params={"q": name + turn}) as response:
                    async for line in response.aiter_lines():
                        if line:
                            trace.see(name, line.removeprefix("data: "))
                    port = response.extensions["network_stream"].get_extra_info("client_addr")[1]
                    trace.see(name, port)
                await asyncio.sleep(wait)

    async with uvicorn_on(server, Starlette(routes=[Route("/answer", answer)]), timeout_keep_alive=5):
        return await each_client(talk, trace)


async def aiohttp_chat(server, trace):
    async def chat(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            async for piece in pieces(message.data):
                await socket.send_str(piece)
        return socket

    async def serve():
        app = web.Application()
        app.add_routes([web.get("/chat", chat)])
        runner = web.AppRunner(app, handle_signals=False)
        await runner.setup()
        await web.TCPSite(runner, "0.0.0.0", 80).start()
        return runner

    async def talk(name, trace):
        async with aiohttp.ClientSession() as session, session.ws_connect("http://server/chat") as socket:
            for turn in "ab":
                await socket.send_str(name + turn)
                for _ in range(5):
                    trace.see(name, await socket.receive_str())

    runner = await on(server, serve())
    hosts = await each_client(talk, trace)
    await on(server, runner.cleanup())
    return hosts


async def openai_stream(server, trace):
    async def complete(request):
        question = (await request.json())["messages"][-1]["content"]

        async def events():
            async for piece in pieces(question):
                chunk = {"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]}
                yield f"data: {JSONResponse({'id': 'x', 'object': 'chat.completion.chunk', **chunk}).body.decode()}\n\n"
            yield "data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    async def talk(name, trace):
        async with httpx.AsyncClient(verify=False) as http:
            client = openai.AsyncOpenAI(api_key="none", base_url="http://server/v1", http_client=http)
            for turn in "ab":
                messages = [{"role": "user", "content": name + turn}]
                async for chunk in await client.chat.completions.create(model="m", messages=messages, stream=True):
                    trace.see(name, chunk.choices[0].delta.content)

    async with uvicorn_on(server, Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])):
        return await each_client(talk, trace)


async def redis_list(server, trace):
    """A server that knows RPUSH and BLPOP of one list for each name."""
    lists = {}

    async def serve(reader, writer):
        while header := await reader.readline():
            words = []
            for _ in range(int(header[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2])
            command, *arguments = words
            queue = lists.setdefault(arguments[0], asyncio.Queue()) if arguments else None
            if command == b"RPUSH":
                queue.put_nowait(arguments[1])
                writer.write(b":1\r\n")
            elif command == b"BLPOP":
                value = await queue.get()
                writer.write(b"*2\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(arguments[0]), arguments[0], len(value), value))
            else:
                writer.write(b"-ERR unknown command\r\n")
            await writer.drain()
        writer.close()

    async def talk(name, trace):
        async with redis.asyncio.Redis(host="server", port=6379, protocol=2, driver_info=None) as client:

            async def pops():
                for _ in range(10):
                    trace.see(name, (await client.blpop(name))[1].decode())

            popping = asyncio.ensure_future(pops())
            for turn in "ab":
                async for piece in pieces(name + turn):
                    await client.rpush(name, piece)
            await popping

    listening = await on(server, asyncio.start_server(serve, "0.0.0.0", 6379))
    hosts = await each_client(talk, trace)
    listening.close()
    return hosts


async def asyncio_streams(server, trace):
    async def talk(name, trace):
        reader, writer = await asyncio.open_connection("server", 7)
        for turn in "ab":
            async for piece in pieces(name + turn):
                writer.write(piece.encode())
                await writer.drain()
                trace.see(name, (await reader.readuntil(b";")).decode())
        writer.close()
        await writer.wait_closed()

    listening = await on(server, asyncio.start_server(echo, "0.0.0.0", 7))
    hosts = await each_client(talk, trace)
    listening.close()
    return hosts


BACKENDS = {
    backend.__name__: backend
    for backend in (starlette_websocket, starlette_sse, aiohttp_chat, openai_stream, redis_list, asyncio_streams)
}


def run_backend(name, seed=1, debug=False, **options):
    """Run a back end until all clients have left; returns the trace."""

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_debug(debug)
        (server,) = add_hosts("server")
        trace = Trace()
        hosts = await BACKENDS[name](server, trace)
        await asyncio.sleep(10)
        assert not any(host.process.endpoints for host in (server, *hosts))
        trace.see("the loop", loop.steps)
        return trace

    return run_on_hosts(main, seed, **options)


def fingerprint(trace):
    return hashlib.blake2b(repr(trace.seen).encode(), digest_size=8).hexdigest()


if __name__ == "__main__":
    for name in sys.argv[1:] or BACKENDS:
        print(name, fingerprint(run_backend(name)))
