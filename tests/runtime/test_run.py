"""`run` in a script and inside a running event loop."""

import _thread
import asyncio
import contextvars
import sys
import threading
import traceback

import pytest

from netra_sim.runtime import new_event_loop, run
from netra_sim.simulation import VirtualTimeLoop

REQUEST = contextvars.ContextVar("request")


def in_a_script(action):
    return action()


def in_a_running_loop(action):
    """Runs code as a notebook kernel does: from a coroutine, on a loop that handles no signals."""

    async def cell():
        return action()

    loop = new_event_loop()
    try:
        return loop.run_until_complete(cell())
    finally:
        loop.close()


@pytest.fixture(params=[in_a_script, in_a_running_loop])
def place(request):
    return request.param


async def answer():
    await asyncio.sleep(0)
    return "answer"


def workers():
    return [thread for thread in threading.enumerate() if thread.name == "netra_sim.run"]


def test_it_returns_what_the_coroutine_returns(place):
    assert place(lambda: run(answer())) == "answer"


@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(3), asyncio.CancelledError("its own")])
def test_it_raises_what_the_coroutine_raises_with_its_traceback(place, error):
    async def fail():
        await asyncio.sleep(0)
        raise error

    with pytest.raises(type(error)) as raised:
        place(lambda: run(fail()))
    if not isinstance(error, asyncio.CancelledError):  # the loop makes a new one
        assert raised.value is error
        assert "fail" in [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def test_each_run_has_a_fresh_loop_of_the_platforms_kind_which_is_closed_at_its_end(place):
    async def loop_of_the_run():
        return asyncio.get_running_loop()

    loops = place(lambda: [run(loop_of_the_run()) for _ in range(2)])
    assert len(set(loops)) == 2
    assert all(type(loop) is type(new_event_loop_closed()) for loop in loops)
    assert all(loop.is_closed() for loop in loops)


def new_event_loop_closed():
    loop = new_event_loop()
    loop.close()
    return loop


def test_the_loop_is_a_proactor_on_windows_and_a_selector_elsewhere():
    expected = asyncio.ProactorEventLoop if sys.platform == "win32" else asyncio.SelectorEventLoop
    assert isinstance(new_event_loop_closed(), expected)


def test_the_loop_is_the_one_that_its_factory_makes(place):
    async def a_year_later():
        assert isinstance(asyncio.get_running_loop(), VirtualTimeLoop)
        await asyncio.sleep(365 * 86_400)
        return asyncio.get_running_loop().time()

    assert place(lambda: run(a_year_later(), loop_factory=VirtualTimeLoop)) == 365 * 86_400


def test_the_callers_context_variables_are_seen_and_not_changed(place):
    async def handle():
        seen = REQUEST.get()
        REQUEST.set("changed by the coroutine")
        return seen, await asyncio.create_task(what_a_task_sees())

    async def what_a_task_sees():
        return REQUEST.get()

    def caller():
        REQUEST.set("of the caller")
        return run(handle()), REQUEST.get()

    seen = contextvars.Context().run(place, caller)
    assert seen == (("of the caller", "changed by the coroutine"), "of the caller")


def test_tasks_and_generators_that_are_left_behind_are_ended_before_it_returns(place):
    log = []

    async def left_behind():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            log.append("task cleaned up")

    async def half_read():
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            log.append("generator cleaned up")

    async def leave():
        leave.task = asyncio.create_task(left_behind())
        leave.generator = half_read()
        await anext(leave.generator)

    assert place(lambda: (run(leave()), list(log))) == (None, ["task cleaned up", "generator cleaned up"])
    assert leave.task.cancelled()


def test_inside_a_running_loop_it_runs_in_a_new_thread_that_ends_with_it():
    async def where():
        return threading.current_thread(), asyncio.get_running_loop()

    def caller():
        return run(where()), (threading.current_thread(), asyncio.get_running_loop())

    (thread, loop), (callers_thread, callers_loop) = in_a_running_loop(caller)
    assert thread is not callers_thread
    assert loop is not callers_loop
    assert not thread.is_alive()
    assert run(where())[0] is threading.main_thread()


def test_it_can_be_called_from_within_itself():
    async def nested(depth):
        return 1 + run(nested(depth - 1)) if depth else 0

    assert run(nested(5)) == 5


def main_thread_is_in(function):
    """Whether the main thread is in a call of the function now."""
    frame = sys._current_frames()[threading.main_thread().ident]
    while frame is not None and frame.f_code is not function.__code__:
        frame = frame.f_back
    return frame is not None


class Interrupted:
    """Presses Ctrl+C after its start, and takes many turns of the loop to clean up."""

    def __init__(self):
        self.log = []

    async def helper(self):
        try:
            await asyncio.Event().wait()
        finally:
            self.log.append("helper cancelled")

    async def work(self):
        helper = asyncio.create_task(self.helper())
        await asyncio.sleep(0)
        while main_thread_is_in(threading.Thread.start):
            await asyncio.sleep(0)
        try:
            _thread.interrupt_main()
            await helper
        finally:
            for _ in range(5_000):
                await asyncio.sleep(0)
            self.log.append("cleaned up")


@pytest.mark.parametrize("place", [in_a_script, in_a_running_loop])
def test_ctrl_c_cancels_the_coroutine_and_waits_for_its_clean_up(place):
    interrupted = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        place(lambda: run(interrupted.work()))
    assert interrupted.log == ["helper cancelled", "cleaned up"]
    assert not workers()


def test_after_ctrl_c_the_next_run_works(place):
    def cells():
        try:
            run(Interrupted().work())
        except KeyboardInterrupt:
            return run(answer())

    assert place(cells) == "answer"


def test_ctrl_c_while_the_worker_thread_starts_cancels_the_coroutine_too():
    log = []

    async def interrupt_at_once():
        try:
            _thread.interrupt_main()
            await asyncio.Event().wait()
        finally:
            log.append("cancelled")

    with pytest.raises(KeyboardInterrupt):
        in_a_running_loop(lambda: run(interrupt_at_once()))
    assert log == ["cancelled"]
    assert not workers()


def test_ctrl_c_counts_even_when_the_coroutine_refuses_to_be_cancelled():
    interrupted = Interrupted()

    async def refuse():
        try:
            await interrupted.work()
        except asyncio.CancelledError:
            return "answer in spite of it"

    with pytest.raises(KeyboardInterrupt):
        in_a_running_loop(lambda: run(refuse()))
    assert interrupted.log == ["helper cancelled", "cleaned up"]
    assert not workers()


class InterruptedAsItCloses(asyncio.SelectorEventLoop):
    """Presses Ctrl+C when it is closed, and waits there until another thread has called it, or a timeout passes."""

    def __init__(self):
        super().__init__()
        self.was_called = threading.Event()

    def close(self):
        was_open = not self.is_closed()
        super().close()
        if was_open:
            _thread.interrupt_main()
            self.was_called.wait(5)

    def call_soon_threadsafe(self, *arguments, **options):
        if self.is_closed():
            self.was_called.set()
        return super().call_soon_threadsafe(*arguments, **options)


def test_ctrl_c_while_the_loop_closes_raises_keyboard_interrupt():
    async def outlast_the_start():
        while main_thread_is_in(threading.Thread.start):
            await asyncio.sleep(0)

    with pytest.raises(KeyboardInterrupt):
        in_a_running_loop(lambda: run(outlast_the_start(), loop_factory=InterruptedAsItCloses))
    assert not workers()
