"""Real servers on local sockets, and the records of the clients that talk to them."""

import asyncio
from contextlib import asynccontextmanager

import uvicorn

from netra_sim.clients import Journal, Request, SystemAddress
from netra_sim.history import Kind
from netra_sim.history.foreign import ALWAYS
from netra_sim.recording import Recorder, marked_question


class Records:
    """One recorder and the journals of its users."""

    def __init__(self, secrets=None):
        self._secrets = secrets or {}
        self._journals = {}
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.recorder = Recorder(lambda: loop.time() - began)

    def journal(self, user):
        return self._journals.setdefault(user, Journal(self.recorder, user, self._secrets))

    def rows(self, *kinds):
        """The records of some kinds, as dictionaries without the columns that are empty."""
        frame = self.recorder.finish({}).frame(*kinds)
        return [{name: row[name] for name in frame.columns if name != "time"} for _, row in frame.iterrows()]

    @property
    def kinds(self):
        """The kinds of record that there are besides those of every client."""
        return {kind for kind in Kind if self.rows(kind)} - set(ALWAYS)

    def texts(self, kind, *columns):
        """The columns of the records of one kind."""
        found = [tuple(row[column] for column in columns) for row in self.rows(kind)]
        return [row[0] for row in found] if len(columns) == 1 else found

    def events(self, user):
        """The types of the events that a user received, in order."""
        return [event for who, event in self.texts(Kind.RECEIVED, "user", "event") if who == user]


def request(user, number=0, *, thread=None, other_thread="", text=None):
    run = f"{user}.{number}"
    return Request(
        user_id=user,
        run_id=run,
        thread_id=thread or f"{user}-thread",
        text=text or marked_question(user, run),
        due=0.0,
        other_thread_id=other_thread,
    )


@asynccontextmanager
async def serving(app):
    """The target of an ASGI application under uvicorn."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", ws="websockets-sansio", lifespan="off")
    server = uvicorn.Server(config)
    serve = asyncio.ensure_future(server._serve())
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield SystemAddress(host="127.0.0.1", port=server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = server.force_exit = True
        await serve


@asynccontextmanager
async def answering(answer):
    """The target of a server that reads the head of a request and gives its streams to ``answer``."""
    tasks = set()

    async def on_connection(reader, writer):
        task = asyncio.current_task()
        tasks.add(task)
        try:
            await reader.readuntil(b"\r\n\r\n")
            await answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            tasks.discard(task)

    server = await asyncio.start_server(on_connection, "127.0.0.1", 0)
    try:
        yield SystemAddress(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
