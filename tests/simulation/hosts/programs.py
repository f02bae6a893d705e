"""Small programs that show what a protocol is told; they run on any event loop with TCP on 127.0.0.1."""

import asyncio
import gc
import socket
import struct
from collections import Counter
from copy import deepcopy

HERE = "127.0.0.1"
LARGE = 20_000_000
"""Bytes that fit into no buffer of an operating system."""


OPENED = []
"""The transports of recorders, for `observed` to close them."""


async def observed(program):
    """Run a program, and close what it leaves open; returns its outcome, and what the exception handler was told."""
    loop, servers, told = asyncio.get_running_loop(), [], []
    create_server = loop.create_server

    async def creating(*args, **options):
        servers.append(await create_server(*args, **options))
        return servers[-1]

    def handler(_loop, context):
        message = context["message"].partition(" in callback ")[0]  # the names of callbacks differ
        told.append((message, type(context.get("exception")).__name__))

    loop.create_server = creating
    loop.set_exception_handler(handler)
    try:
        return await program(), told
    finally:
        del loop.create_server
        for server in servers:
            server.close()
        for transport in OPENED:
            if not transport.is_closing():
                transport.abort()
        OPENED.clear()
        await settle()


class Recorder(asyncio.Protocol):
    """Notes in a log what the loop calls."""

    def __init__(self, name, keeps_open=False, raises=()):
        self.name = name
        self.log = []
        self.keeps_open = keeps_open
        self.raises = raises
        self.transport = None
        self._changed = asyncio.Event()

    def note(self, call, *details):
        if call == "data_received" and self.log and self.log[-1][0] == call:
            self.log[-1][1].extend(details[0])
        else:
            self.log.append((call, *(bytearray(one) if type(one) is bytes else one for one in details)))
        self._changed.set()
        if call in self.raises:
            raise ValueError(f"planted in {call}")

    async def saw(self, call, count=1):
        """Wait until it was called so often; for "data_received", until so many bytes have come."""
        while self.seen(call) < count:
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), 30)

    def seen(self, call):
        return sum(len(one[1]) if call == "data_received" else 1 for one in self.log if one[0] == call)

    def connection_made(self, transport):
        self.transport = transport
        OPENED.append(transport)
        self.note("connection_made")

    def data_received(self, data):
        self.note("data_received", data)

    def eof_received(self):
        self.note("eof_received")
        return self.keeps_open

    def connection_lost(self, error):
        self.note("connection_lost", type(error).__name__)

    def pause_writing(self):
        self.note("pause_writing")

    def resume_writing(self):
        self.note("resume_writing")


async def settle():
    """Give what should not happen the time to happen."""
    await asyncio.sleep(0.05)


async def connect(client=None, server=None, **options):
    """A server with one connection; returns the client's protocol, the server's, and the server."""
    client, server = client or Recorder("client"), server or Recorder("server")
    listening = await asyncio.get_running_loop().create_server(lambda: server, HERE, 0)
    await asyncio.get_running_loop().create_connection(lambda: client, *address(listening), **options)
    await server.saw("connection_made")
    return client, server, listening


def address(listening):
    return listening.sockets[0].getsockname()


def raised(function, *args):
    try:
        return function(*args)
    except Exception as error:
        return type(error).__name__, str(error)


async def raises(awaitable):
    try:
        return await asyncio.wait_for(awaitable, 30)
    except Exception as error:
        return type(error).__name__


async def the_client_writes_and_closes():
    client, server, _ = await connect()
    client.transport.write(b"hello")
    client.transport.write(bytearray(b" and "))
    client.transport.writelines([b"good", memoryview(b"bye")])
    client.transport.close()
    await server.saw("connection_lost")
    await client.saw("connection_lost")
    return client.log, server.log


