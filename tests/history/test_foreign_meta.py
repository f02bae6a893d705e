"""The history of another system says what was recorded, and a log may hold the same records."""

import json

import pytest

from netra_sim.history import Kind, Objectives, foreign_meta, read_log
from netra_sim.recording import Recorder


def recorded():
    recorder = Recorder(lambda: 1.0)
    recorder.attached("c", "alice", "tab", 0.01, "lobby")
    recorder.left("c", "alice", "alice.1")
    recorder.left("c", "alice", "alice.2", is_lost=True)
    recorder.worked("alice.1", "alice", 7, "model")
    recorder.disclosed("c", "alice", "alice.1", "RUN_ERROR", "a key")
    recorder.out_of_order("c", "alice", "alice.1", "RUN_FINISHED", "a message is open")
    recorder.first_content("c", "alice", "alice.1", "TEXT_MESSAGE_CONTENT")
    recorder.other_run("c", "alice", "alice.2", "RAW", "alice.1")
    recorder.repeated("c", "alice", "alice.1", "TEXT_MESSAGE_CONTENT", 3)
    recorder.missing("c", "alice", "alice.1", 4, 6)
    recorder.answered("alice.1", "alice", "complete", tokens=9)
    return recorder.finish(foreign_meta())


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Kind.ATTACHED, {"connection": "c", "thread": "lobby", "detail": "tab", "value": 0.01}),
        (Kind.WORKED, {"run": "alice.1", "seq": 7, "detail": "model"}),
        (Kind.DISCLOSED, {"run": "alice.1", "connection": "c", "event": "RUN_ERROR", "detail": "a key"}),
        (Kind.OUT_OF_ORDER, {"run": "alice.1", "event": "RUN_FINISHED", "detail": "a message is open"}),
        (Kind.FIRST_CONTENT, {"run": "alice.1", "connection": "c", "event": "TEXT_MESSAGE_CONTENT"}),
        (Kind.OTHER_RUN, {"run": "alice.2", "connection": "c", "event": "RAW", "subject": "alice.1"}),
        (Kind.REPEATED, {"run": "alice.1", "event": "TEXT_MESSAGE_CONTENT", "seq": 3, "detail": "in the answer"}),
        (Kind.MISSING, {"run": "alice.1", "seq": 4, "value": 6.0, "detail": "in the answer"}),
        (Kind.ANSWERED, {"run": "alice.1", "event": "complete", "value": 9.0}),
    ],
)
def test_what_clients_and_services_of_another_system_notice_is_recorded(kind, expected):
    (row,) = recorded().frame(kind).to_dict("records")
    assert {name: row[name] for name in expected} == expected
    assert row["user"] == "alice"


def test_a_client_that_lost_its_connection_has_not_left_by_choice():
    assert list(recorded().frame(Kind.LEFT)["detail"]) == ["", "lost"]


def test_a_log_may_hold_every_kind_by_its_name(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(json.dumps({"kind": kind.name.lower(), "user": "alice"}) for kind in Kind))
    log = read_log(path)
    assert log.history.numbers["kind"].tolist() == [*Kind]
    assert log.other_kinds == {}


def test_the_meta_names_what_every_client_records_and_what_this_one_does():
    always, more = foreign_meta()["recorded"], foreign_meta(Kind.WORKED, Kind.LEFT)["recorded"]
    assert sorted({*always, "worked"}) == more
    assert {"requested", "received", "left", "sample"} <= set(always)
    assert "out_of_order" not in always


def test_the_meta_says_whose_data_may_be_seen_and_what_else_made_the_history():
    meta = foreign_meta(isolated_by="room", names_runs=True, objectives=Objectives(completed=0.5), seed=7)
    assert (meta["source"], meta["isolated_by"], meta["names_runs"], meta["seed"]) == ("system", "room", True, 7)
    history = Recorder(lambda: 0.0).finish(meta)
    assert history.objectives() == Objectives(completed=0.5)


def test_objectives_without_a_value_are_left_out_of_the_meta():
    assert not {"first_content_p95", "work_after_leaving"} & set(foreign_meta()["objectives"])
