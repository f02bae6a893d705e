"""A timeout context in an async generator belongs to the generator only (PEP 789)."""

import asyncio
import contextlib
import gc
import math
import weakref

import pytest

from netra_sim.runtime import WindowsSafeTimeoutContext, windows_asyncio_safe
from netra_sim.simulation.loop import VirtualTimeLoop


def now():
    return asyncio.get_running_loop().time()


async def remaining(timeout=60.0):
    async with WindowsSafeTimeoutContext(timeout) as context:
        await asyncio.sleep(0)
        return context.remaining_time()


async def stream(timeout, enforce=False, count=2):
    async with WindowsSafeTimeoutContext(timeout, enforce=enforce):
        for number in range(count):
            yield number


safe_stream = windows_asyncio_safe(stream)


class Entered:
    """A context manager that enters a timeout for the body of its ``async with``."""

    def __init__(self, timeout, enforce=False):
        self.context = WindowsSafeTimeoutContext(timeout, enforce=enforce)

    async def __aenter__(self):
        return await self.context.__aenter__()

    async def __aexit__(self, *error):
        return await self.context.__aexit__(*error)


@contextlib.asynccontextmanager
async def limited(timeout, enforce=False):
    async with WindowsSafeTimeoutContext(timeout, enforce=enforce) as context:
        yield context


# The consumer.


@pytest.mark.parametrize("make", [stream, safe_stream])
@pytest.mark.parametrize("enforce", [False, True])
async def test_the_consumers_own_context_keeps_its_own_deadline(make, enforce):
    async for _ in make(0.03):
        async with WindowsSafeTimeoutContext(10, enforce=enforce) as context:
            assert context.remaining_time() == 10
            await asyncio.sleep(0.06)
            assert context.remaining_time() == pytest.approx(9.94)
        assert not context.is_timed_out


@pytest.mark.parametrize("make", [stream, safe_stream])
async def test_the_deadline_of_an_enforced_context_of_a_generator_never_cancels_the_consumer(make):
    got = []

    async def consume():
        async for number in make(1, enforce=True):
            await asyncio.sleep(5)
            got.append((number, now()))

    with pytest.raises(TimeoutError):
        await consume()
    assert got == [(0, 5), (1, 10)]
    assert now() == 10
    assert asyncio.current_task().cancelling() == 0


async def test_a_generator_that_is_kept_unfinished_bounds_nothing_else():
    kept = stream(1)
    await anext(kept)
    await asyncio.sleep(2)
    assert await remaining(10) == 10
    assert await asyncio.create_task(remaining(10)) == 10
    await kept.aclose()
    assert await remaining(10) == 10


async def test_two_generators_at_once_have_their_own_deadlines():
    async def left(timeout):
        async with WindowsSafeTimeoutContext(timeout):
            while True:
                yield await remaining(math.inf)

    short, long = left(0.2), left(60)
    assert (await anext(short), await anext(long), await anext(short)) == (0.2, 60, 0.2)
    await short.aclose()
    assert await anext(long) == 60
    await long.aclose()


async def test_a_generator_that_ends_inside_the_consumers_context_leaves_that_one_in_force():
    words = stream(60, count=1)
    await anext(words)
    async with WindowsSafeTimeoutContext(0.05):
        with pytest.raises(StopAsyncIteration):
            await anext(words)
        assert await remaining(10) == 0.05
    assert await remaining(10) == 10


async def test_a_generator_that_begins_inside_the_consumers_context_may_end_after_it():
    async with WindowsSafeTimeoutContext(0.05):
        words = stream(60)
        await anext(words)
    assert await remaining(10) == 10
    assert [word async for word in words] == [1]
    assert await remaining(10) == 10


async def test_a_task_that_the_consumer_creates_is_not_bound_by_the_generators_deadline():
    async for _ in stream(1):
        tasks = [asyncio.create_task(remaining(10)) for _ in range(2)]
        assert await asyncio.gather(*tasks, remaining(20)) == [10, 10, 20]