async def the_server_writes_at_once_and_closes():
    class Greets(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.write(b"hello")
            transport.close()

    client, server, _ = await connect(server=Greets("server"))
    await client.saw("connection_lost")
    await server.saw("connection_lost")
    return client.log, server.log


async def both_close_their_half():
    client, server, _ = await connect(Recorder("client", True), Recorder("server", True))
    client.transport.write(b"question")
    client.transport.write_eof()
    await server.saw("eof_received")
    server.transport.write(b"answer")
    server.transport.write_eof()
    await client.saw("eof_received")
    await settle()
    states = client.transport.is_closing(), server.transport.is_closing(), client.transport.can_write_eof()
    client.transport.close()
    server.transport.close()
    await client.saw("connection_lost")
    await server.saw("connection_lost")
    return client.log, server.log, states


async def writing_where_it_is_forbidden():
    client, server, _ = await connect(server=Recorder("server", True))
    outcome = [raised(client.transport.write, "text"), raised(client.transport.write, b"")]
    client.transport.write_eof()
    client.transport.write_eof()
    outcome += [raised(client.transport.write, b"late"), raised(client.transport.write, b"")]
    await server.saw("eof_received")
    server.transport.close()
    outcome += [raised(server.transport.write, b"late"), raised(server.transport.write_eof)]
    await client.saw("connection_lost")
    await server.saw("connection_lost")
    outcome += [
        raised(server.transport.write, b"later"),
        raised(server.transport.close),
        raised(server.transport.abort),
    ]
    outcome += [raised(server.transport.resume_reading), raised(server.transport.pause_reading)]
    return client.log, server.log, outcome


async def writing_to_one_who_has_closed():
    client, server, _ = await connect(server=Recorder("server", True))
    client.transport.close()
    await server.saw("eof_received")
    server.transport.write(b"one")
    await settle()
    server.transport.write(b"two")
    await server.saw("connection_lost")
    server.transport.write(b"three")
    return client.log, server.log


async def a_paused_reader_gets_all_that_came_before_a_reset():
    client, server, _ = await connect(server=Recorder("server", True))
    server.transport.pause_reading()
    client.transport.write(b"last words")
    client.transport.close()
    await settle()
    server.transport.write(b"nobody is there")
    await settle()
    server.transport.resume_reading()
    await server.saw("eof_received")
    await settle()
    return client.log, server.log


async def closing_with_unread_bytes_resets():
    client, server, _ = await connect()
    server.transport.pause_reading()
    client.transport.write(b"unread")
    await settle()
    server.transport.close()
    await client.saw("connection_lost")
    await server.saw("connection_lost")
    return client.log, server.log


async def a_paused_reader_learns_of_a_reset_when_it_resumes():
    client, server, _ = await connect()
    client.transport.pause_reading()
    server.transport.pause_reading()
    server.transport.write(b"last words")
    client.transport.write(b"unread")
    await settle()
    server.transport.close()
    await settle()
    before = deepcopy(client.log), client.transport.is_closing(), client.transport.is_reading()
    client.transport.resume_reading()
    await client.saw("connection_lost")
    return before, client.log, server.log


async def a_paused_reader_learns_of_a_reset_when_it_writes():
    client, server, _ = await connect()
    client.transport.pause_reading()
    server.transport.pause_reading()
    client.transport.write(b"unread")
    await settle()
    server.transport.close()
    await settle()
    client.transport.write(b"more")
    await client.saw("connection_lost")
    return client.log, server.log


async def a_writer_learns_of_a_reset_while_it_waits_for_room():
    client, server, _ = await connect()
    client.transport.pause_reading()
    server.transport.pause_reading()
    client.transport.write(bytes(LARGE))
    await settle()
    server.transport.close()
    await client.saw("connection_lost")
    return client.log, server.log, client.transport.get_write_buffer_size()


async def a_half_closed_writer_learns_of_a_reset_when_it_writes():
    client, server, _ = await connect(Recorder("client", True))
    server.transport.pause_reading()
    client.transport.write(b"unread")
    server.transport.write_eof()
    await client.saw("eof_received")
    await settle()
    server.transport.close()
    await settle()
    before = deepcopy(client.log)
    client.transport.write(b"more")
    await client.saw("connection_lost")
    return before, client.log, server.log


async def lingering_for_no_time_resets():
    outcome = []
    for way in ("close", "abort"):
        client, server, _ = await connect()
        sock = client.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        getattr(client.transport, way)()
        await server.saw("connection_lost")
        outcome += [client.log, server.log]
    return outcome


async def aborting_drops_what_is_buffered():
    client, server, _ = await connect()
    server.transport.pause_reading()
    client.transport.write(bytes(LARGE))
    await settle()
    client.transport.abort()
    client.transport.abort()
    await client.saw("connection_lost")
    server.transport.resume_reading()
    await server.saw("connection_lost")
    return client.log, [one[0] for one in server.log], server.log[-1], server.seen("data_received") < LARGE


async def aborting_while_closing():
    client, server, _ = await connect()
    client.transport.write(b"hello")
    client.transport.close()
    client.transport.abort()
    await server.saw("connection_lost")
    return client.log, server.log


async def a_slow_reader_holds_the_writer():
    client, server, _ = await connect()
    server.transport.pause_reading()
    client.transport.write(bytes(LARGE))
    await settle()
    waits = client.transport.get_write_buffer_size() > 1_000_000
    server.transport.resume_reading()
    await client.saw("resume_writing")
    client.transport.write(b"end")
    await server.saw("data_received", LARGE + 3)
    return client.log, Counter(one[0] for one in server.log), waits


async def closing_sends_what_is_buffered():
    client, server, _ = await connect()
    server.transport.pause_reading()
    client.transport.write(bytes(LARGE))
    client.transport.close()
    client.transport.write(b"while closing")
    await settle()
    before = deepcopy(client.log)
    server.transport.resume_reading()
    await server.saw("connection_lost")
    await client.saw("connection_lost")
    return before, client.log, [(one[0], len(one[-1])) for one in server.log], server.log[-1]


async def ending_sends_what_is_buffered():
    client, server, _ = await connect(server=Recorder("server", True))
    server.transport.pause_reading()
    client.transport.write(bytes(LARGE))
    client.transport.write_eof()
    await settle()
    server.transport.resume_reading()
    await server.saw("eof_received")
    server.transport.write(b"thanks")
    await client.saw("data_received", 6)
    return client.log, [one[0] for one in server.log], server.seen("data_received")


async def watermarks_are_as_set():
    client, server, _ = await connect()
    server.transport.pause_reading()
    client.transport.set_write_buffer_limits(high=0)
    while not client.seen("pause_writing"):
        client.transport.write(bytes(100_000))
    limits = client.transport.get_write_buffer_limits()
    server.transport.resume_reading()
    await client.saw("resume_writing")
    return client.log, limits, raised(client.transport.set_write_buffer_limits, 1, 2)


async def the_protocol_changes_in_the_middle():
    client, server, _ = await connect()
    second = Recorder("second")
    client.transport.write(b"first;")
    await server.saw("data_received", 6)
    server.transport.set_protocol(second)
    client.transport.write(b"second")
    await second.saw("data_received", 6)
    same = server.transport.get_protocol() is second
    client.transport.close()
    await second.saw("connection_lost")
    return client.log, server.log, second.log, same


async def pausing_while_reading():
    class Pauses(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.pause_reading()
            self.transport.pause_reading()

    client, server, _ = await connect(server=Pauses("server"))
    client.transport.write(b"one")
    await server.saw("data_received", 3)
    client.transport.write(b"two")
    client.transport.close()
    await settle()
    before = deepcopy(server.log)
    server.transport.resume_reading()
    server.transport.resume_reading()
    await server.saw("data_received", 6)
    await settle()
    between = deepcopy(server.log)
    server.transport.resume_reading()
    await server.saw("connection_lost")
    return before, between, server.log


async def pausing_and_resuming_at_once():
    client, server, _ = await connect()
    server.transport.pause_reading()
    client.transport.write(b"hello")
    await settle()
    for _ in range(3):
        server.transport.resume_reading()
        server.transport.pause_reading()
    await settle()
    before = deepcopy(server.log)
    server.transport.resume_reading()
    await server.saw("data_received", 5)
    return before, server.log


class Buffered(Recorder, asyncio.BufferedProtocol):
    """Gives the loop a buffer of 4 bytes, and pauses after each read."""

    def get_buffer(self, sizehint):
        self.buffer = bytearray(0 if "get_buffer" in self.raises else 4)
        return self.buffer

    def buffer_updated(self, nbytes):
        self.note("buffer_updated", bytes(self.buffer[:nbytes]))
        self.transport.pause_reading()


async def a_buffered_protocol_gets_no_more_than_its_buffer():
    client, server, _ = await connect(server=Buffered("server"))
    client.transport.write(b"0123456789")
    client.transport.close()
    await settle()
    before = deepcopy(server.log)
    for _ in range(3):
        await settle()
        server.transport.resume_reading()
    await server.saw("connection_lost")
    return before, server.log


async def errors_in_callbacks(call):
    client, server, _ = await connect(server=Recorder("server", raises=(call,)))
    client.transport.write(b"hello")
    client.transport.write_eof()
    await client.saw("connection_lost")
    await settle()
    return client.log, server.log


async def an_error_in_connection_made_of_a_client():
    client, server, _ = await connect(Recorder("client", raises=("connection_made",)))
    server.transport.write(b"hello")
    await client.saw("data_received", 5)
    return client.log, server.log


async def an_empty_buffer():
    client, server, _ = await connect(server=Buffered("server", raises=("get_buffer",)))
    client.transport.write(b"hello")
    await client.saw("connection_lost")
    return client.log, server.log


async def a_server_without_a_protocol():
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: 1 / 0, HERE, 0)
    client = Recorder("client")
    await loop.create_connection(lambda: client, *address(listening))
    await client.saw("connection_lost")
    return client.log, raised(lambda: bool(listening.close()))


async def a_client_without_a_protocol():
    loop = asyncio.get_running_loop()
    server = Recorder("server")
    listening = await loop.create_server(lambda: server, HERE, 0)
    failed = await raises(loop.create_connection(lambda: 1 / 0, *address(listening)))
    gc.collect()  # asyncio leaves the socket to the garbage collector
    await server.saw("connection_lost")
    return failed, server.log


async def servers_begin_and_end():
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Recorder("server"), HERE, 0)
    name = address(listening)
    in_use = await raises(loop.create_server(asyncio.Protocol, *name))
    before = listening.is_serving(), len(listening.sockets), name[0], name[1] > 1024
    listening.close()
    listening.close()
    after = listening.is_serving(), listening.sockets, await raises(listening.wait_closed())
    refused = await raises(loop.create_connection(asyncio.Protocol, *name))
    again = await loop.create_server(asyncio.Protocol, *name)
    again.close()
    return in_use, before, after, refused, await raises(again.serve_forever())


