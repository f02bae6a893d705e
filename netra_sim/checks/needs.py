"""What a log must hold for a check to judge it, and what of that is missing."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from netra_sim.checks.records import Records
from netra_sim.history import Kind

_OWNERS = (Kind.REQUESTED, Kind.SCOPE_OPENED, Kind.PUBLISHED)
_COLUMNS = {"owner": "detail"}


class _Need(NamedTuple):
    """Records of one of some kinds, with a field if one is named; or records of other kinds that say the same."""

    kinds: tuple[Kind, ...]
    field: str = ""
    instead: tuple[Kind, ...] = ()

    def is_met(self, records: Records) -> bool:
        if any(len(records.rows(kind)) for kind in self.instead):
            return True
        rows = records.rows(*self.kinds)
        if not self.field:
            return len(rows) > 0 or any(records.records(kind) for kind in self.kinds)
        column = _COLUMNS.get(self.field, self.field)
        if column in records.codes:
            return bool(records.has(column, rows).any())
        values = records.numbers[column][rows]
        return bool((values >= 0).any() if column == "seq" else (~np.isnan(values)).any())

    def __str__(self) -> str:
        names = " or ".join(kind.name.lower() for kind in self.kinds)
        text = f"records of the kind {names}{f' with the field {self.field}' if self.field else ''}"
        others = ", ".join(kind.name.lower() for kind in self.instead)
        return f"{text} (or of the kinds {others})" if others else text


_EVENTS = (Kind.SENT, Kind.RECEIVED)
_REQUESTS = (_Need((Kind.REQUESTED,), "run"), _Need((Kind.RECEIVED,), "event"))

NEEDS: Mapping[str, tuple[_Need, ...]] = {
    "cross-user-isolation": (_Need(_EVENTS, "run"), _Need(_EVENTS, "owner", _OWNERS)),
    "connection-isolation": (_Need(_EVENTS, "connection"), _Need((Kind.CONNECTED,))),
    "content-isolation": (_Need((Kind.RECEIVED,), "subject"),),
    "thread-isolation": (_Need((Kind.RECEIVED, Kind.PUBLISHED), "thread"), _Need((Kind.REQUESTED,), "thread")),
    "shared-state": (_Need((Kind.SHARED,)),),
    "liveness": (_Need((Kind.REQUESTED,)), _Need((Kind.STUCK,))),
    "unhandled-errors": (_Need((Kind.REQUESTED,)), _Need((Kind.LOOP_ERROR,))),
    "critical-events": (_Need((Kind.SCOPE_OPENED,), "run"), _Need((Kind.PUBLISHED,), "event")),
    "tools": (_Need((Kind.PUBLISHED, Kind.RECEIVED), "run"), _Need((Kind.PUBLISHED, Kind.RECEIVED), "event")),
    "answers": (_Need((Kind.ANSWERED,)),),
    "every-run-ends": _REQUESTS,
    "scopes": (_Need((Kind.SCOPE_OPENED,), "run"), _Need((Kind.REQUESTED,), "run")),
    "delivery": (_Need((Kind.PUBLISHED,), "seq"), _Need((Kind.RECEIVED,), "seq")),
    "truthfulness": (_Need((Kind.SENT,), "seq"), _Need((Kind.RECEIVED,), "seq")),
    "nothing-left": (_Need((Kind.SCOPE_OPENED,)), _Need((Kind.SCOPE_CLOSED,))),
    "engine-limit": (_Need((Kind.SCOPE_OPENED,)), _Need((Kind.SCOPE_CLOSED,))),
    "timestamps": (_Need((Kind.RECEIVED,), "value"),),
    "latency": (_Need((Kind.PUBLISHED,), "seq"), _Need((Kind.PUBLISHED,), "time"), _Need((Kind.RECEIVED,), "time")),
    "silence": (_Need((Kind.RECEIVED,), "run"), _Need((Kind.RECEIVED,), "time")),
    "completion": _REQUESTS,
    "refusals": (_Need((Kind.REQUESTED,)), _Need((Kind.REFUSED,))),
    "recovery": (_Need((Kind.FAULT_BEGAN,)), _Need((Kind.FAULT_ENDED,)), _Need((Kind.CONNECTED,))),
}
"""For the checks that a log can be judged by, what they need; the others look at what only a recorder sees."""


def lacks(records: Records, check: str) -> str:
    """What a log would have to hold for a check to judge it, in words; "" if that is not what is missing."""
    return "; ".join(str(need) for need in NEEDS.get(check, ()) if not need.is_met(records))
