"""From a live system to a History: the recorder, the probes, and the marks that are planted in user data."""

from netra_sim.recording.answers import how_answered
from netra_sim.recording.marks import CONTEXT_CANARY, canary, marked_question, whose
from netra_sim.recording.probes import (
    ASYNCIO_REPLACED,
    CONNECTIONS_CUT,
    CONTROL_LATENCY,
    DRIVER_LATENESS,
    ENGINES_AT_A_LOOK,
    ENGINES_PROBED,
    LOOP_STEPS,
    MOST_UNSENT_BYTES,
    OUTBOX_BYTES,
    REPLAY_BYTES,
    EngineWatch,
    record_gauges,
    record_left_overs,
)
from netra_sim.recording.recorder import CONTEXTS_READ, Recorder

__all__ = [
    "ASYNCIO_REPLACED",
    "CONNECTIONS_CUT",
    "CONTEXTS_READ",
    "CONTEXT_CANARY",
    "CONTROL_LATENCY",
    "DRIVER_LATENESS",
    "ENGINES_AT_A_LOOK",
    "ENGINES_PROBED",
    "LOOP_STEPS",
    "MOST_UNSENT_BYTES",
    "OUTBOX_BYTES",
    "REPLAY_BYTES",
    "EngineWatch",
    "Recorder",
    "canary",
    "how_answered",
    "marked_question",
    "record_gauges",
    "record_left_overs",
    "whose",
]
