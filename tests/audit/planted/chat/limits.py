import asyncio
from asyncio import wait_for

from chat.safety import limited
from chat.streaming import logged
from netra_sim.runtime import windows_safe_wait_for


async def twice(work):
    return await wait_for(wait_for(work, 1), 2)  # defect: NS102


async def shielded(work):
    return await asyncio.wait_for(asyncio.shield(limited(work, 1)), 2)  # defect: NS102


async def fetch(work):
    return await asyncio.wait_for(work, 1)  # fine


async def fetch_twice(work):
    await fetch(work)
    return await fetch(work)


async def through_coroutine(work):
    return await asyncio.wait_for(fetch(work), 2)  # defect: NS102


async def through_two(work):
    return await asyncio.wait_for(fetch_twice(work), 2)  # defect: NS102


async def through_a_name(work):
    inner = fetch(work)
    return await asyncio.wait_for(inner, 2)  # defect: NS102


class Reader:
    async def _read(self):
        return await wait_for(self.source(), 1)  # fine

    async def read(self):
        return await wait_for(self._read(), 5)  # defect: NS102

    async def source(self):
        return 1


async def one_after_the_other(work):
    await asyncio.wait_for(work, 1)  # fine
    return await asyncio.wait_for(work, 2)  # fine


async def within_a_timeout(work):
    async with asyncio.timeout(2):
        return await asyncio.wait_for(work, 1)  # fine


async def safe_around_safe(work):
    return await windows_safe_wait_for(windows_safe_wait_for(work, 1), 2)  # fine


async def plain(work):
    return await work


async def around_plain(work):
    return await asyncio.wait_for(plain(work), 1)  # fine


async def renewed(work):
    return await asyncio.wait_for(work, 1)  # fine


renewed = logged(renewed)


async def around_renewed(work):
    return await asyncio.wait_for(renewed(work), 2)  # defect: NS102
