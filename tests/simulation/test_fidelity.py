"""A simulation follows its scenario, draws independently, and has realistic networks and errors."""

import asyncio
import gc
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim import Scenario, simulate
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.history import Kind
from netra_sim.simulation import Agents, Burst, Closed, Constant, Network, Uniform, VirtualTimeLoop, Workload
from netra_sim.simulation.faults import AgentCrash, LoopStall, TabMultiplication
from netra_sim.simulation.network import SimulatedTransport
from netra_sim.simulation.workload import due_times

QUICK = Agents(think=Constant(0.2), tool=Constant(0.2))


# The simulation follows its scenario.


@pytest.mark.parametrize(("users", "runs"), [(1, 1), (11, 2), (30, 1), (3, 12)])
def test_every_user_sends_the_planned_number_of_requests(users, runs):
    workload = Workload(runs_per_user=runs, window=60.0)
    asked = simulate(Scenario(users=users, workload=workload, agents=QUICK)).frame(Kind.REQUESTED)["user"].astype(str)
    assert asked.value_counts().to_dict() == {f"user-{number}": runs for number in range(users)}


def test_a_delayed_request_keeps_its_due_time():
    workload = Workload(arrivals=Burst(at=1.0, width=8.0))
    scenario = Scenario(users=12, workload=workload, agents=QUICK, faults=(LoopStall(at=2.0, lasts=6.0),))
    asked = simulate(scenario).frame(Kind.REQUESTED)
    planned = [due for user in range(12) for due in due_times(workload, 1, user, 12)]
    assert sorted(asked["due"]) == sorted(planned)
    assert (asked["time"] - asked["due"]).max() > 2.0


def test_simultaneous_requests_of_a_user_are_in_different_threads():
    at_once = Workload(arrivals=Burst(at=2.0), runs_per_user=2)
    one_by_one = Workload(arrivals=Closed(think=Constant(1.0)), runs_per_user=3)
    for workload, threads in ((at_once, 2), (one_by_one, 1)):
        asked = simulate(Scenario(users=4, workload=workload)).frame(Kind.REQUESTED)
        assert asked.groupby("user", observed=True)["thread"].nunique().tolist() == [threads] * 4
        assert all(
            thread.startswith(f"{user}-thread-") for user, thread in zip(asked["user"], asked["thread"], strict=True)
        )


def test_a_user_name_may_be_the_prefix_of_another():
    asked = simulate(Scenario(users=12, agents=QUICK)).frame(Kind.REQUESTED)["user"].astype(str).tolist()
    assert {"user-1", "user-11"} <= set(asked)


def test_a_user_waits_until_every_tab_has_received_the_end():
    scenario = Scenario(
        users=4, workload=Workload(tabs_per_user=4), agents=QUICK, network=Network(latency=Uniform(0.0, 5.0))
    )
    history = simulate(scenario)
    ends = history.frame(Kind.RECEIVED)
    ends = ends[ends["event"] == "agent_completed"]
    assert ends["connection"].nunique() == 16
    left = history.frame(Kind.DISCONNECTED).groupby("user", observed=True)["time"].min()
    assert (left >= ends.groupby("user", observed=True)["time"].max()).all()


def test_a_user_waits_only_for_the_ends_in_planned_tabs():
    fault, far_away = TabMultiplication(at=0.0, lasts=100.0, tabs=3), Network(latency=Uniform(0.0, 5.0))
    history = simulate(Scenario(users=6, agents=QUICK, network=far_away, faults=(fault,)))
    ends = history.frame(Kind.RECEIVED)
    ends = ends[(ends["event"] == "agent_completed") & ends["connection"].astype(str).str.contains("/0/")]
    assert ends["user"].nunique() == 6


@pytest.mark.parametrize(
    ("reasoning", "bounds"), [(0, (0, 0)), (20_000, (6 * 20_000, 6 * 21_000)), (Uniform(1e4, 2e4), (6e4, 12.6e4))]
)
def test_agents_think_as_many_bytes_as_the_scenario_says(reasoning, bounds):
    sizes = {}
    received = SimulatedTransport._read

    def read(self, sent):
        for frame in sent.frames:
            if b'"agent_thinking"' in frame and len(frame) > 5_000:
                sizes.setdefault(self._stream, []).append(len(frame))
        received(self, sent)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SimulatedTransport, "_read", read)
        history = simulate(Scenario(users=3, agents=Agents(reasoning=reasoning)))
    assert len(history.frame(Kind.RECEIVED)["run"].unique()) == 3
    assert all(bounds[0] <= sum(of_a_run) <= bounds[1] for of_a_run in sizes.values())
    assert len(sizes) == (3 if reasoning else 0)


