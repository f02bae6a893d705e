"""A client protocol that wants to go somewhere else than to the system that is loaded."""

import asyncio

from netra_sim.clients import ClientProtocol


class Elsewhere(ClientProtocol, frozen=True, tag="their_clients:Elsewhere"):
    host: str

    def session(self, target, user_id, journal, seed=0):
        return _Session(self.host, journal)


class _Session:
    def __init__(self, host, journal):
        self._host = host
        self._journal = journal

    async def connect(self):
        pass

    async def ask(self, request):
        self._journal.requested(request.run_id, request.due, request.thread_id)
        try:
            await asyncio.open_connection(self._host, 9)
        except OSError as error:
            self._journal.connect_refused(str(error))

    async def leave(self):
        pass

    def cut(self):
        pass
