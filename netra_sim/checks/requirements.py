"""Which records a log must hold so that a check can judge it."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from netra_sim.checks.records import Records
from netra_sim.history import (
    ASYNCIO_REPLACED,
    CONTEXTS_READ,
    LOOP_STEPS,
    MOST_UNSENT_BYTES,
    REPLAY_BYTES,
    Kind,
)

_OWNERS = (Kind.REQUESTED, Kind.SCOPE_OPENED, Kind.PUBLISHED)
_COLUMNS = {"owner": "detail"}


class _Gauge(NamedTuple):
    """At least one sample of a gauge."""

    name: str

    def is_met(self, records: Records) -> bool:
        return len(records.samples(self.name)) > 0

    def __str__(self) -> str:
        return f"samples of the gauge {self.name!r}"


class _Requirement(NamedTuple):
    """At least one record of one of ``kinds``, with ``field`` if it is not ""; or any record of the kinds ``instead``.

    Without a field, a kind that the log would hold counts as well, even if no record of it occurs.
    """

    kinds: tuple[Kind, ...]
    field: str = ""
    instead: tuple[Kind, ...] = ()

    def is_met(self, records: Records) -> bool:
        if len(records.rows(*self.instead)):
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
_REQUESTS = (_Requirement((Kind.REQUESTED,), "run"), _Requirement((Kind.RECEIVED,), "event"))

REQUIREMENTS: Mapping[str, tuple[_Requirement | _Gauge, ...]] = {
    "cross-user-isolation": (_Requirement(_EVENTS, "run"), _Requirement(_EVENTS, "owner", _OWNERS)),
    "connection-isolation": (_Requirement(_EVENTS, "connection"), _Requirement((Kind.CONNECTED,))),
    "content-isolation": (_Requirement((Kind.RECEIVED,), "subject"),),
    "thread-isolation": (
        _Requirement((Kind.RECEIVED, Kind.PUBLISHED), "thread"),
        _Requirement((Kind.REQUESTED,), "thread"),
    ),
    "context-isolation": (_Gauge(CONTEXTS_READ),),
    "shared-state": (_Requirement((Kind.SHARED,)),),
    "liveness": (_Requirement((Kind.REQUESTED,)), _Requirement((Kind.STUCK,))),
    "unhandled-errors": (_Requirement((Kind.REQUESTED,)), _Requirement((Kind.LOOP_ERROR,))),
    "critical-events": (_Requirement((Kind.SCOPE_OPENED,), "run"), _Requirement((Kind.PUBLISHED,), "event")),
    "tools": (
        _Requirement((Kind.PUBLISHED, Kind.RECEIVED), "run"),
        _Requirement((Kind.PUBLISHED, Kind.RECEIVED), "event"),
    ),
    "answers": (_Requirement((Kind.ANSWERED,)),),
    "every-run-ends": _REQUESTS,
    "scopes": (_Requirement((Kind.SCOPE_OPENED,), "run"), _Requirement((Kind.REQUESTED,), "run")),
    "delivery": (_Requirement((Kind.PUBLISHED,), "seq"), _Requirement((Kind.RECEIVED,), "seq")),
    "truthfulness": (_Requirement((Kind.SENT,), "seq"), _Requirement((Kind.RECEIVED,), "seq")),
    "nothing-left": (_Requirement((Kind.SCOPE_OPENED,)), _Requirement((Kind.SCOPE_CLOSED,))),
    "engine-limit": (_Requirement((Kind.SCOPE_OPENED,)), _Requirement((Kind.SCOPE_CLOSED,))),
    "memory": (_Gauge(REPLAY_BYTES),),
    "unsent-bytes": (_Gauge(MOST_UNSENT_BYTES),),
    "asyncio-untouched": (_Gauge(ASYNCIO_REPLACED),),
    "idle-cost": (_Gauge(LOOP_STEPS),),
    "timestamps": (_Requirement((Kind.RECEIVED,), "value"),),
    "latency": (
        _Requirement((Kind.PUBLISHED,), "seq"),
        _Requirement((Kind.PUBLISHED,), "time"),
        _Requirement((Kind.RECEIVED,), "time"),
    ),
    "silence": (_Requirement((Kind.RECEIVED,), "run"), _Requirement((Kind.RECEIVED,), "time")),
    "completion": _REQUESTS,
    "refusals": (_Requirement((Kind.REQUESTED,)), _Requirement((Kind.REFUSED,))),
    "event-order": (_Requirement((Kind.OUT_OF_ORDER,)), _Requirement((Kind.RECEIVED,))),
    "tokens": (_Requirement((Kind.ANSWERED,), "value"),),
    "disclosure": (_Requirement((Kind.DISCLOSED,)), _Requirement((Kind.RECEIVED,))),
    "work-after-leaving": (_Requirement((Kind.LEFT,)), _Requirement((Kind.WORKED,), "run")),
    "recovery": (_Requirement((Kind.FAULT_BEGAN,)), _Requirement((Kind.FAULT_ENDED,)), _Requirement((Kind.CONNECTED,))),
}
"""By check."""


def lacks(records: Records, check: str) -> str:
    """The requirements of a check that a log does not meet, in words; "" if it meets all of them."""
    return "; ".join(str(one) for one in REQUIREMENTS.get(check, ()) if not one.is_met(records))
