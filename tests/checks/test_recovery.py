"""Recovery is timed for each user, from the end of the last fault until they are served as before."""

import pytest
from story import result_of

from netra_sim.recording import Recorder


class Outage:
    """A fault from 10 to 20 s, during runs of alice and bob."""

    def __init__(self):
        self.now = 0.0
        self.recorder = Recorder(lambda: self.now)
        for user in ("alice", "bob"):
            self.recorder.connected(f"{user}/0", user)
            self.recorder.requested(f"{user}.1", user, 0.0)
            self.event(user, 1.0, 1.01, 0)
        self.fault(10.0, 20.0)

    def fault(self, began, ended):
        self.at(began).fault_began("outage")
        self.at(ended).fault_ended("outage")

    def at(self, time):
        self.now = time
        return self.recorder

    def event(self, user, published, arrived, seq, name="agent_thinking"):
        self.at(published).published(f"{user}.1", user, name, seq)
        self.at(arrived).received(f"{user}/0", user, f"{user}.1", name, seq, subject=user, timestamp=published)

    def end(self, *, recorded=None, **objectives):
        for user in ("alice", "bob"):
            self.event(user, 99.0, 99.01, 9, "agent_completed")
        return result_of(self.recorder.finish({"recorded": recorded}), "recovery", **objectives)


def test_without_faults_there_is_nothing_to_recover_from():
    recorder = Recorder(lambda: 0.0)
    recorder.connected("alice/0", "alice")
    assert result_of(recorder.finish({}), "recovery").state == "not applicable"


def test_recovery_from_a_fault_that_hits_no_user_is_immediate():
    result = Outage().end()
    assert (result.state, result.looked_at, result.measured["users hit"].value) == ("passed", 1, 0.0)


@pytest.mark.parametrize(("back", "state"), [(24.9, "passed"), (25.2, "failed")])
def test_a_disconnected_user_is_back_when_connected_again(back, state):
    outage = Outage()
    outage.at(12.0).disconnected("alice/0", "alice", 1006, "gone")
    outage.fault(13.0, 20.0)
    outage.at(back).connected("alice/1", "alice")
    result = outage.end()
    assert result.state == state
    assert result.measured["slowest"].value == pytest.approx(back - 20.0)
    if state == "failed":
        message = "alice was served as before 5.2 s after the end of outage; the objective is 5.0 s"
        assert [finding.message for finding in result.findings] == [message]


def test_a_user_who_left_does_not_count():
    outage = Outage()
    outage.at(21.0)
    outage.recorder.disconnected("bob/0", "bob", 1000, "bye")
    outage.fault(22.0, 23.0)
    outage.at(80.0).connected("bob/1", "bob")
    assert outage.end().state == "passed"


def test_late_events_count_until_the_chain_of_them_ends():
    outage = Outage()
    outage.at(19.0).published("bob.1", "bob", "agent_thinking", 1)
    outage.fault(19.5, 20.0)
    outage.at(22.0).received("bob/0", "bob", "bob.1", "agent_thinking", 1, subject="bob", timestamp=19.0)
    for published, arrived, seq in ((21.0, 26.5, 2), (26.4, 28.0, 3), (60.0, 61.0, 4)):
        outage.event("bob", published, arrived, seq)
    result = outage.end()
    assert result.measured["slowest"].value == pytest.approx(8.0)
    assert [finding.user for finding in result.findings] == ["bob"]


def test_a_slow_system_has_not_recovered():
    def outage(slow):
        outage = Outage()
        for seq in range(1, 70):
            outage.event("alice", 20.0 + seq, 20.5 + seq if seq <= slow else 20.01 + seq, seq)
        return outage

    assert outage(slow=35).end().measured["slowest"].value == pytest.approx(35.5)
    assert outage(slow=8).end().measured["users hit"].value == 0.0


def test_a_late_event_long_after_the_fault_does_not_count():
    outage = Outage()
    outage.event("alice", 60.0, 75.0, 1)
    assert outage.end().state == "passed"


def test_a_system_that_still_refuses_requests_has_not_recovered():
    outage = Outage()
    outage.at(26.0).requested("bob.2", "bob", 26.0)
    outage.recorder.refused("bob.2", "bob", "not_ready")
    outage.at(70.0).requested("alice.2", "alice", 70.0)
    outage.recorder.refused("alice.2", "alice", "engine_limit")
    result = outage.end()
    assert [(finding.user, result.measured["slowest"].value) for finding in result.findings] == [("bob", 6.0)]


def test_a_user_with_an_earlier_request_without_an_end_is_never_served_again():
    outage = Outage()
    outage.at(20.0).requested("carol.1", "carol", 15.0)
    outage.fault(21.0, 22.0)
    result = outage.end()
    assert result.measured["never served again"].value == 1.0
    assert "carol was never served as before after the end of outage" in result.findings[0].message


def test_time_counts_from_the_end_of_all_faults_to_the_beginning_of_the_next():
    outage = Outage()
    outage.at(30.0).fault_began("outer")
    outage.at(31.0).disconnected("alice/0", "alice", 1006, "gone")
    outage.fault(32.0, 33.0)
    outage.at(50.0).fault_ended("outer")
    outage.at(53.0).fault_began("next")
    outage.at(90.0).fault_ended("next")
    outage.at(91.0).connected("alice/1", "alice")
    result = outage.end(recovery=2.0)
    assert (result.looked_at, result.measured["slowest"].value) == (3, 3.0)
    assert [finding.time for finding in result.findings] == [50.0]


def test_recovery_is_not_applicable_without_records_of_connections():
    recorded = ["fault_began", "fault_ended", "published", "received"]
    assert Outage().end(recorded=recorded).state == "not applicable"


def test_a_user_disconnected_at_the_beginning_of_the_recording_counts():
    now = 0.0
    recorder = Recorder(lambda: now)
    recorder.disconnected("alice/0", "alice", 1006, "gone")
    recorder.fault_began("outage")
    now = 10.0
    recorder.fault_ended("outage")
    now = 18.0
    recorder.connected("alice/1", "alice")
    result = result_of(recorder.finish({}), "recovery")
    assert (result.measured["slowest"].value, [finding.user for finding in result.findings]) == (8.0, ["alice"])