# Random draws.


def test_no_two_users_and_no_two_seeds_have_the_same_draws():
    scenario = Scenario(users=40)
    first, second = (simulate(scenario, seed) for seed in (1, 2))
    for column, kinds in (("due", [Kind.REQUESTED]), ("value", [Kind.ATTACHED])):
        own, others = (
            history.frame(*kinds).astype({"user": str}).sort_values("user")[column].to_numpy()
            for history in (first, second)
        )
        assert len(np.unique(own)) >= 39
        assert len(np.intersect1d(own, others)) <= 1
        assert abs(np.corrcoef(own[:40], others[:40])[0, 1]) < 0.5
    worked = [np.unique(np.round(one.frame(Kind.RECEIVED)["duration"].dropna(), 6)) for one in (first, second)]
    assert len(worked[0]) >= 230
    assert len(np.intersect1d(*worked)) <= 2


def test_the_agents_of_one_run_take_different_times():
    received = simulate(Scenario(users=20)).frame(Kind.RECEIVED).dropna(subset="duration")
    assert received.groupby("run", observed=True)["duration"].nunique().min() == 6


def test_all_received_data_carries_the_mark_of_its_user_and_run():
    history = simulate(Scenario(users=10, workload=Workload(runs_per_user=2)))
    received = history.frame(Kind.RECEIVED)
    marked = received[received["event"] != "agent_started"]
    assert (marked["subject"].astype(str) == marked["user"].astype(str)).all()
    assert len(history.frame(Kind.OTHER_RUN, Kind.LEAKED_CONTEXT)) == 0
    samples = history.frame(Kind.SAMPLE)
    assert samples[samples["detail"] == "context variables read"]["value"].tolist() == [len(received)]


def test_a_fault_can_hit_every_agent_of_a_run():
    history = simulate(Scenario(users=150, agents=QUICK, faults=(AgentCrash(at=0.0, lasts=100.0),)))
    ends = history.frame(Kind.RECEIVED).groupby("run", observed=True).size()
    assert len(set(ends)) >= 5


# The network.


class Line:
    """A transport that records the times at which its client reads frames and notices the close."""

    def __init__(self, loop, *, write_limit=100, **network):
        self.loop = loop
        self.read = []
        self.closed = []
        self.writable = []
        network = {"latency": Constant(0.1), "jitter": Constant(0.0), "bandwidth": 1000.0, "send_buffer": 0} | network
        self.transport = SimulatedTransport(loop, Network(**network), 1, write_limit, self._on_frames, self._on_close)
        self.transport.on_writable = lambda: self.writable.append(round(loop.time(), 6))

    def _on_frames(self, frames):
        self.read += [(round(self.loop.time(), 6), bytes(frame)) for frame in frames]

    def _on_close(self, code, reason):
        self.closed.append((round(self.loop.time(), 6), code))


def on_a_line(play, **settings):
    loop = VirtualTimeLoop()
    line = Line(loop, **settings)

    async def main():
        play(line)
        await asyncio.sleep(1000.0)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())
    return line


def test_bytes_accepted_by_the_operating_system_do_not_count_as_buffered():
    def play(line):
        line.transport.send([b"x" * 300])
        assert line.transport.buffered() == 0
        line.transport.send([b"x" * 300])
        assert line.transport.buffered() == 100

    on_a_line(play, send_buffer=500)


def test_a_transport_is_writable_again_at_a_quarter_of_the_limit():
    line = on_a_line(
        lambda line: [line.transport.send([b"x" * 20]) for _ in range(20)], write_limit=100, send_buffer=200
    )
    # Of 400 bytes the operating system holds 200. Writable at 225 unread bytes, so the ninth frame makes it so.
    assert line.writable == [pytest.approx(0.1 + 0.18)]


def test_a_transport_below_the_limit_never_reports_that_it_is_writable():
    assert on_a_line(lambda line: line.transport.send([b"x" * 90])).writable == []


