"""An error of a transport, an observer or a back end affects nothing else; a call from another thread changes nothing."""

import asyncio
import json
import logging
import threading

import pytest

from netra_sim.bridge import AgentWebSocketBridge, AuthenticatedUser, BridgeLimits, IntegrationPolicy, MemoryTransport
from netra_sim.exceptions import WrongLoopError
from netra_sim.simulation import run_virtual

ALICE, MALLORY = AuthenticatedUser("alice"), AuthenticatedUser("mallory")


class Failure(BaseException):
    """A BaseException that is not an Exception."""


ERRORS = [RuntimeError("no socket"), KeyError(), SystemExit(3), asyncio.CancelledError(), Failure(), MemoryError()]


class Failing(MemoryTransport):
    """A transport with one method that raises, once a test switches it on."""

    def __init__(self, part, error, *, now=True):
        self.part, self.error, self.now = part, error, False
        super().__init__()
        self.now = now

    def _fail(self, part):
        if part == self.part and self.now:
            raise self.error

    def send(self, frames):
        self._fail("send")
        super().send(frames)

    def buffered(self):
        self._fail("buffered")
        return super().buffered()

    def close(self, code, reason):
        self._fail("close")
        super().close(code, reason)

    @property
    def on_writable(self):
        return None

    @on_writable.setter
    def on_writable(self, callback):
        self._fail("on_writable")


class Lying(MemoryTransport):
    """A transport with a buffer size that is not a number."""

    def buffered(self):
        return None


async def integrated(**options):
    bridge = AgentWebSocketBridge(**options)
    assert (await bridge.ensure_integration()).success
    return bridge


def open_run(bridge, user="alice", run_id=None):
    emitter = bridge.open_run(user_id=user, thread_id=f"{user}-thread", run_id=run_id or f"{user}-run")
    emitter.agent_started("agent")
    return emitter


def types(transport):
    return [json.loads(frame)["type"] for frame in transport.frames]


async def turn():
    await asyncio.sleep(0)
    await asyncio.sleep(0)


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("part", ["send", "buffered", "on_writable"])
@pytest.mark.parametrize("when", ["single events", "a burst", "a replay"])
async def test_a_transport_that_raises_is_lost_and_delays_no_other_user(part, error, when, caplog):
    bridge = await integrated(limits=BridgeLimits(congested_bytes=2_000))
    emitters = {user: open_run(bridge, user) for user in ("mallory", "alice")}
    if when == "a replay":
        for emitter in emitters.values():
            for _ in range(50):
                emitter.agent_thinking("x" * 100)
    bad, second_tab, good = Failing(part, error), MemoryTransport(), MemoryTransport()
    connection = bridge.connect(MALLORY, bad)
    bridge.connect(MALLORY, second_tab)
    bridge.connect(ALICE, good)
    if when != "a replay":
        for emitter in emitters.values():
            for _ in range(50):
                emitter.agent_thinking("x" * 100)
                if when == "single events":
                    await turn()
    for emitter in emitters.values():
        emitter.agent_completed("done")
    await turn()
    assert len(good.frames) == len(second_tab.frames) == 53
    held = bridge.metrics()
    assert (held.live_connections, held.counters.lost_connections) == (2, 1)
    assert not connection.is_open
    assert "'mallory'" in caplog.text


async def test_a_transport_whose_buffer_size_is_not_a_number_is_lost():
    bridge = await integrated()
    lying, good = Lying(), MemoryTransport()
    bridge.connect(MALLORY, lying)
    bridge.connect(ALICE, good)
    for user in ("mallory", "alice"):
        open_run(bridge, user)
    await turn()
    assert types(good) == ["hello", "agent_started"]
    assert bridge.metrics().counters.lost_connections == 1


async def test_a_transport_that_fails_during_the_stall_check_is_lost():
    bridge = await integrated(limits=BridgeLimits(congested_bytes=1_000, stalled_bytes=2_000, outbox_bytes=100_000))
    bad = Failing("buffered", RuntimeError(), now=False)
    bridge.connect(MALLORY, bad)
    bad.stall()
    emitter = open_run(bridge, "mallory")
    for _ in range(30):
        emitter.agent_thinking("x" * 100)
    await turn()
    bad.now = True
    await asyncio.sleep(6)
    assert bridge.metrics().counters.lost_connections == 1


