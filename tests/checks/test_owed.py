"""Which client is owed which event: each wrong history is paired with a right one that differs only in the error."""

import json

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from story import EVENTS, Story, result_of, states

from netra_sim import History, Scenario, check, simulate
from netra_sim.checks import CHECKS, Records
from netra_sim.checks.clients import Clients
from netra_sim.checks.owing import IN_FLIGHT
from netra_sim.history import Kind, LogMapping, read_log
from netra_sim.simulation import Agents, LogNormal, Workload
from netra_sim.simulation.faults import DeadSocket, Disconnect, SlowConsumer, StalledSocket, TabMultiplication


def failed(history, *names):
    found = {name for name, state in states(history).items() if state == "failed"}
    return found & set(names) if names else found


def messages(history, name="delivery"):
    return {finding.message for finding in result_of(history, name).findings}


def alices_run(*connections, begin=1.0, run="r", user="alice", kinds=("published", "received"), drop=(), first=0):
    """The records of one run in a log: one event per second, which the connections receive 10 ms later.

    Args:
        connections: that the events come on.
        begin: seconds at which number 0 is published.
        run: its id.
        user: its owner.
        kinds: of record that the log has.
        drop: numbers, or pairs of a connection and a number, that are lost.
        first: the first number that the log has.
    """
    records = []
    for seq, event in list(enumerate(EVENTS))[first:]:
        what = {"user": user, "run": run, "event": event, "seq": seq}
        records.append({"kind": "published", "time": begin + seq, **what})
        for name in connections:
            if seq not in drop and (name, seq) not in drop:
                records.append({"kind": "sent", "time": begin + seq, "connection": name, **what})
                stamp = {"connection": name, "value": begin + seq}
                records.append({"kind": "received", "time": begin + seq + 0.01, **stamp, **what})
    return [record for record in records if record["kind"] in kinds]


def connected(time, connection, user="alice", **more):
    return {"kind": "connected", "time": time, "user": user, "connection": connection, **more}


def disconnected(time, connection, code, user="alice"):
    return {"kind": "disconnected", "time": time, "user": user, "connection": connection, "value": code}


@pytest.fixture
def log(tmp_path):
    def read(*records, **mapping):
        path = tmp_path / "log.jsonl"
        path.write_text("\n".join(map(json.dumps, records)))
        return read_log(path, LogMapping(**mapping)).history

    return read


def two_tabs(*, second_gets, closes_after, code):
    """A run of Alice; her second tab is sent and receives some of its events, then closes."""
    story = Story().run("bob", "bob.1")
    recorder = story.recorder
    for tab in ("alice/0", "alice/1"):
        recorder.connected(tab, "alice")
    story.run()
    for seq in second_gets:
        recorder.sent("alice/1", "alice", "alice.1", EVENTS[seq], seq)
        recorder.received("alice/1", "alice", "alice.1", EVENTS[seq], seq, subject="alice", timestamp=story.now)
    story.now += closes_after
    recorder.disconnected("alice/1", "alice", code, "the tab is closed")
    return story.end()


@pytest.mark.parametrize("code", [1000, 1001, 1005, 1006])
@pytest.mark.parametrize(("second_gets", "is_wrong"), [((), True), ((0, 1, 2), True), (range(5), False)])
def test_an_event_never_sent_to_a_tab_is_lost_even_if_the_tab_closes_soon(code, second_gets, is_wrong):
    history = two_tabs(second_gets=second_gets, closes_after=5.0, code=code)
    assert failed(history, "delivery") == ({"delivery"} if is_wrong else set())


@pytest.mark.parametrize(("later", "is_excused"), [(IN_FLIGHT - 1, True), (IN_FLIGHT, True), (IN_FLIGHT + 1, False)])
def test_a_sent_event_is_excused_within_the_time_to_notice_a_dead_peer(later, is_excused):
    story = Story().run("bob", "bob.1").run(drop=(4,))
    story.now = 100.0
    story.recorder.sent("alice/0", "alice", "alice.1", EVENTS[4], 4)
    story.now += later
    story.recorder.disconnected("alice/0", "alice", 1006, "no answer to pings")
    assert failed(story.end(), "delivery", "truthfulness") == (set() if is_excused else {"delivery", "truthfulness"})