async def a_server_starts_later():
    loop = asyncio.get_running_loop()
    server = Recorder("server")
    listening = await loop.create_server(lambda: server, HERE, 0, start_serving=False)
    before = listening.is_serving(), len(listening.sockets)
    refused = await raises(loop.create_connection(Recorder, *address(listening)))
    serving = asyncio.ensure_future(listening.serve_forever())
    await settle()
    twice = await raises(listening.serve_forever())
    _, client = await loop.create_connection(lambda: Recorder("client"), *address(listening))
    await server.saw("connection_made")
    client.transport.close()
    await server.saw("connection_lost")
    serving.cancel()
    await asyncio.wait([serving])
    return before, refused, twice.split(":")[0], serving.cancelled(), listening.is_serving(), server.log


async def a_closed_server_keeps_its_connections():
    client, server, listening = await connect()
    listening.close()
    client.transport.write(b"still here")
    await server.saw("data_received", 10)
    server.transport.write(b"me too")
    await client.saw("data_received", 6)
    client.transport.close()
    await server.saw("connection_lost")
    return client.log, server.log, await raises(listening.wait_closed())


async def what_a_transport_tells():
    client, server, _ = await connect()
    names = ("socket", "peername", "sockname", "sslcontext", "ssl_object", "peercert", "compression", "nothing")
    told = [{name: client.transport.get_extra_info(name, "no") != "no" for name in names}]
    for one, other in ((client, server), (server, client)):
        mine, its = one.transport, other.transport
        sock = mine.get_extra_info("socket")
        told += [mine.get_extra_info("peername") == its.get_extra_info("sockname"), mine.get_extra_info("sockname")[0]]
        told += [
            sock.getpeername() == mine.get_extra_info("peername"),
            sock.getsockname() == mine.get_extra_info("sockname"),
        ]
        told += [
            sock.family,
            sock.type,
            sock.proto,
            sock.gettimeout(),
            sock.fileno() >= 0,
            raised(sock.setblocking, True)[0],
        ]
        told += [sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
        told += [sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), sock.get_inheritable()]
        told += [mine.is_reading(), mine.is_closing(), mine.get_write_buffer_size(), mine.get_write_buffer_limits()]
    client.transport.close()
    await client.saw("connection_lost")
    return (
        told,
        client.transport.get_extra_info("socket").fileno(),
        client.transport.is_reading(),
        client.transport.get_extra_info("peername") is not None,
    )


