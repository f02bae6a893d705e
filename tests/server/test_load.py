"""Load runs: what the clients do, what is measured and recorded, and that every error ends the load run."""

import asyncio
import logging
import os
import signal
import time

import pytest
from one_process import in_one_process, other_orders, samples, spying

from netra_sim import AgentWebSocketBridge, check, run
from netra_sim.checks import request_latencies
from netra_sim.factory import EngineLimits
from netra_sim.history import CONNECTIONS_CUT, CONTROL_LATENCY, DRIVER_LATENESS, Kind
from netra_sim.loading import Load, clients, control, load, load_test, process
from netra_sim.protocol import EventReader
from netra_sim.recording import Recorder
from netra_sim.server import TokenAuthenticator

pytestmark = pytest.mark.real_time
SMALL = Load(users=4, window=0.1, step=0.01)
CUT = Load(users=8, runs_per_user=2, window=0.5, disconnects=1.0)


@pytest.fixture(scope="module")
def slow():
    """A load run with long steps."""
    plan = Load(users=6, window=0.2, step=0.2, disconnects=0.0)
    return plan, run(load(plan))


def failed(history):
    """The failed checks, except latency, which depends on the machine."""
    return {one.check: one.findings for one in check(history) if one.state == "failed" and one.check != "latency"}


async def test_the_clients_run_in_another_process_which_is_gone_at_the_end(monkeypatch):
    started = spying(monkeypatch)
    history = await load(SMALL)
    (one,) = started
    assert one.pid != os.getpid()
    assert one.returncode is not None
    assert len(history.frame(Kind.RECEIVED)) == len(history.frame(Kind.PUBLISHED)) > 0


def test_every_planned_client_connects_and_sends_requests(slow):  # S08
    plan, history = slow
    assert set(history.frame(Kind.ATTACHED)["user"]) == {user.user_id for user in plan.planned()}
    assert set(history.frame(Kind.REQUESTED)["user"]) == {user.user_id for user in plan.planned()}


def test_every_run_is_awaited_to_its_end(slow):  # S07
    plan, history = slow
    received = history.frame(Kind.RECEIVED)
    assert (received["event"] == "agent_completed").sum() == plan.users
    assert list(history.frame(Kind.ANSWERED)["event"]) == ["complete"] * plan.users
    assert failed(history) == {}


def test_agents_take_the_time_that_the_plan_says(slow):  # S11
    plan, history = slow
    # Ten steps, each half of the longest on average: five times the longest.
    assert request_latencies(history, keep="last")["latency"].mean() > 3 * plan.step


async def test_clients_that_are_cut_off_come_back_and_get_every_event_once():
    history = await load(CUT)
    assert samples(history, CONNECTIONS_CUT).tolist() == [CUT.users]
    assert len(history.frame(Kind.ATTACHED)) == 2 * CUT.users
    assert len(history.frame(Kind.RECEIVED)) == len(history.frame(Kind.PUBLISHED))
    assert not len(history.frame(Kind.REPEATED, Kind.MISSING, Kind.GAP_RECEIVED))
    assert failed(history) == {}


async def test_repeated_events_of_a_server_that_ignores_cursors_are_recorded(monkeypatch):  # S03
    connect = AgentWebSocketBridge.connect

    def without_cursors(self, user, transport, **given):
        return connect(self, user, transport, **given | {"cursors": {}})

    monkeypatch.setattr(AgentWebSocketBridge, "connect", without_cursors)
    assert len((await load(CUT)).frame(Kind.REPEATED)) > CUT.users


async def test_repeated_events_for_clients_without_cursors_are_recorded(monkeypatch):  # S05
    monkeypatch.setattr(EventReader, "cursors", {})
    assert len((await in_one_process(CUT)).frame(Kind.REPEATED)) > CUT.users


async def test_the_latency_of_a_late_request_counts_from_its_due_time(monkeypatch):  # S06
    monkeypatch.setattr(clients, "HEAD_START", -1.0)
    history = await in_one_process(Load(users=5, window=0.0, step=0.01))
    assert request_latencies(history, keep="first")["latency"].min() >= 1.0
    assert samples(history, DRIVER_LATENESS).min() >= 1.0
    assert len(samples(history, DRIVER_LATENESS)) == 5


