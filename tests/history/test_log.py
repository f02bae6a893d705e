"""The event log of another system becomes a History: with its names and units, without malformed lines."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netra_sim.history import HistoryError, Kind, LogMapping, is_event_log, read_log


def written(tmp_path, *records):
    path = tmp_path / "log.jsonl"
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_received_events_with_owners_suffice(tmp_path):
    path = written(tmp_path, {"user": "bob", "owner": "alice", "run": "r", "event": "done", "seq": 3, "time": 7})
    (row,) = read_log(path).history.frame().to_dict("records")
    assert (row["kind"], row["user"], row["detail"]) == (Kind.RECEIVED, "bob", "alice")
    assert (row["run"], row["event"], row["seq"], row["subject"]) == ("r", "done", 3, "")


def test_fields_may_have_other_names_and_lie_in_nested_objects(tmp_path):
    path = written(tmp_path, {"who": {"id": "bob"}, "ctx": {"run": {"id": "r"}}, "what": "push", "n": 5, "noise": [1]})
    mapping = LogMapping(
        fields={"user": "who.id", "run": "ctx.run.id", "kind": "what", "seq": "n", "event": "ctx.nothing.here"},
        values={"kind": {"push": "published"}},
        first_seq=1,
    )
    (row,) = read_log(path, mapping).history.frame().to_dict("records")
    assert (row["kind"], row["user"], row["run"], row["seq"], row["event"]) == (Kind.PUBLISHED, "bob", "r", 4, "")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_count_in_the_logs_unit_from_its_first_record(tmp_path, unit):
    factor = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    began = 1_700_000_000
    path = written(tmp_path, *({"user": "a", "time": (began + later) * factor} for later in (2, 0, 5)))
    log = read_log(path, LogMapping(time_unit=unit))
    assert log.history.numbers["time"].tolist() == [0.0, 2.0, 5.0]
    assert log.lines.tolist() == [2, 1, 3]


def test_times_in_iso_8601_are_read_with_their_zones(tmp_path):
    texts = ("2025-09-09T12:00:00Z", "2025-09-09T14:00:01.5+02:00", "2025-09-09 12:00:03")
    path = written(tmp_path, *({"user": "a", "time": text} for text in texts))
    assert read_log(path).history.numbers["time"].tolist() == [0.0, 1.5, 3.0]


@pytest.mark.parametrize(
    ("texts", "unit"),
    [
        (("1757419200000000000", "1757419201500000000"), "ns"),  # OTLP/JSON
        (("1757419200000000", "1757419201500000"), "us"),  # journald
        (("1757419200.0", "1.7574192015e9"), "s"),
        (("2025-09-09 12:00:00,000", "2025-09-09 12:00:01,500"), "s"),  # Python logging
        (("09/Sep/2025:12:00:00 +0000", "2025-09-09T12:00:01.5Z"), "s"),  # nginx, and ISO 8601
        (("09/Sep/2025:14:00:00 +0200", "2025/09/09 12:00:01.5"), "ms"),  # the error log of nginx
        (("20250909T120000Z", "2025-09-09T12:00:01.500000000Z"), "s"),
        ((1757419200000, "1757419201500"), "ms"),
    ],
)
def test_times_are_read_as_other_programs_write_them(tmp_path, texts, unit):
    log = read_log(written(tmp_path, *({"user": "a", "time": text} for text in texts)), LogMapping(time_unit=unit))
    assert log.malformed == ()
    assert log.history.meta["began"] == 1_757_419_200.0
    assert log.history.numbers["time"].tolist() == [0.0, 1.5]


@pytest.mark.parametrize("text", ["nan", "inf", "1_000", "0x10", "12:00", "", "1,5,0"])
def test_a_text_that_is_no_time_is_malformed(tmp_path, text):
    log = read_log(written(tmp_path, {"user": "a", "time": 1}, {"user": "a", "time": text}))
    assert "expected a number or a time in ISO 8601" in log.malformed[0].reason


def test_parquet_may_hold_nanoseconds_decimals_and_nan(tmp_path):
    began = 1_757_419_200 * 10**9
    columns = {
        "user": ["a", "a"],
        "time": pa.array([began + 123, began + 1_500_000_456], pa.timestamp("ns")),
        "due": pa.array([Decimal("1757419200.25"), None], pa.decimal128(20, 3)),
        "seq": pa.array([float("nan"), 3.0]),
        "run": ["r", "r"],
        "kind": ["requested", "received"],
    }
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    log = read_log(tmp_path / "log.parquet")
    assert log.malformed == ()
    assert log.history.numbers["time"].tolist() == [0.0, 1.5]
    assert log.history.numbers["due"].tolist()[0] == 0.25
    assert log.history.numbers["seq"].tolist() == [-1, 3]


def test_a_default_name_can_be_excluded(tmp_path):
    span = {"user": "bob", "owner": "bob", "kind": "SpanKind.INTERNAL", "subject": "runs/17"}
    path = written(tmp_path, span)
    with pytest.raises(HistoryError, match=r"records of other kinds: SpanKind\.INTERNAL"):
        read_log(path)
    (row,) = read_log(path, LogMapping(fields={"kind": "", "subject": ""})).history.frame().to_dict("records")
    assert (row["kind"], row["user"], row["subject"]) == (Kind.RECEIVED, "bob", "")


def test_without_a_time_in_every_record_the_order_of_the_file_stays(tmp_path):
    path = written(tmp_path, {"user": "a", "time": 9}, {"user": "b"}, {"user": "c", "time": 1})
    assert read_log(path).lines.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{broken", "is no JSON object"),
        ("[1, 2]", "is no JSON object"),
        ({"run": "r"}, "does not say which user"),
        ({"user": ["a"]}, "user is ['a']; expected a text or a whole number"),
        ({"user": True}, "user is True; expected a text or a whole number"),
        ({"user": "a", "seq": "three"}, "seq is 'three'; expected a whole number"),
        ({"user": "a", "seq": 1.5}, "seq is 1.5; expected a whole number"),
        ({"user": "a", "time": "yesterday"}, "time is 'yesterday'; expected a number or a time in ISO 8601"),
        ({"user": "a", "seq": 10**400}, "expected a whole number"),
        ({"user": "a", "time": 10**400}, "expected a number or a time in ISO 8601"),
        ('{"user": "a", "time": 1e999}', ""),
        ({"user": "a", "time": {}}, "time is {}; expected a number or a time in ISO 8601"),
        ({"user": "a", "kind": "gap", "value": "many"}, "value is 'many'; expected a number"),
        ({"user": "a", "kind": "gap", "value": "inf"}, "value is 'inf'; expected a number"),
    ],
)
def test_a_malformed_line_is_reported_with_its_number_and_ignored(tmp_path, line, reason):
    good = {"user": "a", "time": 1}
    log = read_log(written(tmp_path, good, line, "", good))
    assert [line for line, _ in log.malformed] == [2]
    assert reason in log.malformed[0].reason
    assert (log.malformed_lines, log.lines.tolist()) == (1, [1, 4])


def test_a_log_may_begin_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text(
        '{"user": "a", "owner": "a", "run": "r", "event": "agent_started", "seq": 0}\n', encoding="utf-8-sig"
    )
    assert (len(read_log(path).history), read_log(path).malformed) == (1, ())


def test_all_malformed_lines_are_counted_and_the_first_ones_reported(tmp_path):
    log = read_log(written(tmp_path, {"user": "a"}, *["{"] * 30, {"run": "r"}))
    assert log.malformed_lines == 31
    assert [line for line, _ in log.malformed] == list(range(2, 22))


def test_records_of_unknown_kinds_are_counted_and_ignored(tmp_path):
    log = read_log(written(tmp_path, {"user": "a"}, {"kind": "ping"}, {"kind": "ping", "user": "a"}))
    assert (dict(log.other_kinds), log.malformed_lines, len(log.history)) == ({"ping": 2}, 0, 1)


@pytest.mark.parametrize("records", [(), ("{",), ({"kind": "ping"},), ({"run": "r"},)])
def test_a_file_without_one_usable_record_is_no_log(tmp_path, records):
    with pytest.raises(HistoryError, match="no record in it can be used"):
        read_log(written(tmp_path, *records))


def test_a_history_of_a_log_says_which_kinds_were_recorded_and_which_limits_held(tmp_path):
    path = written(tmp_path, {"kind": "Scope-Opened", "user": "a", "run": "r"}, {"user": "a"})
    meta = read_log(path, LogMapping(recorded=("refused",), engines_per_user=2)).history.meta
    assert meta["recorded"] == ["received", "refused", "scope_opened"]
    assert meta["engines_per_user"] == 2


def test_missing_fields_are_derived_where_possible(tmp_path):
    requested = {"kind": "requested", "owner": "alice", "run": "r", "time": 3}
    gap = {"kind": "gap", "user": "alice", "run": "r", "seq": 2, "value": 4}
    numbered = {"user": "alice", "seq": 7}
    path = written(tmp_path, requested, gap | {"time": 4}, numbered | {"time": 5, "value": "1970-01-01T00:00:09Z"})
    asked, missing, without_run = read_log(path, LogMapping(first_seq=1)).history.frame().to_dict("records")
    assert (asked["user"], asked["due"]) == ("alice", 0.0)
    assert (missing["seq"], missing["value"]) == (1, 3.0)
    assert (without_run["seq"], without_run["value"]) == (-1, 9.0)


def test_parquet_and_json_lines_give_the_same_history(tmp_path):
    moment = datetime(2025, 9, 9, 12, 0, 0, 250_000, tzinfo=UTC)
    rows = [
        {"user": {"id": 7}, "run.owner": "alice", "seq": number, "run": "r", "more": 1}
        | {"time": moment + timedelta(seconds=number / 8)}
        for number in range(3)
    ]
    rows.append(rows[0] | {"user": {"id": None}})
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "log.parquet")
    mapping = LogMapping(fields={"user": "user.id", "owner": "run.owner"})
    columnar = read_log(tmp_path / "log.parquet", mapping)
    lines = read_log(written(tmp_path, *(row | {"time": row["time"].isoformat()} for row in rows)), mapping)
    assert columnar.history.digest() == lines.history.digest()
    assert columnar.history.numbers["time"].tolist() == [0.0, 0.125, 0.25]
    assert columnar.malformed == lines.malformed
    assert columnar.malformed[0].line == 4


def test_a_recorded_history_is_not_taken_for_a_log(tmp_path):
    log = read_log(written(tmp_path, {"user": "a"}))
    assert not is_event_log(log.history.save(tmp_path / "h.parquet"))
    pq.write_table(pa.table({"user": ["a"]}), tmp_path / "log.parquet")
    assert is_event_log(tmp_path / "log.parquet")
    assert is_event_log(tmp_path / "log.jsonl")


def test_a_broken_parquet_file_is_no_log(tmp_path):
    (tmp_path / "log.parquet").write_bytes(b"PAR1, and then nothing")
    with pytest.raises(HistoryError, match="no Parquet file"):
        read_log(tmp_path / "log.parquet")


def test_a_mapping_comes_from_a_file_and_takes_more(tmp_path):
    path = tmp_path / "ours.toml"
    path.write_text(
        'time_unit = "ms"\n[fields]\nuser = "who"\n[values.kind]\na = "sent"\n[objectives]\nrecovery = 9.0\n'
    )
    mapping = LogMapping.load(path).and_also({"run": "id"}, {"kind": {"b": "received"}, "event": {"x": "y"}})
    assert mapping.fields == {"user": "who", "run": "id"}
    assert mapping.values == {"kind": {"a": "sent", "b": "received"}, "event": {"x": "y"}}
    assert (mapping.time_unit, mapping.objectives.recovery) == ("ms", 9.0)
    assert mapping.and_also({}, {}, "s").time_unit == "s"


@pytest.mark.parametrize(
    "text", ["[", 'time_unit = "h"', "[fields]\nwho = 'x'", "[values.seq]\na = 'b'", "recorded = ['pings']", "x = 1"]
)
def test_a_wrong_mapping_is_refused(tmp_path, text):
    (tmp_path / "ours.toml").write_text(text)
    with pytest.raises(HistoryError, match="is no mapping"):
        LogMapping.load(tmp_path / "ours.toml")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
any_record = st.dictionaries(
    st.sampled_from(
        ["kind", "time", "user", "owner", "run", "connection", "event", "seq", "subject", "due", "value", "x"]
    ),
    json_values | st.sampled_from(["received", "gap", "sent", "alice", "2025-09-09T12:00:00Z", "9999999-01-01"]),
)


@given(st.lists(any_record, max_size=6), st.binary(max_size=20))
@settings(max_examples=200)
def test_no_line_stops_the_reading(tmp_path_factory, records, garbage):
    path = tmp_path_factory.mktemp("logs") / "log.jsonl"
    good = b'{"user": "alice", "owner": "alice"}\n'
    path.write_bytes(good + b"".join(json.dumps(record).encode() + b"\n" for record in records) + garbage)
    log = read_log(path)
    assert 1 in log.lines.tolist()
    assert len(log.history) + log.malformed_lines + sum(log.other_kinds.values()) >= 1 + len(records)