async def test_the_metrics_work_whatever_a_transport_raises():
    bridge = await integrated()
    bridge.connect(MALLORY, bad := Failing("buffered", RuntimeError(), now=False))
    bridge.connect(ALICE, MemoryTransport())
    await turn()
    bad.now = True
    assert bridge.metrics().unsent_bytes == 0
    assert bridge.metrics().live_connections == 1


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("part", ["send", "buffered", "close", "on_writable"])
async def test_a_shutdown_closes_all_connections_whatever_a_transport_raises(part, error):
    bridge = await integrated()
    first, bad, last = MemoryTransport(), Failing(part, error, now=False), MemoryTransport()
    for user, transport in ((ALICE, first), (MALLORY, bad), (AuthenticatedUser("zoe"), last)):
        bridge.connect(user, transport)
        open_run(bridge, user.user_id)
    bad.now = True
    await bridge.shutdown()
    for transport in (first, last):
        assert types(transport) == ["hello", "agent_started"]
        assert transport.closed[0] == 1012
    held = bridge.metrics()
    assert (held.live_connections, held.kept_runs) == (0, 0)


async def test_a_second_shutdown_completes_a_cancelled_first_one():
    class Interrupted(MemoryTransport):
        def close(self, code, reason):
            super().close(code, reason)
            raise KeyboardInterrupt

    bridge = await integrated()
    bridge.connect(MALLORY, Interrupted())
    bridge.connect(ALICE, good := MemoryTransport())
    open_run(bridge)
    with pytest.raises(KeyboardInterrupt):
        await bridge.shutdown()
    await bridge.shutdown()
    assert good.closed[0] == 1012
    assert bridge.metrics().kept_runs == 0


async def test_a_lost_peer_is_logged_without_a_warning(caplog):
    caplog.set_level(logging.INFO)
    bridge = await integrated()
    bridge.connect(MALLORY, Failing("send", ConnectionResetError("gone")))
    await turn()
    assert [(record.levelname, "gone" in record.getMessage()) for record in caplog.records] == [("INFO", True)]


class FailingObserver:
    """An observer that fails at every call."""

    def __getattr__(self, name):
        raise SystemExit(f"cannot observe {name}")


async def test_an_observer_that_fails_is_reported_and_nothing_else_changes():
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["message"]))
    bridge = await integrated(observer=FailingObserver())
    bridge.connect(ALICE, good := MemoryTransport())
    emitter = open_run(bridge)
    assert emitter.agent_completed("done") == 1
    await turn()
    assert types(good) == ["hello", "agent_started", "agent_completed"]
    assert {message.split("'")[1] for message in reported} == {"connected", "published", "sent"}


async def test_a_run_is_forgotten_on_time_after_forgetting_an_earlier_one_failed(monkeypatch):
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    bridge = await integrated(limits=BridgeLimits(replay_seconds=10))
    forget = bridge._delivery.forget
    failures = [RuntimeError("once")]

    def failing_once(run):
        if failures:
            raise failures.pop()
        forget(run)

    monkeypatch.setattr(bridge._delivery, "forget", failing_once)
    for number in range(3):
        open_run(bridge, run_id=f"run-{number}").agent_completed("done")
    await asyncio.sleep(11)
    assert len(reported) == 1
    await asyncio.sleep(10)
    assert bridge.metrics().kept_runs == 0


async def test_a_monitor_reports_an_error_of_its_check_and_goes_on(monkeypatch):
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(repr(context["exception"])))
    bridge = await integrated(policy=IntegrationPolicy(check_interval=10))
    check, failures = bridge.check_health, [SystemExit(3), RuntimeError("x")]

    async def failing_twice():
        if failures:
            raise failures.pop()
        return await check()

    monkeypatch.setattr(bridge, "check_health", failing_twice)
    monitor = asyncio.create_task(bridge.monitor())
    probes = bridge.metrics().probes
    await asyncio.sleep(35)
    assert reported == ["RuntimeError('x')", "SystemExit(3)"]
    assert bridge.metrics().probes == probes + 1
    await bridge.shutdown()
    await asyncio.sleep(10)
    assert monitor.done()
    assert monitor.exception() is None


