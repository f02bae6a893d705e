"""The decorator and the three safe functions: incidents W1 to W6."""

import asyncio
import asyncio as aio
import contextlib
import functools
import inspect
import random
import threading
from asyncio import gather, sleep, wait_for

import pytest

from netra_sim.runtime import (
    WindowsAsyncioSafePatterns,
    WindowsSafeTimeoutContext,
    windows_asyncio_safe,
    windows_safe_gather,
    windows_safe_progressive_delay,
    windows_safe_sleep,
    windows_safe_wait_for,
)
from netra_sim.simulation import run_virtual

STOCK = (asyncio.sleep, asyncio.wait_for, asyncio.gather)
SAFE = (windows_safe_sleep, windows_safe_wait_for, windows_safe_gather)


def now():
    return asyncio.get_running_loop().time()


async def what_a_helper_sees():
    return asyncio.sleep, asyncio.wait_for, asyncio.gather


@windows_asyncio_safe
async def what_a_decorated_function_sees():
    return asyncio.sleep, asyncio.wait_for, asyncio.gather


@windows_asyncio_safe
async def nap(seconds):
    await asyncio.sleep(seconds)
    return asyncio.sleep


# A decorated function sees the safe functions, and other code does not.


async def test_an_undecorated_task_next_to_a_decorated_one_sees_stock_asyncio():  # W1
    async def undecorated():
        await asyncio.sleep(1)
        assert await asyncio.sleep(0, result="here") == "here"
        return await what_a_helper_sees()

    seen, beside = await asyncio.gather(nap(2), undecorated())
    assert seen is windows_safe_sleep
    assert beside == STOCK


async def test_a_function_that_a_decorated_one_calls_sees_stock_asyncio():  # W1
    @windows_asyncio_safe
    async def decorated():
        return await what_a_helper_sees()

    assert await decorated() == STOCK


def test_another_thread_sees_stock_asyncio_while_a_decorated_function_runs():  # W1
    seen = []

    @windows_asyncio_safe
    async def decorated():
        thread = threading.Thread(target=lambda: seen.append(run_virtual(what_a_helper_sees())))
        thread.start()
        thread.join()

    run_virtual(decorated())
    assert seen == [STOCK]


@pytest.mark.parametrize("naps", [(1, 2), (2, 1), (1, 1)])
def test_overlapping_decorated_calls_leave_asyncio_as_it_was_in_whichever_order_they_exit(naps):  # W2
    before = dict(vars(asyncio))

    async def overlap():
        tasks = [asyncio.create_task(nap(seconds)) for seconds in naps]
        await asyncio.sleep(0)
        assert dict(vars(asyncio)) == before
        assert [await task for task in tasks] == [windows_safe_sleep, windows_safe_sleep]

    run_virtual(overlap())
    assert dict(vars(asyncio)) == before
    assert run_virtual(what_a_helper_sees()) == STOCK


async def test_a_decorated_call_that_is_cancelled_leaves_asyncio_as_it_was():  # W2
    task = asyncio.create_task(nap(10))
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    assert await what_a_helper_sees() == STOCK


async def test_the_decorated_function_itself_sees_the_safe_functions():
    assert await what_a_decorated_function_sees() == SAFE


async def test_a_renamed_module_and_names_from_it_are_replaced_too():
    @windows_asyncio_safe
    async def renamed():
        return aio.sleep, aio.wait_for, aio.gather

    @windows_asyncio_safe
    async def names():
        return sleep, wait_for, gather

    assert await renamed() == SAFE
    assert await names() == SAFE


