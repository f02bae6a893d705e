"""Checks of limits: engines and connections of each user, unsent bytes, and replay memory."""

import numpy as np

from netra_sim.checks.definition import define
from netra_sim.checks.records import Records, running_sum
from netra_sim.checks.results import FINDINGS_SHOWN, Measurement, Observation, counted
from netra_sim.history import MOST_UNSENT_BYTES, REPLAY_BYTES, Kind, Objectives


@define(
    "engine-limit",
    question="Did no user ever have more live engines, or open connections, than the limits?",
    unit="engines made and connections opened",
    minimum="a user with as many engines or connections as the limit allows",
)
def engine_limit(records: Records, objectives: Objectives) -> Observation:
    """No user may at any time have more live engines or open connections than the limits allow.

    The limits are "engines_per_user" and "connections_per_user" in the history's meta; a limit that is not there is not
    judged. The result is inconclusive if no user reaches a limit, since it was then not tested.
    """
    wrong = records.rows()
    messages: dict[int, str] = {}
    measured: dict[str, Measurement] = {}
    untried: list[str] = []
    looked_at = 0
    for name, what, begins, ends in (
        ("engines_per_user", "live engines", Kind.SCOPE_OPENED, Kind.SCOPE_CLOSED),
        ("connections_per_user", "open connections", Kind.CONNECTED, Kind.DISCONNECTED),
    ):
        limit = records.meta.get(name)
        if not records.records(begins, ends) or (limit is None and begins == Kind.CONNECTED):
            continue
        changes, live = _live(records, begins, ends)
        measured[f"most {what} of one user"] = counted(live.max(initial=0))
        if limit is None:
            continue
        looked_at += len(records.rows(begins))
        if not (live >= limit).any():
            untried.append(f"no user had as many as {limit} {what}, which is the limit")
        over = live > limit
        for row, count in list(zip(changes[over].tolist(), live[over].tolist(), strict=True))[:FINDINGS_SHOWN]:
            messages[row] = f"{records.text('user', row)} has {count} {what}, and may have {limit}"
        wrong = np.sort(np.concatenate([wrong, changes[over]]))
    return Observation(
        looked_at=looked_at,
        found=len(wrong),
        findings=records.findings(wrong, messages.__getitem__),
        measured=measured,
        inconclusive="; ".join(untried),
    )


@define(
    "unsent-bytes",
    question="Was every client that does not read cut off before too much waited for it?",
    unit="samples",
)
def unsent_bytes(records: Records, objectives: Objectives) -> Observation:
    """No sample of the bytes that wait to be sent on one connection may exceed "unsent_bytes" of the history's meta.

    That is what the bridge keeps for a slow client, and one event more. Without the entry nothing is judged.
    """
    values, waiting = records.numbers["value"], records.samples(MOST_UNSENT_BYTES)
    bound = records.meta.get("unsent_bytes")
    over = waiting[:0] if bound is None else waiting[values[waiting] > bound]
    return Observation(
        looked_at=0 if bound is None else len(waiting),
        found=len(over),
        findings=records.findings(
            over, lambda row: f"{values[row]:,.0f} bytes wait on one connection, and {bound:,} may"
        ),
        measured={"most bytes": Measurement(float(values[waiting].max()), "bytes", "lower", bound)}
        if len(waiting)
        else {},
    )


@define("memory", question="Did the bridge keep no more for absent clients than the objective allows?", unit="samples")
def memory(records: Records, objectives: Objectives) -> Observation:
    """No sample of the bytes that the bridge keeps for replay may exceed the objective `replay_bytes`."""
    kept, values = records.samples(REPLAY_BYTES), records.numbers["value"]
    over = kept[values[kept] > objectives.replay_bytes]
    most = float(values[kept].max()) if len(kept) else 0.0

    def describe(row: int) -> str:
        return f"the bridge keeps {values[row]:,.0f} bytes; the objective is {objectives.replay_bytes:,.0f}"

    return Observation(
        looked_at=len(kept),
        found=len(over),
        findings=records.findings(over, describe),
        measured={"most bytes": Measurement(most, "bytes", "lower", objectives.replay_bytes)},
    )


def _live(records: Records, begins: Kind, ends: Kind) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the kinds ``begins`` and ``ends``, and for each how many its user has begun and not ended after it."""
    changes = records.rows(begins, ends)
    steps = np.where(records.numbers["kind"][changes] == begins, 1, -1)
    users = records.codes["user"][changes]
    order = np.argsort(users, kind="stable")
    live = np.empty(len(users), np.int64)
    live[order] = running_sum(steps[order], users[order])
    return changes, live
