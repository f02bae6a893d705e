"""The record of a run of the system: who asked, published, sent and received what, when."""

from netra_sim.history.answers import how_answered
from netra_sim.history.canary import CONTEXT_CANARY, canary, marked_question, whose
from netra_sim.history.history import History, HistoryError, Kind, environment
from netra_sim.history.log import Log, Malformed, is_event_log, read_log
from netra_sim.history.log_mapping import LogMapping, TimeUnit
from netra_sim.history.merging import merge
from netra_sim.history.objectives import Objectives
from netra_sim.history.probes import (
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
from netra_sim.history.recorder import CONTEXTS_READ, Recorder
from netra_sim.history.replacing import move, replacing

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
    "History",
    "HistoryError",
    "Kind",
    "Log",
    "LogMapping",
    "Malformed",
    "Objectives",
    "Recorder",
    "TimeUnit",
    "canary",
    "environment",
    "how_answered",
    "is_event_log",
    "marked_question",
    "merge",
    "move",
    "read_log",
    "record_gauges",
    "record_left_overs",
    "replacing",
    "whose",
]