async def streams_after_a_reset():
    async def serve(reader, writer):
        await reader.readexactly(1)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()

    listening = await asyncio.start_server(serve, HERE, 0)
    reader, writer = await asyncio.open_connection(*address(listening))
    writer.write(b"x")
    outcome = [await raises(reader.read())]
    writer.write(b"y")
    outcome += [await raises(writer.drain())]
    writer.close()
    outcome += [await raises(writer.wait_closed()), reader.at_eof(), writer.is_closing()]
    return outcome


async def streams_with_back_pressure():
    sizes = []

    async def serve(reader, writer):
        OPENED.append(writer.transport)
        while data := await reader.read(65_536):
            sizes.append(len(data))
        writer.write(str(sum(sizes)).encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    listening = await asyncio.start_server(serve, HERE, 0)
    reader, writer = await asyncio.open_connection(*address(listening))
    for _ in range(50):
        writer.write(bytes(100_000))
        await writer.drain()
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer, await raises(writer.wait_closed())


async def streams_end_early():
    async def serve(reader, writer):
        writer.write(b"abc\nde")
        writer.close()

    listening = await asyncio.start_server(serve, HERE, 0)
    reader, writer = await asyncio.open_connection(*address(listening))
    outcome = [await raises(reader.readline()), await raises(reader.readexactly(5)), await raises(reader.read())]
    writer.close()
    return outcome


PROGRAMS = {
    program.__name__: program
    for program in (
        *(the_client_writes_and_closes, the_server_writes_at_once_and_closes, both_close_their_half),
        *(writing_where_it_is_forbidden, writing_to_one_who_has_closed, closing_with_unread_bytes_resets),
        *(a_paused_reader_learns_of_a_reset_when_it_resumes, a_paused_reader_learns_of_a_reset_when_it_writes),
        *(a_writer_learns_of_a_reset_while_it_waits_for_room, a_half_closed_writer_learns_of_a_reset_when_it_writes),
        *(aborting_drops_what_is_buffered, aborting_while_closing),
        *(lingering_for_no_time_resets, a_slow_reader_holds_the_writer, closing_sends_what_is_buffered),
        *(ending_sends_what_is_buffered, watermarks_are_as_set, the_protocol_changes_in_the_middle),
        *(pausing_while_reading, pausing_and_resuming_at_once, a_buffered_protocol_gets_no_more_than_its_buffer),
        *(a_server_without_a_protocol, a_client_without_a_protocol, servers_begin_and_end, a_server_starts_later),
        *(
            a_paused_reader_gets_all_that_came_before_a_reset,
            a_closed_server_keeps_its_connections,
            what_a_transport_tells,
        ),
        *(an_error_in_connection_made_of_a_client, an_empty_buffer),
        *(streams_after_a_reset, streams_with_back_pressure, streams_end_early),
    )
} | {
    "an_error_in_data_received": lambda: errors_in_callbacks("data_received"),
    "an_error_in_eof_received": lambda: errors_in_callbacks("eof_received"),
    "an_error_in_connection_lost": lambda: errors_in_callbacks("connection_lost"),
}
