import asyncio
import contextlib
import logging

from chat.bridge import AgentWebSocketBridge
from chat.emitter import UserWebSocketEmitter
from chat.engine import UserExecutionEngine
from chat.safety import safe
from websockets.exceptions import ConnectionClosed

log = logging.getLogger(__name__)


class Notifier:
    def __init__(self, bridge: AgentWebSocketBridge, emitter: UserWebSocketEmitter):
        self.bridge = bridge
        self.emitter = emitter
        self.failures = 0

    async def logs_only(self):
        try:
            return await self.emitter.notify_agent_started("triage")
        except Exception as error:  # defect: NS301
            log.warning("could not send: %s", error)

    async def says_true(self):
        try:
            await self.emitter.emit_progress("half")
        except (ValueError, Exception):  # defect: NS301
            return True

    async def suppresses(self):
        with contextlib.suppress(Exception):  # defect: NS301
            await self.bridge.publish("alice", "hello")  # defect: NS302

    async def helper_in_a_loop(self, users):
        for user in users:
            try:
                await self._send(user)
            except BaseException:  # defect: NS301
                continue

    async def _send(self, user):
        await self.emitter.emit_progress(user)

    async def counts(self):
        try:
            await self.emitter.emit_progress("half")
        except Exception:  # fine
            self.failures += 1

    async def raises(self):
        try:
            await self.emitter.emit_progress("half")
        except Exception:  # fine
            log.exception("could not send")
            raise

    async def narrow(self):
        try:
            await self.emitter.emit_progress("half")
        except ConnectionClosed:  # fine
            pass

    async def nothing_sent(self, text):
        try:
            number = int(text)
        except Exception:  # fine
            number = 0
        return number

    async def tells(self):
        try:
            await self.emitter.emit_progress("half")
        except Exception as error:  # fine
            await self.give_up(error)

    async def give_up(self, error):
        self.failures += 1

    async def ignores(self):
        await self.bridge.publish("alice", "hello")  # defect: NS302
        await self.emitter.notify_agent_started("triage")  # defect: NS302
        self.emitter.emit_progress("half")  # defect: NS302
        self._send("alice")  # defect: NS302

    async def spawns(self):
        asyncio.create_task(self.emitter.emit_progress("half"))  # defect: NS302

    @safe
    async def gathers(self, users):
        sends = (self.emitter.emit_progress(user) for user in users)
        await asyncio.gather(*sends)  # fine
        await asyncio.gather(*(self._send(user) for user in users))  # fine
        await asyncio.gather(*(self._send(user) for user in users), return_exceptions=True)  # defect: NS302

    async def never_looks(self):
        sent = await self.bridge.publish("alice", "hello")  # defect: NS302

    async def looks(self):
        if not await self.bridge.publish("alice", "hello"):  # fine
            self.failures += 1
        sent = await self.emitter.notify_agent_started("triage")  # fine
        task = asyncio.create_task(self.emitter.emit_progress("half"))  # fine
        await task
        await self.emitter.emit_progress("half")  # fine
        return sent

    async def looks_later(self):
        sent = None

        async def one():
            nonlocal sent
            sent = await self.bridge.publish("alice", "hello")  # fine

        await one()
        return sent

    def coroutine(self):
        return self.emitter.emit_progress("half")  # fine


class Bus:
    """Sends signals within the process, which return nothing."""

    def send(self, signal):
        self.last = signal


def signals(bus: Bus):
    bus.send("ready")  # fine


def kind_of(engine):
    return engine is UserExecutionEngine  # fine
