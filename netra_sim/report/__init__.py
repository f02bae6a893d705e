"""The validation report: claims, evidence, verdict, pictures, notebook runs and the page."""

from netra_sim.report.charts import Picture, isolation_matrix, latency_percentiles, live_engines
from netra_sim.report.claims import CLAIMS, Claim, JudgedClaim, Source, State, judge
from netra_sim.report.evidence import Evidence, of_runtime, on_real_server, on_windows_clock, simulated
from netra_sim.report.parameters import ParameterError, Parameters
from netra_sim.report.report import Report, make_report
from netra_sim.report.tables import Html, scores_table
from netra_sim.report.verdict import Verdict, reach_verdict

__all__ = [
    "CLAIMS",
    "Claim",
    "Evidence",
    "Html",
    "JudgedClaim",
    "ParameterError",
    "Parameters",
    "Picture",
    "Report",
    "Source",
    "State",
    "Verdict",
    "isolation_matrix",
    "judge",
    "latency_percentiles",
    "live_engines",
    "make_report",
    "of_runtime",
    "on_real_server",
    "on_windows_clock",
    "reach_verdict",
    "scores_table",
    "simulated",
]
