import asyncio
import contextlib
import functools
import typing as t

from desk.parts import DeskEmitter
from desk.pipe import Pipe
from netra_sim import runtime
from netra_sim.runtime import WindowsAsyncioSafePatterns, WindowsSafeTimeoutContext

if t.TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection


async def converse(peer: "ServerConnection", pipe: Pipe) -> None:
    await peer.send("welcome")  # defect: NS202
    async for message in pipe.listen(peer):
        await asyncio.wait({asyncio.create_task(answer(peer, message))})  # fine


async def answer(peer, message):
    results = await asyncio.gather(*map(look_up, message.split()), return_exceptions=True)  # defect: NS101
    await peer.send(str(results))


async def look_up(word):  # defect: NS501
    return word.upper()


class Ticker:
    def __init__(self, emitter: DeskEmitter, *, sleep=asyncio.sleep):
        self.emitter = emitter
        self.sleep = sleep
        self.patterns = WindowsAsyncioSafePatterns()

    @runtime.windows_asyncio_safe
    async def tick(self):
        while await self.emitter.agent_thinking("tick"):
            await self.sleep(1)  # defect: NS101

    async def tick_with_patterns(self):
        while await self.emitter.agent_thinking("tick"):
            await self.patterns.safe_sleep(1)  # fine

    async def tick_limited(self):
        async with WindowsSafeTimeoutContext(5):
            await self.emitter.agent_thinking("tick")  # defect: NS302

    @property
    async def later(self):
        await asyncio.sleep(1)  # fine
        return self.emitter

    @staticmethod
    @runtime.windows_asyncio_safe
    async def steady(emitter: DeskEmitter):
        await asyncio.sleep(1)  # fine
        return await emitter.agent_completed("done")

    async def drop(self):
        with contextlib.suppress(ConnectionError):  # fine
            asyncio.get_running_loop().create_task(self.emitter.agent_completed("x"))  # defect: NS302

    async def keep(self, tasks: set):
        tasks.add(asyncio.create_task(self.emitter.agent_completed("x")))  # fine

    async def mute(self):
        with contextlib.suppress(BaseException):  # defect: NS301
            return await self.emitter.agent_completed("x")

    async def deadline(self, work):
        step = functools.partial(asyncio.wait_for, work, 1)
        return await asyncio.wait_for(step(), 3)  # defect: NS102

    async def deadline_in_a_task(self, work):
        async with asyncio.TaskGroup() as group:
            one = group.create_task(asyncio.wait_for(work, 1))  # fine
        return await asyncio.wait_for(one, 3)  # fine