def test_a_throttle_changes_waiting_frames_but_not_frames_on_the_wire():
    def play(line):
        line.transport.send([b"a" * 50])
        line.transport.send([b"b" * 100])
        line.loop.call_later(0.1, line.transport.throttle, 10.0)  # half of the second frame is left
        line.loop.call_later(2.1, line.transport.throttle, 1e9)  # and now 30 bytes

    line = on_a_line(play)
    assert [(time, frame[:1]) for time, frame in line.read] == [(0.15, b"a"), (pytest.approx(2.1 + 0.03 + 0.1), b"b")]


def test_a_client_notices_the_close_after_all_frames():
    def play(line):
        line.transport.send([b"a" * 50])
        line.transport.close(1001, "bye")
        line.transport.throttle(1.0)

    line = on_a_line(play)
    assert [time for time, _ in line.read] == [pytest.approx(50.1)]
    assert line.closed == [(pytest.approx(50.1), 1001)]


def test_frames_of_a_large_batch_arrive_one_after_the_other():
    line = on_a_line(lambda line: line.transport.send([b"a" * 200, b"b" * 300]))
    assert [time for time, _ in line.read] == [pytest.approx(0.3), pytest.approx(0.6)]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(1, 400)),
        st.tuples(st.just("throttle"), st.sampled_from([1.0, 50.0, 400.0, 1e9])),
        st.tuples(st.just("stall"), st.just(None)),
        st.tuples(st.just("resume"), st.just(None)),
    ),
    max_size=30,
)


@given(steps, st.sampled_from([0.0, 0.05, 0.3]), st.integers(0, 300))
def test_all_frames_arrive_once_in_order_under_any_throttles_and_stalls(plan, pause, send_buffer):
    sent = []

    def play(line):
        for number, (what, how) in enumerate(plan):
            if what == "send":
                sent.append(bytes([number]) * how)
                act = partial(line.transport.send, [sent[-1]])
            else:
                act = partial(getattr(line.transport, what), *([how] if how else []))
            line.loop.call_at(pause * number, act)
        line.loop.call_at(pause * len(plan), line.transport.resume)
        line.loop.call_at(pause * len(plan), line.transport.throttle, 1e9)

    line = on_a_line(play, send_buffer=send_buffer)
    assert [frame for _, frame in line.read] == sent
    assert line.transport.buffered() == 0


# Unhandled errors.


class Careless(ExecutionEngineFactory):
    """Has a lost task that fails, a task that fails in a reference cycle, and a callback that raises."""

    async def shutdown(self, drain=0.0):
        async def lost():
            raise KeyError("lost")

        async def entangled():
            error = ValueError(f"entangled with {object()!r}")
            error.task = asyncio.current_task()
            raise error

        def callback():
            raise ZeroDivisionError("in a callback")

        tasks = [asyncio.create_task(lost()), asyncio.create_task(entangled())]
        asyncio.get_running_loop().call_soon(callback)
        await asyncio.wait(tasks)
        await super().shutdown(drain)


def test_unhandled_errors_are_recorded_reproducibly_and_not_printed(capfd, caplog):
    histories = []
    for _ in range(2):
        histories.append(simulate(Scenario(users=2, agents=QUICK), factory_class=Careless))
        gc.collect()
    errors = histories[0].frame(Kind.LOOP_ERROR)
    assert sorted(errors["event"].astype(str)) == ["KeyError", "ValueError", "ZeroDivisionError"]
    texts = "\n".join(errors["detail"].astype(str))
    assert "Careless.shutdown.<locals>.lost: KeyError: 'lost'" in texts
    assert "Careless.shutdown.<locals>.callback: ZeroDivisionError: in a callback" in texts
    assert "ValueError: entangled with <object object>" in texts
    assert histories[0].digest() == histories[1].digest()
    assert (capfd.readouterr().err, caplog.text) == ("", "")


def test_a_healthy_simulation_records_no_loop_errors():
    assert len(simulate(Scenario(users=5)).frame(Kind.LOOP_ERROR)) == 0


class MonitorFails(ExecutionEngineFactory):
    def __init__(self, **settings):
        super().__init__(**settings)

        async def monitor():
            raise OSError("the monitor broke")

        settings["websocket_bridge"].monitor = monitor


def test_an_error_in_the_bridge_monitor_is_recorded():
    errors = simulate(Scenario(users=2, agents=QUICK), factory_class=MonitorFails).frame(Kind.LOOP_ERROR)
    assert errors["event"].tolist() == ["OSError"]
    assert "the monitor broke" in errors["detail"].tolist()[0]