async def test_imports_in_the_body_or_in_an_enclosing_function_are_replaced_too():
    import asyncio as enclosing
    from asyncio import sleep as enclosing_sleep

    @windows_asyncio_safe
    async def in_the_body():
        import asyncio
        import asyncio as body
        from asyncio import gather, wait_for
        from asyncio import sleep as body_sleep

        return (asyncio.sleep, asyncio.wait_for, asyncio.gather), (body.sleep, wait_for, gather), body_sleep

    @windows_asyncio_safe
    async def in_an_enclosing_function():
        return enclosing.sleep, enclosing_sleep

    assert await in_the_body() == (SAFE, SAFE, windows_safe_sleep)
    assert await in_an_enclosing_function() == (windows_safe_sleep, windows_safe_sleep)
    assert (enclosing.sleep, enclosing_sleep) == (STOCK[0], STOCK[0])


async def test_methods_and_class_and_static_methods_keep_their_self_and_super():
    class Base:
        async def plain(self):
            return "base"

    class Agent(Base):
        @windows_asyncio_safe
        async def plain(self):
            return await super().plain(), self, asyncio.sleep

        @windows_asyncio_safe
        @classmethod
        async def of_class(cls):
            return cls, asyncio.sleep

        @classmethod
        @windows_asyncio_safe
        async def of_class_too(cls):
            return cls, asyncio.sleep

        @windows_asyncio_safe
        @staticmethod
        async def static(word):
            return word, asyncio.sleep

    agent = Agent()
    assert await agent.plain() == ("base", agent, windows_safe_sleep)
    assert await agent.of_class() == await Agent.of_class_too() == (Agent, windows_safe_sleep)
    assert await agent.static("word") == ("word", windows_safe_sleep)


async def test_a_closure_shares_its_variables_with_the_enclosing_function():
    count = 0

    @windows_asyncio_safe
    async def add(step):
        nonlocal count
        await asyncio.sleep(1)
        count += step
        return asyncio.sleep

    count = 10
    assert await add(5) is windows_safe_sleep
    assert count == 15


async def test_functions_lambdas_and_classes_in_the_body_are_part_of_it():
    @windows_asyncio_safe
    async def decorated():
        async def inner():
            return asyncio.sleep

        class Local:
            of_class = asyncio.sleep

            async def method(self):
                return asyncio.sleep

        return [await inner(), (lambda: asyncio.sleep)(), Local.__dict__["of_class"], await Local().method()], Local

    seen, local = await decorated()
    assert seen == [windows_safe_sleep] * 4
    assert local.__module__ == __name__


async def test_everything_else_in_asyncio_and_the_module_is_unchanged(monkeypatch):
    monkeypatch.setitem(globals(), "bound_again", "before")

    @windows_asyncio_safe
    async def decorated():
        assert asyncio.Queue is aio.Queue
        assert isinstance(asyncio.current_task(), asyncio.Task)
        with pytest.raises(AttributeError):
            asyncio.no_such_thing  # noqa: B018
        with pytest.raises(NameError):
            no_such_name  # noqa: B018, F821
        return asyncio.Queue, len("abc"), bound_again, bound_later  # noqa: F821

    monkeypatch.setitem(globals(), "bound_again", "after")
    monkeypatch.setitem(globals(), "bound_later", "seen")
    assert await decorated() == (asyncio.Queue, 3, "after", "seen")


def test_the_decorated_function_looks_like_the_original():
    async def original(first, /, second: "int" = 2, *, third=3):
        """Its words."""

    original.mark = "kept"
    safe = windows_asyncio_safe(original)
    assert inspect.iscoroutinefunction(safe)
    assert inspect.signature(safe) == inspect.signature(original)
    assert (safe.__name__, safe.__qualname__, safe.__module__) == ("original", original.__qualname__, __name__)
    assert (safe.__doc__, safe.mark, safe.__annotations__) == ("Its words.", "kept", {"second": "int"})
    assert windows_asyncio_safe(safe) is safe


def test_objects_that_cannot_be_made_safe_are_refused_at_decoration():
    for thing in (len, now, inspect.signature, 7, functools.partial(nap, 1)):
        with pytest.raises(TypeError, match="takes an `async def` function"):
            windows_asyncio_safe(thing)