@pytest.mark.parametrize(("arrives", "is_excused"), [(27.0, True), (24.0, False)])
def test_an_event_that_waits_on_a_slow_line_may_be_lost_when_its_tab_is_closed(arrives, is_excused):
    story = Story().run("bob", "bob.1").run(drop=(3, 4))
    recorder, begin = story.recorder, story.now
    recorder.sent("alice/0", "alice", "alice.1", EVENTS[3], 3)
    recorder.sent("alice/0", "alice", "alice.1", EVENTS[4], 4)
    story.now = begin + arrives
    recorder.received("alice/0", "alice", "alice.1", EVENTS[3], 3, subject="alice", timestamp=begin)
    story.now = begin + 30.0
    recorder.disconnected("alice/0", "alice", 1000, "the tab was closed")
    assert failed(story.end(), "truthfulness") == (set() if is_excused else {"truthfulness"})


@pytest.mark.parametrize("at", [0.5, 2.0, 6.0])
def test_a_tab_that_is_closed_on_a_slow_line_accuses_nobody(at):
    faults = (SlowConsumer(at=2.0, lasts=30.0, share=1.0), TabMultiplication(at=at, lasts=30.0, share=1.0))
    agents = Agents(think=LogNormal(0.3, 0.5), tool=LogNormal(0.2, 0.3))
    scenario = Scenario(users=3, workload=Workload(window=4.0, runs_per_user=2), agents=agents, faults=faults)
    assert failed(simulate(scenario), "truthfulness", "delivery") == set()


def test_events_behind_an_unread_event_are_excused_with_it():
    story = Story().run("bob", "bob.1").run(drop=(2, 3, 4))
    story.recorder.sent("alice/0", "alice", "alice.1", EVENTS[2], 2)
    story.now += 30
    story.recorder.disconnected("alice/0", "alice", 4008, "slow consumer")
    assert failed(story.end(), "delivery", "truthfulness") == set()


def after_the_page_was_closed(*, comes_after, replayed):
    """Alice closes the page during her run, and opens another one some seconds after its end."""
    story = Story().run("bob", "bob.1")
    recorder = story.recorder
    recorder.connected("alice/0", "alice")
    for seq, event in enumerate(EVENTS):
        story.now += 1.0
        recorder.published("alice.1", "alice", event, seq)
        if seq == 2:
            recorder.disconnected("alice/0", "alice", 1001, "the page is left")
        if seq < 2:
            recorder.sent("alice/0", "alice", "alice.1", event, seq)
            recorder.received("alice/0", "alice", "alice.1", event, seq, subject="alice", timestamp=story.now)
    story.now += comes_after
    recorder.connected("alice/1", "alice")
    for seq in range(5) if replayed else ():
        recorder.sent("alice/1", "alice", "alice.1", EVENTS[seq], seq)
        recorder.received("alice/1", "alice", "alice.1", EVENTS[seq], seq, subject="alice", timestamp=story.now)
    story.now += 300
    return story.end()


@pytest.mark.parametrize(
    ("comes_after", "replayed", "is_wrong"), [(10, True, False), (10, False, True), (150, False, False)]
)
def test_events_without_a_client_present_are_owed_to_the_next_client_in_time(comes_after, replayed, is_wrong):
    history = after_the_page_was_closed(comes_after=comes_after, replayed=replayed)
    assert failed(history, "delivery") == ({"delivery"} if is_wrong else set())


@pytest.mark.parametrize(("lost", "is_wrong"), [((), False), ((4,), True)])
def test_clients_of_two_users_may_have_the_same_name(log, lost, is_wrong):
    history = log(
        connected(0, "a", client="tab 1"),
        connected(0, "b", "bob", client="tab 1"),
        *alices_run("a", drop=lost),
        disconnected(300, "a", 1000),
        *alices_run(begin=310, run="r2"),  # Alice has no client any more; Bob's tab does not count.
        *alices_run("b", begin=320, run="r3", user="bob"),
        disconnected(900, "b", 1000, "bob"),
    )
    assert failed(history, "delivery") == ({"delivery"} if is_wrong else set())


def test_two_connections_may_both_get_all_events_in_a_log_without_openings(log):
    assert failed(log(*alices_run("a", "b")), "delivery") == set()
    twice = [*alices_run("a"), *alices_run("a", kinds=("received",))]
    assert messages(log(*twice)) == {f"{event} was received twice by one client" for event in EVENTS}


