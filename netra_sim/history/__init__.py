"""The record of a run of the system: who asked, published, sent and received what, when."""

from netra_sim.history.canary import canary, whose
from netra_sim.history.history import History, HistoryError, Kind, environment
from netra_sim.history.objectives import Objectives
from netra_sim.history.probes import ENGINES_PROBED, REPLAY_BYTES, record_gauges, record_left_overs, record_shared_state
from netra_sim.history.recorder import Recorder
from netra_sim.history.replacing import replacing

__all__ = [
    "ENGINES_PROBED",
    "REPLAY_BYTES",
    "History",
    "HistoryError",
    "Kind",
    "Objectives",
    "Recorder",
    "canary",
    "environment",
    "record_gauges",
    "record_left_overs",
    "record_shared_state",
    "replacing",
    "whose",
]
