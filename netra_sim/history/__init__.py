"""The record of one run of the system: who asked, published, sent and received what, and when."""

from typing import TYPE_CHECKING

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
    SECRETS_GIVEN,
    STEPS_READY,
    SYSTEM_CONNECTIONS,
    SYSTEM_CPU,
    SYSTEM_MEMORY,
    wait_for,
)
from netra_sim.history.objectives import EventObjectives, Objectives, bounds_of
from netra_sim.lazy import on_first_use

if TYPE_CHECKING:
    from netra_sim.history.foreign import IsolatedBy, foreign_meta
    from netra_sim.history.history import History, HistoryError, Kind, environment
    from netra_sim.history.log import Log, Malformed, is_event_log, read_log
    from netra_sim.history.log_mapping import LogMapping, TimeUnit
    from netra_sim.history.merging import merge

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
    "SECRETS_GIVEN",
    "STEPS_READY",
    "SYSTEM_CONNECTIONS",
    "SYSTEM_CPU",
    "SYSTEM_MEMORY",
    "EventObjectives",
    "History",
    "HistoryError",
    "IsolatedBy",
    "Kind",
    "Log",
    "LogMapping",
    "Malformed",
    "Objectives",
    "TimeUnit",
    "bounds_of",
    "environment",
    "foreign_meta",
    "is_event_log",
    "merge",
    "read_log",
    "wait_for",
]

__getattr__ = on_first_use(
    __name__,
    {
        "History": "history",
        "HistoryError": "history",
        "IsolatedBy": "foreign",
        "Kind": "history",
        "Log": "log",
        "LogMapping": "log_mapping",
        "Malformed": "log",
        "TimeUnit": "log_mapping",
        "environment": "history",
        "foreign_meta": "foreign",
        "is_event_log": "log",
        "merge": "merging",
        "read_log": "log",
    },
)