@pytest.mark.parametrize(("later", "is_wrong"), [(1.0, False), (0.0, True)], ids=["stamped anew", "the same stamps"])
def test_a_run_id_may_be_used_again_in_a_log_of_received_events(log, later, is_wrong):
    again = alices_run("a", begin=300, kinds=("received",))
    if is_wrong:
        again = [one | {"value": one["value"] - 299} for one in again]
    history = log(*alices_run("a", kinds=("received",)), *again)
    assert failed(history, "delivery") == ({"delivery"} if is_wrong else set())


def test_a_forgotten_run_id_may_be_used_by_another_user():
    story = Story().run(user="alice", run="run-1")
    story.now += 300
    assert failed(story.run(user="bob", run="run-1").run("carol", "run-2").end()) == set()


def test_numbers_that_restart_before_the_end_of_a_run_are_found(log):
    begun = [one for one in alices_run("a") if one["seq"] < 3]
    history = log(*begun, *alices_run("a", begin=20))
    assert f"{EVENTS[0]} was published under a number that had been used" in messages(history)


def test_missing_numbers_are_found_in_a_log_of_received_events(log):
    records = alices_run("a", kinds=("received",), drop=(2,))
    assert messages(log(*records)) == {"tool_completed comes after numbers that are missing, and no gap was announced"}
    gap = {"kind": "gap", "time": 3.5, "user": "alice", "run": "r", "connection": "a", "seq": 2, "value": 2}
    assert failed(log(*records, gap), "delivery") == set()


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        (2, 2, None),
        (1, 2, "the gap 1 to 2 of run r was announced, and the client has received what it covers"),
        (2, 3, "the gap 2 to 3 of run r was announced, and the client has received what it covers"),
        (2, 9, "the gap 2 to 9 of run r was announced, and goes beyond what was published"),
        (0, -1, "the gap from 0 of run r was announced, and the client has received what it covers"),
        (1, 1, "tool_executing was never received, and no gap was announced"),
    ],
)
def test_a_gap_covers_the_missing_events_and_no_others(log, first, last, message):
    gap = {"kind": "gap", "time": 3.5, "user": "alice", "run": "r", "connection": "a", "seq": first, "value": last}
    history = log(connected(0, "a"), *alices_run("a", drop=(2,)), gap, objectives={"delivered": 0.5})
    found = {finding.message for result in check(history, checks=[CHECKS["delivery"]]) for finding in result.findings}
    assert message in found if message else not found


@pytest.mark.parametrize("is_read", [True, False])
def test_a_gap_that_no_client_reads_is_found_whether_or_not_clients_have_names(is_read):
    story = Story().run("bob", "bob.1").run(drop=(2,))
    story.recorder.gap("alice/0", "alice", "alice.1", 2, 2, "evicted")
    if is_read:
        story.recorder._row(Kind.GAP_RECEIVED, user="alice", connection="alice/0", run="alice.1", seq=2, value=2)
    result = result_of(story.end(), "truthfulness")
    assert result.state == ("passed" if is_read else "failed")


ALL = ("published", "sent", "received")


def test_a_log_may_begin_when_connections_are_open_and_runs_go_on(log):
    history = log(
        # Its number 1 was published and sent before the log began.
        {"kind": "received", "time": 0.5, "user": "alice", "run": "r", "connection": "a", "event": EVENTS[1], "seq": 1},
        *alices_run("a", kinds=ALL, first=2),
        {"kind": "scope_closed", "time": 7, "user": "alice", "run": "r", "value": 0},
        {"kind": "scope_opened", "time": 8, "user": "carol", "run": "r3"},  # Its request came before the log.
        connected(8, "b", "bob"),
        {"kind": "requested", "time": 8.98, "user": "bob", "run": "r2"},
        {"kind": "scope_opened", "time": 8.99, "user": "bob", "run": "r2"},
        *alices_run("b", begin=9, run="r2", user="bob", kinds=ALL),
        *alices_run("c", begin=9, run="r3", user="carol", kinds=ALL),
        {"kind": "scope_closed", "time": 15, "user": "bob", "run": "r2", "value": 0},
        {"kind": "scope_closed", "time": 15, "user": "carol", "run": "r3", "value": 0},
    )
    assert failed(history) == set()


def test_losses_are_found_on_connections_that_were_open_before_the_log(log):
    history = log(
        *alices_run("a", kinds=ALL, first=2, drop=(3,)),
        connected(8, "b", "bob"),
        *alices_run("b", begin=9, run="r2", user="bob", kinds=ALL),
    )
    assert "tool_completed was never received, and no gap was announced" in messages(history)


