"""The record of a run of the system: who asked, published, sent and received what, when."""

from netra_sim.history.canary import canary, whose
from netra_sim.history.history import History, HistoryError, Kind, environment
from netra_sim.history.recorder import Recorder

__all__ = ["History", "HistoryError", "Kind", "Recorder", "canary", "environment", "whose"]
