"""A history keeps all records, has a digest of them, and is never half written."""

import itertools
import os
import subprocess
import sys
from math import nan

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netra_sim import History
from netra_sim.checks import check
from netra_sim.history import HistoryError, Kind
from netra_sim.recording import Recorder, mark, marks_in

NAMES = st.sampled_from(["", "alice", "bob", "Zoë", "a,b", "canary"])


def recorded(rows, meta=None):
    clock = itertools.count()
    recorder = Recorder(lambda: float(next(clock)))
    for user, run, seq in rows:
        recorder.published(run, user, "agent_thinking", seq)
        recorder.received("c", user, run, "agent_thinking", seq, subject=user, timestamp=0.0)
        recorder.requested(run, user, 0.5)
    return recorder.finish(meta or {"seed": 1})


@given(st.lists(st.tuples(NAMES, NAMES, st.integers(0, 2**40)), max_size=20))
@settings(max_examples=40)
def test_a_loaded_history_equals_the_saved_one(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("histories") / "h.parquet"
    history = recorded(rows, {"seed": 7, "environment": {"python": "3.x"}})
    history.save(path)
    loaded = History.load(path)
    assert loaded.digest() == history.digest()
    assert loaded.meta == history.meta
    pd.testing.assert_frame_equal(loaded.frame(), history.frame())


def test_the_digest_covers_everything_except_the_environment():
    rows = [("alice", "r", 0)]
    same = recorded(rows, {"seed": 1, "environment": {"python": "3.11"}})
    assert recorded(rows, {"seed": 1, "environment": {"python": "3.13"}}).digest() == same.digest()
    others = [
        recorded(rows, {"seed": 2}),
        recorded([("bob", "r", 0)]),
        recorded([("alice", "q", 0)]),
        recorded([("alice", "r", 1)]),
        recorded([]),
    ]
    assert len({same.digest(), *(other.digest() for other in others)}) == 6


def test_the_digest_does_not_depend_on_the_process():
    script = "from test_history import recorded; print(recorded([('alice', 'r', 3), ('Zoë', 'q', 4)]).digest())"
    environment = os.environ | {"PYTHONPATH": os.path.dirname(__file__)}
    digests = set()
    for seed in ("1", "2"):
        environment["PYTHONHASHSEED"] = seed
        digests.add(subprocess.check_output([sys.executable, "-c", script], env=environment, text=True).strip())
    assert digests == {recorded([("alice", "r", 3), ("Zoë", "q", 4)]).digest()}


def test_a_frame_holds_the_rows_of_the_kinds_asked_for_in_their_order():
    frame = recorded([("alice", "r", 0), ("bob", "q", 1)]).frame(Kind.PUBLISHED, Kind.REQUESTED)
    assert frame["kind"].tolist() == [5, 1, 5, 1]
    assert frame["user"].tolist() == ["alice", "alice", "bob", "bob"]
    assert frame["seq"].tolist() == [0, -1, 1, -1]
    assert frame["due"].isna().tolist() == [True, False, True, False]


def test_more_rows_than_fit_into_one_chunk_are_kept():
    history = recorded([("alice", "r", number) for number in range(40_000)])
    assert len(history) == 120_000
    assert history.frame(Kind.PUBLISHED)["seq"].tolist() == list(range(40_000))


def test_a_file_that_was_changed_is_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = recorded([("alice", "r", 0)]).save(tmp_path / "h.parquet")
    table = pq.read_table(path)
    changed = table.set_column(table.schema.get_field_index("seq"), "seq", pa.array([9] * len(table)))
    pq.write_table(changed, path)
    with pytest.raises(HistoryError, match="changed since"):
        History.load(path)


@pytest.mark.parametrize("objectives", [{"speed_of_light": 1.0}, {"delivered": 2.0}, [0.9]])
def test_objectives_that_this_version_does_not_know_are_refused(tmp_path, objectives):
    history = recorded([("alice", "r", 0)], {"objectives": objectives})
    path = history.save(tmp_path / "h.parquet")
    with pytest.raises(HistoryError, match="objectives that this version does not know"):
        History.load(path)
    with pytest.raises(HistoryError, match="objectives that this version does not know"):
        check(history)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet at all"])
def test_a_file_that_is_no_history_is_refused(tmp_path, content):
    path = tmp_path / "h.parquet"
    path.write_bytes(content)
    with pytest.raises(HistoryError, match="not a netra_sim history"):
        History.load(path)


def test_a_save_that_fails_leaves_the_earlier_file_as_it_was(tmp_path):
    path = recorded([("alice", "r", 0)]).save(tmp_path / "h.parquet")
    before = path.read_bytes()
    unsaveable = recorded([("bob", "r", 0)], {"seed": object()})
    with pytest.raises(TypeError):
        unsaveable.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["h.parquet"]


def test_a_process_that_is_killed_while_it_saves_loses_nothing(tmp_path):
    path = recorded([("alice", "r", 0)]).save(tmp_path / "h.parquet")
    before = path.read_bytes()
    script = """
import os, sys
import pyarrow.parquet as pq
from test_history import recorded
whole = pq.write_table
def half(table, where, **options):
    whole(table, where, **options)
    os.truncate(where, 100)
    os.kill(os.getpid(), 9)
pq.write_table = half
recorded([("bob", "r", 0)]).save(sys.argv[1])
"""
    environment = os.environ | {"PYTHONPATH": os.path.dirname(__file__)}
    killed = 9 if sys.platform == "win32" else -9
    assert subprocess.call([sys.executable, "-c", script, str(path)], env=environment) == killed
    assert path.read_bytes() == before
    assert History.load(path).frame(Kind.PUBLISHED)["user"].tolist() == ["alice"]


def test_a_mark_names_the_owner_whatever_the_event_says():
    own = f'{{"user_id": "alice", "text": "{mark("alice")}"}}'.encode()
    leaked = f'{{"user_id": "alice", "text": "{mark("alice")} {mark("bob")}"}}'.encode()
    assert marks_in(own, "alice") == ("alice", "")
    assert marks_in(leaked, "alice") == ("bob", "")
    assert marks_in(b"{}", "alice") == ("", "")


def test_numbers_that_do_not_apply_are_nan():
    recorder = Recorder(lambda: 0.0)
    recorder.connected("c", "alice")
    assert recorder.finish({}).frame()[["due", "value"]].isna().all().all()
    assert nan != recorder.finish({}).frame()["due"][0]