async def test_a_request_is_sent_when_due_while_the_previous_run_is_live():
    class Endless:
        name = "endless"

        async def run(self, session):
            session.think("for ever")
            await asyncio.sleep(1.0)
            return "done"

    plan = Load(users=3, runs_per_user=2, window=0.1, step=0.05)
    history = await in_one_process(plan, pipeline=lambda _: [[Endless()]])
    requested = history.frame(Kind.REQUESTED)
    received = history.frame(Kind.RECEIVED)
    first_end = received[received["event"] == "agent_completed"].groupby("user", observed=True)["time"].min()
    last_request = requested.groupby("user", observed=True)["time"].max()
    assert len(requested) == 6
    assert (last_request < first_end).all()


@pytest.mark.parametrize("change", [{"users": 3}, {"seed": 2}, {"runs_per_user": 2}])
async def test_clients_that_do_not_keep_to_the_plan_end_the_load_run(monkeypatch, change):  # S06, S08
    other_orders(monkeypatch, plan=Load(**{"users": 4, "window": 0.1, "step": 0.01} | change))
    with pytest.raises(RuntimeError, match="did not keep to the plan: of 4 requests"):
        await load(SMALL)


async def test_the_two_runs_of_a_pair_are_in_two_threads():
    history = await in_one_process(Load(users=3, runs_per_user=2, window=0.1, step=0.01))
    asked = history.frame(Kind.REQUESTED)
    assert asked.groupby("user", observed=True)["thread"].nunique().tolist() == [2, 2, 2]
    threads = dict(zip(asked["run"], asked["thread"], strict=True))
    received = history.frame(Kind.RECEIVED)
    assert [threads[run_id] for run_id in received["run"]] == received["thread"].tolist()


async def test_requests_beyond_the_engine_limit_are_recorded_as_refused():
    history = await in_one_process(
        Load(users=3, runs_per_user=2, window=0.1, step=0.05), limits=EngineLimits(engines_per_user=1)
    )
    assert history.frame(Kind.REFUSED)["detail"].tolist() == ["engine_limit"] * 3


async def test_refused_clients_are_recorded_and_their_requests_have_no_answer():
    answered = []
    history = await in_one_process(SMALL, tokens_of=TokenAuthenticator(), on_answer=lambda: answered.append(1))
    assert len(history.frame(Kind.CONNECT_REFUSED)) == clients.ATTEMPTS * SMALL.users
    assert len(history.frame(Kind.REQUESTED)) == SMALL.users == len(answered)
    assert {"completion", "refusals"} <= set(failed(history))


@pytest.mark.parametrize(("answer", "expected"), [({"question": "another"}, "wrong"), ({}, "empty")])
async def test_an_answer_to_another_question_and_no_answer_are_recorded(answer, expected):
    class Wrong:
        name = "wrong"

        async def run(self, session):
            return answer

    history = await in_one_process(SMALL, pipeline=lambda _: [[Wrong()]])
    assert history.frame(Kind.ANSWERED)["event"].tolist() == [expected] * SMALL.users


async def test_an_error_in_the_probe_ends_the_load_run_and_the_clients(monkeypatch):
    started = spying(monkeypatch)

    def broken(*_):
        raise ZeroDivisionError("a bug in the probe")

    monkeypatch.setattr(load_test, "record_gauges", broken)
    with pytest.raises(ZeroDivisionError, match="a bug in the probe"):
        await load(Load(users=4, window=30.0))
    assert started[0].returncode is not None


