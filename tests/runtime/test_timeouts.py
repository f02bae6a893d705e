"""Deadlines that are checked or enforced, and nested deadlines."""

import asyncio
import math

import pytest

from netra_sim.runtime import WindowsSafeTimeoutContext, windows_asyncio_safe, windows_safe_wait_for
from netra_sim.simulation import run_virtual


def now():
    return asyncio.get_running_loop().time()


async def test_a_deadline_reports_and_does_not_interfere():
    async with WindowsSafeTimeoutContext(2.0) as context:
        assert (context.remaining_time(), context.check_timeout(), context.is_timed_out) == (2.0, False, False)
        await asyncio.sleep(1.5)
        assert (context.remaining_time(), context.check_timeout()) == (0.5, False)
        await asyncio.sleep(0.5)
        assert (context.remaining_time(), context.check_timeout()) == (0.0, True)
        await asyncio.sleep(5)
    assert context.is_timed_out
    assert now() == 7


async def test_a_streaming_loop_ends_itself_at_the_deadline():
    @windows_asyncio_safe
    async def stream():
        async with WindowsSafeTimeoutContext(3.5) as context:
            while not context.check_timeout():
                await asyncio.sleep(1)
                yield now()

    assert [at async for at in stream()] == [1, 2, 3, 4]


async def test_after_its_end_a_context_remembers_whether_it_was_in_time():
    async with WindowsSafeTimeoutContext(2.0) as context:
        await asyncio.sleep(1)
    await asyncio.sleep(10)
    assert not context.is_timed_out
    assert not context.check_timeout()


async def test_no_timeout_is_no_deadline():
    async with WindowsSafeTimeoutContext(None, enforce=True) as context:
        await asyncio.sleep(1e6)
        assert context.remaining_time() == math.inf
    assert not context.is_timed_out


async def test_an_enforced_deadline_cancels_the_body_and_raises():
    body = asyncio.Event().wait()
    with pytest.raises(TimeoutError):
        async with WindowsSafeTimeoutContext(2.0, enforce=True) as context:
            await body
    assert now() == 2
    assert body.cr_frame is None
    assert context.is_timed_out
    assert asyncio.current_task().cancelling() == 0


async def test_an_enforced_deadline_leaves_a_body_that_is_in_time_alone():
    async with WindowsSafeTimeoutContext(2.0, enforce=True) as context:
        await asyncio.sleep(1)
    await asyncio.sleep(10)
    assert not context.is_timed_out


@pytest.mark.parametrize("enforce", [False, True])
async def test_an_error_or_a_cancellation_from_elsewhere_passes_through(enforce):
    with pytest.raises(KeyError):
        async with WindowsSafeTimeoutContext(2.0, enforce=enforce):
            raise KeyError("its own")

    async def body():
        async with WindowsSafeTimeoutContext(2.0, enforce=enforce):
            await asyncio.Event().wait()

    task = asyncio.create_task(body())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert now() == 1


@pytest.mark.parametrize(("outer", "inner", "effective"), [(1, 5, 1), (5, 1, 1), (2, 2, 2), (2, None, 2), (None, 3, 3)])
async def test_the_inner_deadline_is_never_later_than_the_outer_one(outer, inner, effective):
    async with WindowsSafeTimeoutContext(outer) as outside:
        async with WindowsSafeTimeoutContext(inner) as inside:
            assert inside.remaining_time() == effective
        assert outside.remaining_time() == (outer or math.inf)
    async with WindowsSafeTimeoutContext(9) as later:
        assert later.remaining_time() == 9


async def test_an_inner_context_enforces_the_outer_deadline():
    async with WindowsSafeTimeoutContext(1.0) as outside:
        with pytest.raises(TimeoutError):
            async with WindowsSafeTimeoutContext(60.0, enforce=True):
                await asyncio.Event().wait()
        assert outside.check_timeout()
    assert now() == 1


async def test_nested_enforced_contexts_of_the_same_deadline_raise_one_timeout():
    with pytest.raises(TimeoutError):
        async with WindowsSafeTimeoutContext(1.0, enforce=True), WindowsSafeTimeoutContext(1.0, enforce=True):
            await asyncio.Event().wait()
    assert now() == 1
    assert asyncio.current_task().cancelling() == 0
    await asyncio.sleep(1)


async def test_a_hundred_nested_contexts_neither_poll_nor_deadlock():
    loop = asyncio.get_running_loop()

    async def nested(depth):
        async with WindowsSafeTimeoutContext(30.0 + depth, enforce=True):
            await (nested(depth - 1) if depth else asyncio.Event().wait())

    before = len(asyncio.all_tasks())
    task = asyncio.create_task(nested(100))
    await asyncio.sleep(29)
    assert len(asyncio.all_tasks()) == before + 1
    await asyncio.wait([task])
    assert isinstance(task.exception(), TimeoutError)
    assert now() == 30
    assert loop.steps < 500


async def test_a_task_inherits_the_deadline_and_its_siblings_keep_their_own():
    async def remaining(timeout):
        async with WindowsSafeTimeoutContext(timeout) as context:
            await asyncio.sleep(0)
            return context.remaining_time()

    async with WindowsSafeTimeoutContext(5.0):
        assert await asyncio.gather(remaining(3.0), remaining(60.0), remaining(4.0)) == [3, 5, 4]


async def test_a_stream_that_is_left_half_read_leaves_no_deadline_behind():
    async def stream():
        async with WindowsSafeTimeoutContext(1.0):
            yield "first"
            yield "second"

    async for _ in stream():
        break
    await asyncio.sleep(2)
    async with WindowsSafeTimeoutContext(10.0) as context:
        assert context.remaining_time() == 10


async def test_a_task_that_outlives_a_context_is_not_bound_by_its_deadline():
    async def background():
        await asyncio.sleep(5)
        async with WindowsSafeTimeoutContext(10.0) as context:
            return context.remaining_time()

    async with WindowsSafeTimeoutContext(1.0):
        task = asyncio.create_task(background())
    assert await task == 10


async def test_the_answer_of_a_wait_for_within_its_deadline_counts():
    with pytest.raises(TimeoutError):
        async with WindowsSafeTimeoutContext(1.0, enforce=True) as context:
            await windows_safe_wait_for(asyncio.Event().wait(), 60.0, default="never")
    assert context.is_timed_out
    assert now() == 1


async def test_a_context_is_entered_once_and_has_no_remaining_time_before():
    context = WindowsSafeTimeoutContext(1.0)
    assert not context.is_timed_out
    with pytest.raises(RuntimeError, match="has not been entered"):
        context.remaining_time()
    async with context:
        pass
    with pytest.raises(RuntimeError, match="can be entered once"):
        await context.__aenter__()
    with pytest.raises(ValueError, match="NaN"):
        WindowsSafeTimeoutContext(math.nan)


async def test_a_deadline_in_the_past_has_passed_at_once():
    async with WindowsSafeTimeoutContext(-1.0) as context:
        assert (context.is_timed_out, context.remaining_time()) == (True, 0.0)


def test_on_a_coarse_clock_an_enforced_deadline_has_passed_when_it_is_enforced():
    async def body():
        loop = asyncio.get_running_loop()
        loop.spend(0.015)
        begin = loop.exact_time()
        with pytest.raises(TimeoutError):
            async with WindowsSafeTimeoutContext(0.02, enforce=True) as context:
                await asyncio.Event().wait()
        return context.is_timed_out, loop.exact_time() - begin

    is_timed_out, waited = run_virtual(body(), tick=1 / 64)
    assert is_timed_out
    assert 0.02 <= waited <= 0.02 + 1 / 64