async def test_a_generator_without_references_leaves_no_deadline_behind():
    async def abandon():
        words = stream(1, enforce=True)
        await anext(words)

    await abandon()
    gc.collect()
    await asyncio.sleep(5)
    assert await remaining(10) == 10


@pytest.mark.parametrize("enter", [WindowsSafeTimeoutContext, Entered, limited])
@pytest.mark.parametrize("enforce", [False, True])
async def test_a_context_entered_inside_a_generator_in_any_way_stays_there(enter, enforce):
    async def words():
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(enter(1, enforce=enforce))
            yield await remaining(10)
            yield await remaining(10)

    async def more_words():
        async with enter(1, enforce=enforce):
            yield await remaining(10)
            yield await remaining(10)

    for make in (words, more_words):
        got = make()
        assert await anext(got) == 1
        assert await remaining(10) == 10
        await asyncio.sleep(2)
        if enforce:
            with pytest.raises(TimeoutError):
                await anext(got)
        else:
            assert await anext(got) == 0
        assert await remaining(10) == 10
        await got.aclose()


# The generator.


async def test_the_outer_deadline_counts_for_all_that_the_generator_runs():
    async def inner():
        async with WindowsSafeTimeoutContext(3):
            yield await remaining(10)
            yield await remaining(10)

    async def outer(timeout):
        async with WindowsSafeTimeoutContext(timeout):
            async for left in inner():
                yield left, await remaining(10)

    assert [left async for left in outer(2)] == [(2, 2)] * 2
    assert [left async for left in outer(5)] == [(3, 5)] * 2
    async with WindowsSafeTimeoutContext(1):
        assert [left async for left in outer(5)] == [(1, 1)] * 2
    assert await remaining(10) == 10


async def test_the_deadline_follows_the_generator_into_another_task():
    async def words():
        async with WindowsSafeTimeoutContext(3) as context:
            while True:
                yield await remaining(10), context.remaining_time()

    got = words()

    async def go_on():
        return await anext(got), await remaining(10)

    for left in (3, 2, 1):
        assert await asyncio.create_task(go_on()) == ((left, left), 10)
        await asyncio.sleep(1)
    assert await asyncio.create_task(go_on()) == ((0, 0), 10)
    await asyncio.create_task(got.aclose())
    assert await remaining(10) == 10


async def test_tasks_of_a_coroutine_that_the_generator_awaits_inherit_its_context():
    async def work():
        async with WindowsSafeTimeoutContext(3):
            return await asyncio.gather(remaining(1), remaining(10))

    async def words():
        async with WindowsSafeTimeoutContext(2):
            yield await work()

    assert [left async for left in words()] == [[1, 2]]


@pytest.mark.parametrize("decorate", [lambda function: function, windows_asyncio_safe])
async def test_an_enforced_deadline_interrupts_a_generator_that_waits(decorate):
    @decorate
    async def words():
        async with WindowsSafeTimeoutContext(3, enforce=True) as context:
            try:
                yield "first"
                await asyncio.Event().wait()
            finally:
                assert context.check_timeout()

    got = words()
    assert await anext(got) == "first"
    for consume in (got.__anext__, got.__anext__):
        with pytest.raises(TimeoutError if now() < 3 else StopAsyncIteration):
            await consume()
    assert now() == 3
    assert asyncio.current_task().cancelling() == 0


@pytest.mark.parametrize("consume", [anext, lambda words: anext(words, None), lambda words: words.asend(None)])
@pytest.mark.parametrize("wait", [asyncio.sleep, lambda delay: asyncio.wait_for(asyncio.sleep(delay), None)])
async def test_a_deadline_during_the_consumers_turn_interrupts_the_generator_when_it_next_waits(consume, wait):
    async def words():
        async with WindowsSafeTimeoutContext(3, enforce=True):
            yield "first"
            await asyncio.Event().wait()

    got = words()
    assert await consume(got) == "first"
    for _ in range(5):
        await wait(0)
        await wait(1)
    with pytest.raises(TimeoutError):
        await consume(got)
    assert now() == 5
    assert asyncio.current_task().cancelling() == 0


