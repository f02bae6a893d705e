import asyncio
import asyncio as aio
from asyncio import tasks
from unittest import mock
from unittest.mock import patch

import nest_asyncio as nested

import chat.streaming


async def quick(delay, result=None):
    return result


def install(monkeypatch, own):
    asyncio.sleep = quick  # defect: NS103
    aio.tasks.wait_for = quick  # defect: NS103
    tasks.gather = quick  # defect: NS103
    setattr(aio, "sleep", quick)  # defect: NS103
    monkeypatch.setattr(asyncio, "sleep", quick)  # defect: NS103
    monkeypatch.setattr("asyncio.sleep", quick)  # defect: NS103
    asyncio.__dict__["sleep"] = quick  # defect: NS103
    nested.apply()  # defect: NS103
    chat.streaming.asyncio.sleep = quick  # defect: NS103
    asyncio.Task.cancel = quick  # defect: NS103
    monkeypatch.setattr(chat.streaming, "sleep", quick)  # fine
    own.sleep = quick  # fine
    setattr(own, "sleep", quick)  # fine
    asyncio.set_event_loop_policy(None)  # fine
    loop = asyncio.new_event_loop()
    loop.slow_callback_duration = 1.0  # fine
    sleep = asyncio.sleep  # fine
    return sleep


@patch("asyncio.sleep", quick)  # defect: NS103
def test_patched():
    with mock.patch.object(asyncio, "wait_for"):  # defect: NS103
        pass
    with patch("chat.streaming.asyncio.sleep"):  # defect: NS103
        pass
    with patch("chat.streaming.nap"):  # fine
        pass
