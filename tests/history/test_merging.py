"""`merge`: one History from several recorders."""

import math

from hypothesis import given
from hypothesis import strategies as st

from netra_sim.history import Kind, merge
from netra_sim.recording import Recorder

TIMES = st.lists(st.floats(0, 10).map(lambda value: round(value, 1)), max_size=12)


def recorded(name, times, meta=None):
    now = [0.0]
    recorder = Recorder(lambda: now[0])
    for number, moment in enumerate(times):
        now[0] = moment
        recorder.sample(f"{name}.{number}", number)
        recorder.requested(f"{name}.{number}", name, moment, "thread")
    return recorder.finish(meta or {})


@given(st.lists(TIMES.map(sorted), min_size=1, max_size=3))
def test_rows_are_merged_by_time_and_rows_of_equal_time_in_the_order_of_their_histories(parts):
    histories = [recorded(str(index), times) for index, times in enumerate(parts)]
    merged = merge(histories, {"source": "both"}).frame(Kind.REQUESTED)
    expected = sorted((time, index, number) for index, times in enumerate(parts) for number, time in enumerate(times))
    assert list(merged["run"]) == [f"{index}.{number}" for _, index, number in expected]
    assert list(merged["time"]) == [time for time, _, _ in expected]


@given(TIMES.map(sorted))
def test_a_history_merged_with_nothing_is_itself(times):
    one = recorded("one", times, {"seed": 1})
    assert merge([one], {"seed": 1}).digest() == one.digest()
    assert merge([recorded("none", []), one], {"seed": 1}).digest() == one.digest()


@given(TIMES, TIMES)
def test_rows_of_one_history_keep_their_order_even_if_its_clock_ran_backwards(first, second):
    merged = merge([recorded("a", first), recorded("b", second)], {})
    for name, times in (("a", first), ("b", second)):
        rows = merged.frame(Kind.REQUESTED)
        assert list(rows["run"][rows["user"] == name]) == [f"{name}.{number}" for number in range(len(times))]
    assert not any(math.isnan(time) for time in merged.numbers["time"])
