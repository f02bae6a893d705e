"""The check of clean-up: nothing of a run outlives its scope, and nothing outlives the shutdown."""

import numpy as np

from netra_sim.checks.definition import define
from netra_sim.checks.records import Records
from netra_sim.checks.results import Measurement, Observation, counted
from netra_sim.history import Kind, Objectives


@define(
    "nothing-left",
    question="Was everything released when its scope ended, and at the shutdown?",
    unit="scopes and counts after the shutdown",
)
def nothing_left(records: Records, objectives: Objectives) -> Observation:
    """Every scope must be closed and leave nothing, and the shutdown must leave nothing.

    The findings are: each scope that was never closed; each record of something left over, by what it is, such as tasks,
    engines, connections, runs or replay bytes; and each closed scope that left something which no such record names.
    """
    opened, closed = records.rows(Kind.SCOPE_OPENED), records.rows(Kind.SCOPE_CLOSED)
    left_over = records.rows(Kind.LEFT_OVER)
    values, runs = records.numbers["value"], records.codes["run"]
    if not records.records(Kind.SCOPE_CLOSED):
        opened = opened[:0]
    records_left_overs = records.records(Kind.LEFT_OVER) or not np.isnan(values[closed]).any()
    never_closed = opened[records.first_of_each("run", closed)[runs[opened]] < 0]
    is_itemised = records.first_of_each("run", left_over)[runs[closed]] >= 0
    not_itemised = closed[(values[closed] > 0) & ~is_itemised]
    left = left_over[values[left_over] > 0]
    wrong = np.concatenate([never_closed, not_itemised, left])
    after_shutdown = left_over[~records.has("run", left_over)]

    def describe(row: int) -> str:
        run = records.text("run", row)
        kind = records.numbers["kind"][row]
        if kind == Kind.SCOPE_OPENED:
            return f"the scope of run {run} was never closed"
        what = "things" if kind == Kind.SCOPE_CLOSED else records.text("detail", row)
        return f"{values[row]:g} {what} outlived {f'the scope of run {run}' if run else 'the shutdown'}"

    by_what = np.bincount(records.codes["detail"][left], values[left]) if len(left) else np.zeros(0)
    return Observation(
        looked_at=(len(opened) if records_left_overs else 0) + len(after_shutdown),
        found=len(wrong),
        findings=records.findings(wrong, describe),
        measured={
            "scopes": counted(len(opened)),
            "left": Measurement(
                float(len(never_closed) + values[not_itemised].sum() + values[left].sum()), "count", "lower"
            ),
        }
        | {
            f"left, {records.tables['detail'][what]}": Measurement(float(by_what[what]), "count", "lower")
            for what in np.flatnonzero(by_what)
        },
    )