def test_a_request_for_an_old_run_may_be_refused():
    story = Story().run("bob", "bob.1").run()
    story.recorder.refused("alice.1", "alice", "not_ready")
    assert failed(story.end(), "scopes") == {"scopes"}
    story.recorder.requested("alice.1", "alice", story.now, "alice-thread")
    assert failed(story.end(), "scopes") == set()


def test_a_client_that_reconnects_thousands_of_times_is_owed_each_event_once(log):
    records = [connected(0, "b", "bob")]
    for number in range(3_000):
        name, begin = f"page {number}", 10.0 * number
        records += [connected(begin, name), *alices_run(name, begin=begin + 1, run=f"r{number}")]
        records += [disconnected(begin + 9, name, 1001)]
    result = result_of(log(*records), "delivery")
    assert (result.state, result.looked_at) == ("passed", 15_000)


TROUBLE = st.lists(
    st.builds(
        lambda fault, at, lasts, share: fault(at=at, lasts=lasts, share=share),
        st.sampled_from([Disconnect, DeadSocket, SlowConsumer, StalledSocket, TabMultiplication]),
        st.floats(0.5, 8.0),
        st.sampled_from([0.5, 5.0, 30.0]),
        st.sampled_from([0.5, 1.0]),
    ),
    max_size=3,
)
SCENARIOS = st.builds(
    lambda users, runs, tabs, faults: Scenario(
        users=users,
        workload=Workload(window=4.0, runs_per_user=runs, tabs_per_user=tabs),
        agents=Agents(think=LogNormal(0.3, 0.5), tool=LogNormal(0.2, 0.3)),
        faults=tuple(faults),
    ),
    *(st.integers(2, 4), st.integers(1, 3), st.integers(1, 3), TROUBLE),
)
CLIENTS_SIDE = [
    CHECKS[name] for name in ("delivery", "truthfulness", "every-run-ends", "timestamps", "cross-user-isolation")
]


def found(history):
    return {result.check: result.found for result in check(history, checks=CLIENTS_SIDE)}


def with_rows(history, rows):
    """A history of these rows, in this order."""
    numbers = {name: values[rows].copy() for name, values in history.numbers.items()}
    codes = {name: values[rows].copy() for name, values in history.codes.items()}
    return History(numbers, codes, history.tables, history.meta)


@given(SCENARIOS, st.integers(0, 10_000), st.data())
@settings(max_examples=25, phases=(Phase.explicit, Phase.reuse, Phase.generate))
def test_a_clean_history_passes_and_one_dropped_doubled_or_moved_row_is_found(scenario, seed, data):
    history = simulate(scenario, seed)
    before = found(history)
    # A user at the connection limit may never learn of an end while the server still counts dead connections.
    assert {name for name, count in before.items() if count} <= {"every-run-ends"}

    def is_found(changed):
        return any(count > before[name] for name, count in found(changed).items())

    records = Records(history)
    clients, received = Clients(records), records.rows(Kind.RECEIVED)
    of, runs, times = clients.of(received), records.codes["run"], records.numbers["time"]
    place = data.draw(st.integers(0, len(received) - 1))
    row, all_rows = int(received[place]), np.arange(len(history))
    later = received[(of == of[place]) & (runs[received] == runs[row]) & (received > row)]
    assert is_found(with_rows(history, np.insert(all_rows, row, row)))
    without = np.delete(all_rows, row)
    closed = clients.closed[clients.last[of[place]]]
    # An event just before a close may be lost in flight, so a dropped last arrival is no finding.
    is_excused = not len(later) and closed < len(history) and times[closed] - times[row] <= IN_FLIGHT
    assert is_excused or is_found(with_rows(history, without))
    if len(later):
        moved = with_rows(history, np.insert(without, later[0], row))
        moved.numbers["time"][later[0]] = times[later[0]]
        assert is_found(moved)
    published = records.rows(Kind.PUBLISHED)
    source = int(published[(records.keys("run", "seq")[published] == records.keys("run", "seq")[row])][0])
    early = with_rows(history, np.insert(without, source, row))
    early.numbers["time"][source] = times[source] - 0.01
    assert is_found(early)
    misled = with_rows(history, all_rows)
    others = [code for code, name in enumerate(history.tables["user"]) if name and code != misled.codes["user"][row]]
    misled.codes["user"][row] = data.draw(st.sampled_from(others))
    assert is_found(misled)
