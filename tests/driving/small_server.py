"""A small real server for load runs: answers every POST with server-sent events, and remembers how connections ended."""

import asyncio
import json
import time
from contextlib import asynccontextmanager

SSE = {
    "kind": "sse-json",
    "path": "/chat",
    "body": {"text": "{text}"},
    "type": "type",
    "content": "text",
    "end": {"path": "type", "values": ["done"]},
}


class SmallServer:
    """What to answer, and what has happened.

    Attributes:
        tokens: events of an answer.
        pause: seconds between two of them.
        padding: bytes that make each event longer.
        stalls: how long the whole process stops at the next requests, in seconds.
        redirect: the status 302 to this URL is the answer, if it is not empty.
        ends: how each connection ended: "eof" or the name of an error.
    """

    def __init__(self, tokens=3, pause=0.0, padding=0, stalls=(), redirect=""):
        self.tokens, self.pause, self.padding = tokens, pause, padding
        self.stalls = list(stalls)
        self.redirect = redirect
        self.ends = []
        self.url = ""

    async def serve(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    (int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0
                )
                await self.answer(writer, await reader.readexactly(length))
        except asyncio.IncompleteReadError:
            self.ends.append("eof")
        except OSError as error:
            self.ends.append(type(error).__name__)
        finally:
            writer.close()

    async def answer(self, writer, body):
        if self.stalls:
            time.sleep(self.stalls.pop())  # as a blocked event loop: nothing else goes on either
        if self.redirect:
            writer.write(f"HTTP/1.1 302 Found\r\nlocation: {self.redirect}\r\ncontent-length: 0\r\n\r\n".encode())
            return
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        text = json.loads(body)["text"]
        for number in range(self.tokens):
            await asyncio.sleep(self.pause)
            self.event(writer, {"type": "token", "text": f"#{number}; {text}", "padding": "x" * self.padding})
            await writer.drain()
        self.event(writer, {"type": "done"})
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    @staticmethod
    def event(writer, fields):
        data = b"data: %s\n\n" % json.dumps(fields).encode()
        writer.write(b"%x\r\n%s\r\n" % (len(data), data))


@asynccontextmanager
async def running(*, tls=None, **settings):
    """The server, on a free port of this machine; with a TLS context it speaks HTTPS."""
    one = SmallServer(**settings)
    async with await asyncio.start_server(one.serve, "127.0.0.1", 0, ssl=tls) as listening:
        one.url = f"{'https' if tls else 'http'}://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield one
        listening.close()
