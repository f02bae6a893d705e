"""The check of leaving: nothing works on for long for a run that nobody reads any more."""

import numpy as np
from msgspec import UNSET

from netra_sim.checks.definition import define
from netra_sim.checks.records import Records
from netra_sim.checks.results import Measurement, Observation, counted
from netra_sim.history import Kind, Objectives

WORK_AFTER_LEAVING = 5.0
"""Seconds for which work may go on if the objective `work_after_leaving` is not given."""


@define(
    "work-after-leaving",
    question="Did the work for a run stop soon after its last reader had left?",
    unit="runs that were left",
    minimum="a run that its reader left, for which a service worked, and a recording that goes on for the time allowed",
)
def work_after_leaving(records: Records, objectives: Objectives) -> Observation:
    """No service may work for a run for longer than the objective `work_after_leaving` after its last reader has left.

    A run is left when a client stops reading it before its end, by choice or because its connection is lost, and no client
    receives an event of it later. Each unit of work, such as a token of a model, counts. A run is judged if a service
    recorded work for it, before or after, and if the history goes on for longer than the objective after the leaving.

    Example: the objective is 5 s, a user leaves at 10 s, and the model makes a token each second until 30 s. The tokens
    from 16 to 30 s are too late: 15 units, the last one 20 s after.
    """
    allowed = WORK_AFTER_LEAVING if objectives.work_after_leaving is UNSET else objectives.work_after_leaving
    times, runs = records.numbers["time"], records.codes["run"]
    worked = records.rows(Kind.WORKED)
    left = records.last_of_each("run", records.rows(Kind.LEFT))
    left = left[(left >= 0) & (left > records.last_of_each("run", records.rows(Kind.RECEIVED)))]
    works = np.bincount(runs[worked], minlength=len(records.tables["run"])) > 0
    lasts_enough = times.max(initial=0.0) - times[left] > allowed
    judged = left[works[runs[left]] & lasts_enough]
    of_run = np.full(len(records.tables["run"]), np.nan)
    of_run[runs[judged]] = times[judged]
    after = times[worked] - of_run[runs[worked]]
    size = len(of_run)
    units = np.bincount(runs[worked[after > 0]], minlength=size)
    too_late = np.bincount(runs[worked[after > allowed]], minlength=size)
    longest = np.zeros(size)
    np.maximum.at(longest, runs[worked], np.nan_to_num(after))
    wrong = np.sort(judged[too_late[runs[judged]] > 0])

    def describe(row: int) -> str:
        user, run = records.text("user", row), runs[row]
        return (
            f"after {user} had left the run, services worked on for {longest[run]:.1f} s: {units[run]:,} units of work, "
            f"{too_late[run]:,} of them later than the {allowed:g} s allowed"
        )

    return Observation(
        looked_at=len(judged),
        found=len(wrong),
        findings=records.findings(wrong, describe),
        measured={
            "runs left": counted(len(left)),
            "units of work after leaving": Measurement(float(units.sum()), "count", "lower"),
            "longest work after leaving": Measurement(float(longest.max(initial=0.0)), "s", "lower", allowed),
        }
        if len(judged)
        else {},
        inconclusive="" if len(judged) else _why_not(len(left), int(works[runs[left]].sum()), allowed),
    )


def _why_not(left: int, with_work: int, allowed: float) -> str:
    if not left:
        return "no reader left early: not judged"
    if not with_work:
        return f"{left:,} runs were left, and no service recorded work for them: not judged"
    return f"the recording ends within {allowed:g} s after {with_work:,} runs were left: not judged"
