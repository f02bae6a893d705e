"""From a live system to a History: the recorder, the probes, and the marks that are planted in user data."""

from netra_sim.recording.answers import how_answered
from netra_sim.recording.loop_errors import describe_loop_error, without_addresses
from netra_sim.recording.marks import CONTEXT_CANARY, canary, marked_question, whose
from netra_sim.recording.probes import ENGINES_AT_A_LOOK, EngineWatch, record_gauges, record_left_overs
from netra_sim.recording.recorder import Recorder

__all__ = [
    "CONTEXT_CANARY",
    "ENGINES_AT_A_LOOK",
    "EngineWatch",
    "Recorder",
    "canary",
    "describe_loop_error",
    "how_answered",
    "marked_question",
    "record_gauges",
    "record_left_overs",
    "whose",
    "without_addresses",
]
