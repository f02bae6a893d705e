"""Bytes to and from a stand-in service on a real socket, without a client that knows its protocol."""

import asyncio
import itertools
import json
from contextlib import asynccontextmanager


@asynccontextmanager
async def connection(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def exchange(port, *pieces):
    """What the service answers to pieces that it reads one by one, until it closes the connection."""
    async with connection(port) as (reader, writer):
        for piece in pieces:
            writer.write(piece)
            for _ in range(3):  # the loop hands the piece over before the next one leaves
                await asyncio.sleep(0)
        return await reader.read()


def cut(data, places):
    """The data in pieces that end at these places."""
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(ends)]


def request(method, target, body=b"", *, chunks=None, close=True):
    """An HTTP request; with `chunks` the body is sent in chunks of these sizes."""
    lines = [f"{method} {target} HTTP/1.1", "host: service"]
    if close:
        lines.append("connection: close")
    if chunks is None:
        lines.append(f"content-length: {len(body)}")
    else:
        lines.append("transfer-encoding: chunked")
        pieces = [piece for piece in cut(body, chunks) if piece]
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    return "\r\n".join([*lines, "", ""]).encode() + body


def answer(data):
    """The status and the JSON of one HTTP answer."""
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)
