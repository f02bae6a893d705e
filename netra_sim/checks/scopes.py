"""The check of scopes: every run lives in one scope, which was opened for one request."""

import numpy as np

from netra_sim.checks.definition import define
from netra_sim.checks.records import Records
from netra_sim.checks.results import Observation, counted
from netra_sim.history import Kind, Objectives

NOT_CARRIED_OUT = ("duplicate_request", "cancelled")
"""Refusal codes after which a run may still complete: of a copy of its request, or of its cancellation."""


@define("scopes", question="Did every run live inside one scope, made for its request?", unit="scopes")
def scopes(records: Records, objectives: Objectives) -> Observation:
    """Every run must publish inside a scope, and have no more scopes than requests.

    The findings are:

    - a run that publishes without a scope, if it began within the history and the history has scopes;
    - an event that is published after its run's last scope was closed;
    - a scope beyond the number of requests for its run. In a log, only runs with a request count;
    - a refusal of a run that completed, if the refusals of the run and its completion exceed the number of its requests.
      Refusals with a code of `NOT_CARRIED_OUT` do not count. Two requests, one refusal and one completion are right;
    - a request for a run that another user had asked for first.
    """
    opened, closed = records.rows(Kind.SCOPE_OPENED), records.rows(Kind.SCOPE_CLOSED)
    published, runs = records.rows(Kind.PUBLISHED), records.codes["run"]
    tells = records.records(Kind.SCOPE_OPENED) and len(opened) > 0
    firsts = records.without_repeats("run", published)
    is_open = records.first_of_each("run", opened) >= 0
    faults = {
        "the run publishes {event} and has no scope": firsts[~is_open[runs[firsts]] & records.is_begun_here(firsts)]
        if tells
        else opened[:0],
        "{event} was published after the scope of its run had been closed": _after_the_scope(
            records, published, closed
        ),
        "a scope was opened for which there is no request": _unasked(records, opened),
        "the run was refused, and it completed": _refused_and_completed(records),
        "the run has the id of another user's": _asked_by_another(records),
    }
    messages = {row: fault for fault, rows in faults.items() for row in rows.tolist()}
    wrong = np.sort(np.array(list(messages), np.int64))
    return Observation(
        looked_at=len(opened) if len(published) or len(records.rows(Kind.REQUESTED)) else 0,
        found=len(wrong),
        findings=records.findings(wrong, lambda row: messages[row].format(event=records.text("event", row))),
        measured={"scopes": counted(len(opened))},
    )


def _after_the_scope(records: Records, published: np.ndarray, closed: np.ndarray) -> np.ndarray:
    runs = records.codes["run"]
    last = records.last_of_each("run", records.rows(Kind.SCOPE_OPENED, Kind.SCOPE_CLOSED))[runs[published]]
    is_closed = (last >= 0) & (records.numbers["kind"][last] == Kind.SCOPE_CLOSED)
    return np.asarray(published[is_closed & (published > last)])


def _unasked(records: Records, opened: np.ndarray) -> np.ndarray:
    """Scopes beyond the number of requests for their run; none if the history has no requests."""
    requested = records.rows(Kind.REQUESTED)
    if not records.records(Kind.REQUESTED) or not len(requested):
        return opened[:0]
    runs = records.codes["run"]
    asked = np.bincount(runs[requested], minlength=len(records.tables["run"]))
    order = opened[np.argsort(runs[opened], kind="stable")]
    starts = np.flatnonzero(np.diff(runs[order], prepend=-1))
    number = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    of_run = asked[runs[order]]
    return np.asarray(np.sort(order[(number >= of_run) & ((of_run > 0) | records.is_whole)]))


def _asked_by_another(records: Records) -> np.ndarray:
    """Requests for a run that another user had asked for before; a later use of its id is another run."""
    requested, users = records.rows(Kind.REQUESTED), records.codes["user"]
    requested = requested[records.has("run", requested)]
    first = records.first_of_run(requested, requested)
    return np.asarray(requested[(first >= 0) & (users[first] != users[requested])])


def _refused_and_completed(records: Records) -> np.ndarray:
    """Refusals of runs that completed, if the outcomes of the run exceed the number of its requests, or 1."""
    refused, runs = records.rows(Kind.REFUSED), records.codes["run"]
    refused = refused[~records.one_of("detail", refused, *NOT_CARRIED_OUT)]
    completed = records.first_of_each("run", records.rows_with(Kind.RECEIVED, "event", "agent_completed"))
    size = len(records.tables["run"])
    asked = np.bincount(runs[records.rows(Kind.REQUESTED)], minlength=size)
    outcomes = np.bincount(runs[refused], minlength=size) + (completed >= 0)
    return np.asarray(refused[(completed[runs[refused]] >= 0) & (outcomes > np.maximum(asked, 1))[runs[refused]]])