async def test_while_the_consumer_has_a_value_an_enforced_context_does_nothing():
    loop = asyncio.get_running_loop()
    got = stream(1, enforce=True)
    await anext(got)
    await asyncio.sleep(0)
    before = loop.steps
    await asyncio.sleep(1_000)
    assert loop.steps - before < 10
    await got.aclose()


async def test_a_generator_that_another_task_continues_interrupts_neither_task():
    async def words():
        async with WindowsSafeTimeoutContext(3, enforce=True):
            yield "first"
            await asyncio.sleep(5)

    got = words()

    async def go_on():
        return await anext(got, "ended")

    assert await anext(got) == "first"
    other = asyncio.create_task(go_on())
    await asyncio.sleep(4)
    with pytest.raises(TimeoutError):
        await other
    assert now() == 5


async def test_a_late_generator_is_not_interrupted_after_its_block():
    async def words():
        with contextlib.suppress(TimeoutError):
            async with WindowsSafeTimeoutContext(1, enforce=True):
                yield "first"
        await asyncio.sleep(5)
        yield "after"

    got = words()
    await anext(got)
    await asyncio.sleep(2)
    assert await anext(got) == "after"
    assert now() == 7
    await got.aclose()


async def test_a_long_lived_generator_keeps_no_exited_contexts():
    left = []

    async def words():
        while True:
            async with WindowsSafeTimeoutContext(1) as context:
                left.append(weakref.ref(context))
            del context
            yield len(left)

    got = words()
    for _ in range(3):
        await anext(got)
    gc.collect()
    assert [one() for one in left] == [None] * 3
    await got.aclose()


async def test_closing_a_late_generator_and_its_own_errors_are_not_timeouts():
    late = stream(1, enforce=True)
    await anext(late)
    await asyncio.sleep(2)
    await late.aclose()

    failing = stream(1, enforce=True)
    await anext(failing)
    await asyncio.sleep(2)
    with pytest.raises(KeyError):
        await failing.athrow(KeyError("its own"))


async def test_a_cancellation_from_elsewhere_is_not_a_timeout_of_the_generator():
    async def words():
        async with WindowsSafeTimeoutContext(3, enforce=True):
            yield "first"
            await asyncio.Event().wait()

    async def consume():
        async for _ in words():
            pass

    task = asyncio.create_task(consume())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


# The body of an asynccontextmanager.


@pytest.mark.parametrize("enforce", [False, True])
async def test_what_an_asynccontextmanager_enters_counts_in_the_body_and_not_after_it(enforce):
    async with WindowsSafeTimeoutContext(5), limited(2, enforce=enforce) as context:
        assert context.remaining_time() == 2
        assert await remaining(10) == 2
        assert await asyncio.gather(remaining(1), remaining(10)) == [1, 2]
    assert await remaining(10) == 10


async def test_an_enforced_context_of_an_asynccontextmanager_cancels_the_body():
    with pytest.raises(TimeoutError):
        async with limited(2, enforce=True):
            await asyncio.Event().wait()
    assert now() == 2


async def test_a_manager_that_is_left_in_another_task_leaves_that_tasks_contexts_in_force():
    manager = limited(2)
    await manager.__aenter__()

    async def leave():
        async with WindowsSafeTimeoutContext(3):
            await manager.__aexit__(None, None, None)
            return await remaining(10)

    # The inner context took its deadline from the manager's context, which counted at its entry.
    assert await asyncio.create_task(leave()) == 2
    assert await remaining(10) == 10


async def test_a_loop_that_runs_inside_a_generator_is_not_bound_by_its_deadline():
    def run_nested(coroutine):
        outer = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        try:
            with contextlib.closing(VirtualTimeLoop()) as loop:
                return loop.run_until_complete(coroutine)
        finally:
            asyncio._set_running_loop(outer)

    async def of_the_inner_loop():
        beside = asyncio.create_task(remaining(10))
        async with Entered(5):
            return await asyncio.gather(remaining(1), remaining(10), beside)

    async def words():
        async with WindowsSafeTimeoutContext(1):
            yield run_nested(remaining(10))
            yield run_nested(of_the_inner_loop())

    assert [left async for left in words()] == [10, [1, 5, 10]]
