"""`foreign_meta`: the meta of the history of another system, as its clients and the services that it uses record it."""

from typing import Any, Literal

import msgspec

from netra_sim.history.history import Kind, environment
from netra_sim.history.objectives import Objectives

IsolatedBy = Literal["run", "thread", "room"]
"""Whose data an answer may hold: that of its run; of all runs of its user in its thread; or of all users in its room.

A user is in a room after connecting to it or asking in it; the thread of a request is its room.
"""

ALWAYS = (
    *(Kind.REQUESTED, Kind.REFUSED, Kind.RECEIVED, Kind.CONTROL_RECEIVED, Kind.OTHER_RUN, Kind.LEFT),
    *(Kind.ATTACHED, Kind.CONNECTED, Kind.DISCONNECTED, Kind.CONNECT_REFUSED),
    *(Kind.FAULT_BEGAN, Kind.FAULT_ENDED, Kind.SAMPLE),
)
"""The kinds of record that every client of a foreign system writes, and the driver of the clients."""


def foreign_meta(
    *also: Kind,
    isolated_by: IsolatedBy = "thread",
    names_runs: bool = False,
    objectives: Objectives | None = None,
    **described: Any,
) -> dict[str, Any]:
    """The meta of the history of another system. A check that lacks a kind of record that is not named here says so.

    Args:
        also: the kinds that are recorded besides `ALWAYS`:

            - `Kind.OUT_OF_ORDER` if the client's protocol has an order, and the client compares each event with it;
            - `Kind.FIRST_CONTENT` if the protocol tells events with a part of the answer from others;
            - `Kind.ANSWERED`, `Kind.REPEATED` and `Kind.MISSING` if answers hold numbered tokens;
            - `Kind.WORKED` if services record their work;
            - `Kind.DISCLOSED` if clients look for planted secrets; `SECRETS_GIVEN` says how often the system got one;
            - `Kind.STUCK` and `Kind.LOOP_ERROR` if the driver runs the system's event loop;
            - `Kind.LEFT_OVER` if the driver looks for what the system leaves after its shutdown.
        isolated_by: what the answer of a run may hold.
        names_runs: whether each received event names its run. If not, a client takes each event on its connection for one of
            the run that it waits for; then only marks tell whose it is.
        objectives: the bounds that figures must keep; by default those of `Objectives`.
        described: what else made the history, as JSON values: the scenario, the seed, the version.
    """
    return {
        "source": "system",
        "recorded": sorted(kind.name.lower() for kind in {*ALWAYS, *also}),
        "isolated_by": isolated_by,
        "names_runs": names_runs,
        "objectives": msgspec.to_builtins(objectives or Objectives()),
        "environment": environment(),
    } | described
