"""The event stream of server-sent events, however its bytes are cut."""

from hypothesis import given
from hypothesis import strategies as st

from netra_sim.clients import EventStream


def events(*pieces):
    stream = EventStream()
    found = [event for piece in pieces for event in stream.feed(piece)]
    assert b"".join(event.raw for event in found) + stream.rest == b"".join(pieces)
    return [(event.name, event.data) for event in found]


def test_lines_end_with_any_of_three_marks_and_comments_and_other_fields_do_not_count():
    assert events(b"data: a\n\n") == events(b"data: a\r\n\r\n") == events(b"data: a\r\r") == [("message", "a")]
    assert events(b": a comment\nid: 7\nretry: 5\ndata:a\n\n") == [("message", "a")]


def test_data_of_several_lines_is_joined_and_a_name_counts_for_one_event():
    assert events(b"event: token\ndata: a\ndata:  b\n\ndata: c\n\n") == [("token", "a\n b"), ("message", "c")]


def test_an_event_without_data_is_none_and_one_with_empty_data_is_one():
    assert events(b"event: ping\n\n", b"data\n\n", b"data:\n\n") == [("message", ""), ("message", "")]


def test_a_stream_may_begin_with_a_byte_order_mark_and_an_unfinished_event_is_the_rest():
    assert events(b"\xef\xbb\xbfdata: a\n\ndata: b\n") == [("message", "a")]


LINES = st.sampled_from(
    [b"data: a", b"data:b", b"data", b"event: x", b": note", b"id: 1", b"", b"", b"data: \xc3\xa9", b"\xef\xbb"]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@given(st.lists(st.tuples(LINES, ENDS)), st.booleans(), st.data())
def test_any_cut_of_the_bytes_gives_the_same_events(lines, has_mark, data):
    whole = (b"\xef\xbb\xbf" if has_mark else b"") + b"".join(line + end for line, end in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    pieces = [whole[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert events(*pieces) == events(whole) == events(*(bytes([byte]) for byte in whole))
