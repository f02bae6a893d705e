"""From a live system to a History: the recorder, snapshots of what lives, and the marks in user data."""

from netra_sim.recording.answers import how_answered
from netra_sim.recording.loop_errors import describe_loop_error, without_addresses
from netra_sim.recording.marks import (
    CONTEXT_MARK,
    all_marks,
    each_mark,
    mark,
    marked_question,
    marks_in,
    unfinished_mark,
)
from netra_sim.recording.recorder import Recorder
from netra_sim.recording.snapshots import (
    ENGINES_AT_AN_OPENING,
    ENGINES_PER_COMPARISON,
    EngineWatch,
    opening_after,
    record_gauges,
    record_left_overs,
)

__all__ = [
    "CONTEXT_MARK",
    "ENGINES_AT_AN_OPENING",
    "ENGINES_PER_COMPARISON",
    "EngineWatch",
    "Recorder",
    "all_marks",
    "describe_loop_error",
    "each_mark",
    "how_answered",
    "mark",
    "marked_question",
    "marks_in",
    "opening_after",
    "record_gauges",
    "record_left_overs",
    "unfinished_mark",
    "without_addresses",
]