async def test_an_error_in_the_clients_recorder_ends_the_load_run(monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("a bug in the recorder")

    monkeypatch.setattr(Recorder, "read", broken)
    with pytest.raises(ExceptionGroup) as raised:
        await in_one_process(SMALL)
    assert raised.group_contains(ZeroDivisionError, match="a bug in the recorder")


async def test_an_early_end_of_the_control_ends_the_load_run(monkeypatch):
    async def ends(*_):
        return

    monkeypatch.setattr(clients, "measure_control", ends)
    with pytest.raises(RuntimeError, match="ended before the load run did"):
        await in_one_process(SMALL)


async def test_a_clients_process_that_dies_ends_the_load_run(monkeypatch):
    started = spying(monkeypatch)
    with pytest.raises(RuntimeError, match="died before the load run was over; its exit code is"):
        await load(Load(users=4, window=5.0, step=0.01), on_answer=lambda: started[0].kill())


async def test_an_error_in_the_clients_process_ends_the_load_run_with_its_traceback(monkeypatch):
    other_orders(monkeypatch, tokens={})
    with pytest.raises(RuntimeError, match=r"(?s)KeyError: 'user-\d'.*clients\.py"):
        await load(SMALL)


async def test_a_cancelled_load_run_leaves_no_process(monkeypatch):
    started = spying(monkeypatch)
    answered = asyncio.Event()
    running = asyncio.create_task(load(Load(users=4, window=5.0, step=0.01), on_answer=answered.set))
    await answered.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert started[0].returncode is not None


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="stops a process")
async def test_clients_that_hang_are_ended_too(monkeypatch):
    started = spying(monkeypatch)
    answered = asyncio.Event()
    running = asyncio.create_task(load(Load(users=4, window=5.0, step=0.01), on_answer=answered.set))
    await answered.wait()
    started[0].send_signal(signal.SIGSTOP)
    running.cancel()
    async with asyncio.timeout(60):
        with pytest.raises(asyncio.CancelledError):
            await running
    assert started[0].returncode == -signal.SIGKILL


async def test_a_loop_that_cannot_start_processes_says_what_to_use(monkeypatch):
    async def cannot(*_, **__):
        raise NotImplementedError

    monkeypatch.setattr(asyncio, "create_subprocess_exec", cannot)  # as Windows' selector loop
    with pytest.raises(RuntimeError, match=r"cannot start the clients' process; use netra_sim\.run"):
        await load(SMALL)


async def test_two_processes_without_a_common_clock_are_refused(monkeypatch):
    started = spying(monkeypatch)
    monkeypatch.setattr(process, "perf_counter", lambda: time.perf_counter() + 5.0)
    with pytest.raises(RuntimeError, match="share no clock"):
        await load(SMALL)
    assert started[0].returncode is not None


@pytest.mark.parametrize("in_the_server", [True, False])
async def test_errors_that_reach_the_loop_of_either_process_are_recorded(in_the_server, caplog):
    caplog.set_level(logging.CRITICAL)
    loop = asyncio.get_running_loop()

    def broken():
        raise ZeroDivisionError("by no one")

    history = await (load if in_the_server else in_one_process)(SMALL, on_answer=lambda: loop.call_soon(broken))
    errors = history.frame(Kind.LOOP_ERROR)
    # The load run may end with the last request, before the callback runs.
    assert len(errors) >= SMALL.users - 1
    assert set(errors["event"]) == {"ZeroDivisionError"}
    assert errors["detail"].str.contains("by no one").all()
    assert loop.get_exception_handler() is None


async def test_a_blocked_clients_loop_is_late_in_every_due_round_trip_of_the_control():
    stalls = iter([0.5])
    plan = Load(users=4, window=2.0, step=0.01)  # the last request is due long after the stall
    history = await in_one_process(plan, on_answer=lambda: time.sleep(next(stalls, 0.0)))
    late = samples(history, CONTROL_LATENCY)
    # Round trips were due every 0.02 s of the 0.5 s; half of their time is recorded.
    assert (late > 0.1).sum() >= (0.5 - 0.2) / control.INTERVAL - 2


async def test_the_control_answers_while_the_servers_loop_is_blocked():
    from websockets.sync.client import connect

    async with control.bare_echo() as uri:
        with connect(uri, compression=None, proxy=None) as socket:  # blocks this loop
            assert socket.ping().wait(timeout=30)