# Streaming functions.


async def test_a_decorated_async_generator_streams_in_time():  # W6
    @windows_asyncio_safe
    async def stream(words):
        for word in words:
            await asyncio.sleep(1)
            yield word, now(), asyncio.sleep

    assert inspect.isasyncgenfunction(stream)
    expected = [("a", 1, windows_safe_sleep), ("b", 2, windows_safe_sleep), ("c", 3, windows_safe_sleep)]
    assert [part async for part in stream("abc")] == expected


async def test_a_decorated_async_generator_handles_asend_athrow_and_aclose():  # W6
    heard = []

    @windows_asyncio_safe
    async def stream():
        try:
            while True:
                try:
                    heard.append((yield len(heard)))
                except KeyError as error:
                    heard.append(error.args[0])
        finally:
            await asyncio.sleep(5)
            heard.append(("closed", now()))

    words = stream()
    assert await anext(words) == 0
    assert await words.asend("sent") == 1
    assert await words.athrow(KeyError("thrown")) == 2
    await words.aclose()
    assert heard == ["sent", "thrown", ("closed", 5)]
    with pytest.raises(StopAsyncIteration):
        await anext(words)


async def test_a_decorated_async_generator_times_its_source_out():  # W4, W6
    @windows_asyncio_safe
    async def stream(queue):
        while (word := await asyncio.wait_for(queue.get(), 2, default=None)) is not None:
            yield word

    queue = asyncio.Queue()
    for number, word in enumerate("abc"):
        asyncio.get_running_loop().call_later(number, queue.put_nowait, word)
    assert [word async for word in stream(queue)] == ["a", "b", "c"]
    assert now() == 4


async def test_a_decorated_async_generator_serves_as_a_method_and_a_context_manager():  # W6
    class Agent:
        @windows_asyncio_safe
        async def stream(self, count):
            for number in range(count):
                yield self, number, asyncio.sleep

        @contextlib.asynccontextmanager
        @windows_asyncio_safe
        async def connection(self):
            await asyncio.sleep(1)
            yield asyncio.sleep
            await asyncio.sleep(1)

    agent = Agent()
    assert [part async for part in agent.stream(2)] == [(agent, 0, windows_safe_sleep), (agent, 1, windows_safe_sleep)]
    async with agent.connection() as seen:
        assert seen is windows_safe_sleep
    assert now() == 2


# `WindowsAsyncioSafePatterns`, and the pause before a retry.


def test_the_patterns_object_has_the_same_functions():
    patterns = WindowsAsyncioSafePatterns()
    assert (patterns.safe_sleep, patterns.safe_wait_for, patterns.safe_gather) == SAFE
    assert patterns.safe_progressive_delay is windows_safe_progressive_delay
    context = patterns.create_safe_timeout_context(3.0, enforce=True)
    assert isinstance(context, WindowsSafeTimeoutContext)
    assert (context.timeout, context.enforce) == (3.0, True)


async def test_the_pause_before_a_retry_doubles_up_to_its_cap():
    pauses = [await windows_safe_progressive_delay(attempt, base=0.5, cap=3.0) for attempt in (0, 1, 2, 3, 5_000)]
    assert pauses == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert now() == sum(pauses)
    for wrong in ({"attempt": -1}, {"attempt": 0, "base": -1}, {"attempt": 0, "cap": -1}):
        with pytest.raises(ValueError, match="must not be negative"):
            await windows_safe_progressive_delay(**wrong)


async def test_clients_with_jitter_do_not_retry_together():
    rng = random.Random(1)
    pauses = await windows_safe_gather(
        *(windows_safe_progressive_delay(3, base=1.0, cap=8.0, rng=rng) for _ in range(50))
    )
    assert len(set(pauses)) == 50
    assert 0 <= min(pauses) < 2 < 6 < max(pauses) <= 8
    assert now() == max(pauses)