def in_thread(work):
    """The errors that the work raises in another thread: one or none."""
    raised = []

    def target():
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=target, name="a worker")
    thread.start()
    thread.join()
    return raised


PUBLISHING = [
    lambda emitter: emitter.agent_thinking("x"),
    lambda emitter: emitter.tool_executing("t", {}),
    lambda emitter: emitter.agent_completed("x"),
    lambda emitter: emitter.agent_error("x", "y"),
    lambda emitter: emitter.agent_thinking(object()),
    lambda emitter: emitter.close(),
]


@pytest.mark.parametrize("publish", PUBLISHING)
@pytest.mark.parametrize("has_loop", [False, True], ids=["in a thread", "in a thread with a loop"])
async def test_an_emitter_used_in_a_thread_raises_an_error_and_changes_nothing(publish, has_loop):
    async def on_another_loop(emitter):
        publish(emitter)

    bridge = await integrated()
    bridge.connect(ALICE, client := MemoryTransport())
    emitter = open_run(bridge)
    await turn()
    before = bridge.metrics()
    (error,) = in_thread((lambda: asyncio.run(on_another_loop(emitter))) if has_loop else (lambda: publish(emitter)))
    assert isinstance(error, WrongLoopError)
    assert "thread 'a worker'" in str(error)
    assert "call_soon_threadsafe" in str(error)
    await turn()
    assert bridge.metrics() == before
    assert types(client) == ["hello", "agent_started"]
    assert emitter.is_open
    assert emitter.agent_completed("done") == 1


async def test_an_emitter_without_events_raises_an_error_in_a_thread_too():
    bridge = await integrated()
    emitter = bridge.open_run(user_id="alice", thread_id="t", run_id="r")
    assert isinstance(in_thread(lambda: emitter.agent_started("a"))[0], WrongLoopError)
    assert emitter.agent_started("a") == 0


async def test_no_method_of_the_bridge_works_in_a_thread():
    bridge = await integrated()
    connection = bridge.connect(ALICE, MemoryTransport())
    for call in (
        lambda: bridge.connect(MALLORY, MemoryTransport()),
        lambda: bridge.open_run(user_id="alice", thread_id="t", run_id="r"),
        lambda: bridge.disconnect(connection),
        lambda: bridge.send_control(connection, None),
        lambda: asyncio.run(bridge.ensure_integration()),
        lambda: asyncio.run(bridge.shutdown()),
    ):
        assert isinstance(in_thread(call)[0], WrongLoopError)
    held = bridge.metrics()
    assert (held.live_connections, held.kept_runs, connection.is_open) == (1, 0, True)


async def test_a_thread_publishes_through_the_loop_in_order():
    bridge = await integrated()
    bridge.connect(ALICE, client := MemoryTransport())
    emitter = open_run(bridge)
    soon = asyncio.get_running_loop().call_soon_threadsafe
    assert not in_thread(lambda: [soon(emitter.agent_thinking, number) for number in range(5)])
    await turn()
    assert [json.loads(frame).get("reasoning") for frame in client.frames[2:]] == [0, 1, 2, 3, 4]


def test_a_bridge_belongs_to_the_next_loop_after_its_loop_was_closed():
    bridge, client = AgentWebSocketBridge(limits=BridgeLimits(replay_seconds=5)), MemoryTransport()

    async def first():
        await bridge.ensure_integration()
        bridge.connect(ALICE, client)
        open_run(bridge).agent_completed("done")  # The next loop must flush and forget it.

    async def second():
        await turn()
        assert types(client) == ["hello", "agent_started", "agent_completed"]
        open_run(bridge, "bob")
        await asyncio.sleep(10)
        assert bridge.metrics().kept_runs == 1

    run_virtual(first())
    with pytest.raises(WrongLoopError):
        bridge.open_run(user_id="alice", thread_id="t", run_id="r")
    run_virtual(second())
