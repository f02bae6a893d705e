"""Pictures of histories and results."""

from netra_sim.charts.detection import detection_matrix
from netra_sim.charts.fidelity import simulated_and_real
from netra_sim.charts.isolation import isolation_matrix
from netra_sim.charts.latency import (
    around_faults,
    by_user,
    latency_ecdfs,
    latency_over_time,
    latency_percentiles,
)
from netra_sim.charts.load import load_against_latency
from netra_sim.charts.measures import Latencies, Measure
from netra_sim.charts.over_time import gauge_over_time, live_engines, recovery
from netra_sim.charts.picture import Picture
from netra_sim.charts.requests import request_endings, work_after_leaving
from netra_sim.charts.resources import resources_over_time
from netra_sim.charts.timeline import run_timeline, worst_run_timeline
from netra_sim.charts.waits import early_waits

__all__ = [
    "Latencies",
    "Measure",
    "Picture",
    "around_faults",
    "by_user",
    "detection_matrix",
    "early_waits",
    "gauge_over_time",
    "isolation_matrix",
    "latency_ecdfs",
    "latency_over_time",
    "latency_percentiles",
    "live_engines",
    "load_against_latency",
    "recovery",
    "request_endings",
    "resources_over_time",
    "run_timeline",
    "simulated_and_real",
    "work_after_leaving",
    "worst_run_timeline",
]
