"""What the journal finds in data that arrives in pieces: marks, planted secrets and numbered tokens."""

from hypothesis import given
from hypothesis import strategies as st

from netra_sim.clients import ENDED, Journal
from netra_sim.history import Kind
from netra_sim.recording import Recorder, mark

SECRET = 'the "key" sk-123'


class Told:
    """A journal of alice's and the records that it writes."""

    def __init__(self, secrets=None):
        self.recorder = Recorder(lambda: 0.0)
        self.journal = Journal(self.recorder, "alice", secrets or {})
        self.journal.requested("alice.0", 0.0, "thread")
        self.connection = self.journal.connected()

    def receive(self, data=b"", run="alice.0", event="token", **more):
        self.journal.received(self.connection, run, event, data, **more)

    def rows(self, kind, *columns):
        frame = self.recorder.finish({}).frame(kind)
        return [tuple(row) for row in frame[list(columns)].itertuples(index=False)]

    def one(self, kind, column):
        return [row[0] for row in self.rows(kind, column)]


def cut(data, text):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    return [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@given(st.data())
def test_the_mark_of_another_user_is_found_once_wherever_the_bytes_are_cut(data):
    told = Told()
    for piece in cut(data, f"xcanary {mark('alice', 'alice.0')}c{mark('bob', 'bob.1')} and more".encode()):
        told.receive(piece)
    subjects = told.one(Kind.RECEIVED, "subject")
    assert subjects.count("bob") in (1, 2)  # twice if the cut is between the user and the run
    assert set(subjects) <= {"", "alice", "bob"}
    assert not told.rows(Kind.OTHER_RUN, "run")


@given(st.data())
def test_a_mark_whose_pieces_come_in_events_of_their_own_is_found_in_the_text_of_the_answer(data):
    told = Told()
    for piece in cut(data, f"for {mark('bob')}, of course"):
        told.receive(b'data: {"delta": "..."}\n\n', content=piece)
    assert told.one(Kind.RECEIVED, "subject").count("bob") == 1


def test_a_mark_at_the_end_of_one_event_does_not_count_in_the_next():
    told = Told()
    told.receive(b"canary:bob;")
    told.receive(b"nothing")
    assert told.one(Kind.RECEIVED, "subject") == ["bob", ""]


def test_data_of_another_run_of_the_same_user_is_recorded_once():
    told = Told()
    for _ in range(2):
        told.receive(f"{mark('alice', 'alice.0')} {mark('alice', 'alice.1')} {mark('alice', 'alice.2')}".encode())
    assert told.rows(Kind.OTHER_RUN, "run", "subject") == [("alice.0", "alice.1"), ("alice.0", "alice.2")]


@given(st.data())
def test_a_planted_secret_is_disclosed_once_a_run_as_text_and_as_json_wherever_it_is_cut(data):
    told = Told({"the key": SECRET, "another": "not there"})
    spelling = data.draw(st.sampled_from([SECRET, SECRET.replace('"', '\\"')]))
    for piece in cut(data, f"RuntimeError: {spelling}; {spelling}".encode()):
        told.receive(piece)
    assert told.rows(Kind.DISCLOSED, "run", "event", "detail") == [("alice.0", "token", "the key")]


def test_a_secret_in_what_belongs_to_no_run_is_disclosed_too_and_so_is_another_user():
    told = Told({"the key": SECRET})
    told.journal.received_control(told.connection, "http 500", f"x-error: {SECRET} {mark('bob')}".encode())
    assert told.rows(Kind.DISCLOSED, "run", "detail") == [("", "the key")]
    assert told.rows(Kind.CONTROL_RECEIVED, "event", "subject") == [("http 500", "bob")]


@given(st.data())
def test_an_answer_with_all_tokens_is_complete_wherever_it_is_cut(data):
    told = Told()
    for piece in cut(data, "".join(f"word #{number}; " for number in range(12))):
        told.receive(content=piece)
    told.receive(event=ENDED)
    told.journal.answered("alice.0")
    assert told.rows(Kind.ANSWERED, "event", "value") == [("complete", 12)]
    assert not told.rows(Kind.REPEATED, "seq") + told.rows(Kind.MISSING, "seq")
    assert len(told.rows(Kind.FIRST_CONTENT, "run")) == 1


def test_missing_and_repeated_tokens_are_named_and_each_text_of_an_answer_has_its_own_numbers():
    told = Told()
    told.receive(content="#0; #1; #4;")
    told.receive(content="#4; #1; #5;")
    told.receive(content="#0; #1;", part="the second text")
    assert told.rows(Kind.MISSING, "seq", "value") == [(2, 3)]
    assert told.one(Kind.REPEATED, "seq") == [4, 1]


def test_an_answer_without_text_is_empty():
    told = Told()
    told.receive(content=" \n")
    told.journal.answered("alice.0")
    assert told.one(Kind.ANSWERED, "event") == ["empty"]


def test_a_connection_ends_once():
    told = Told()
    told.journal.disconnected(told.connection, 1006, "lost")
    told.journal.disconnected(told.connection, 1000, "closed")
    assert told.rows(Kind.DISCONNECTED, "connection", "value", "detail") == [("alice#0", 1006, "lost")]
    assert told.journal.connected() == "alice#1"
