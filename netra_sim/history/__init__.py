"""The record of one run of the system: who asked, published, sent and received what, and when."""

from netra_sim.history.gauges import (
    ASYNCIO_REPLACED,
    CONNECTIONS_CUT,
    CONTEXTS_READ,
    CONTROL_LATENCY,
    CPU_BUSY,
    DRIVER_LATENESS,
    ENGINES_COMPARED,
    LOOP_STEPS,
    MOST_UNSENT_BYTES,
    OUTBOX_BYTES,
    REPLAY_BYTES,
    STEPS_READY,
    wait_for,
)
from netra_sim.history.history import History, HistoryError, Kind, environment
from netra_sim.history.log import Log, Malformed, is_event_log, read_log
from netra_sim.history.log_mapping import LogMapping, TimeUnit
from netra_sim.history.merging import merge
from netra_sim.history.objectives import Objectives

__all__ = [
    "ASYNCIO_REPLACED",
    "CONNECTIONS_CUT",
    "CONTEXTS_READ",
    "CONTROL_LATENCY",
    "CPU_BUSY",
    "DRIVER_LATENESS",
    "ENGINES_COMPARED",
    "LOOP_STEPS",
    "MOST_UNSENT_BYTES",
    "OUTBOX_BYTES",
    "REPLAY_BYTES",
    "STEPS_READY",
    "History",
    "HistoryError",
    "Kind",
    "Log",
    "LogMapping",
    "Malformed",
    "Objectives",
    "TimeUnit",
    "environment",
    "is_event_log",
    "merge",
    "read_log",
    "wait_for",
]
