"""`Objectives`: the bounds that figures must keep."""

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

Bound = Annotated[float, msgspec.Meta(gt=0, le=1e12)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Objectives(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The bounds that figures must keep. The defaults are the promises of the original system, where it made any.

    Attributes:
        delivery_mean: seconds from the publishing of an event to its arrival at its owner's client, on average.
        delivery_p95: the same for 95 of 100 events.
        first_event_p95: seconds from when a request was due to its first event at the client, for 95 of 100 requests.
        response_p95: seconds from when a request was due to its last event at the client, for 95 of 100 requests.
        silence: the longest pause in seconds between the events of a run; the default is three times the limit of an agent.
        delivered: share of events that must reach their owner.
        refused: share of requests, and of attempts to connect, that may be refused.
        completed: share of requests that must end with an answer.
        recovery: seconds from the end of a fault until every user is served as before.
        steps_per_record: steps of the event loop for each record.
        replay_bytes: bytes that the bridge may keep for replay.
        first_content_p95: seconds from when a request was due to the first piece of its answer at the client, for 95 of 100
            requests; by default the time is measured and not judged.
        work_after_leaving: seconds for which services may go on to work for a run after its last reader has left; 5 by
            default.
    """

    delivery_mean: Bound = 0.100
    delivery_p95: Bound = 0.100
    first_event_p95: Bound = 1.0
    response_p95: Bound = 30.0
    silence: Bound = 90.0
    delivered: Share = 0.995
    refused: Share = 0.01
    completed: Share = 0.99
    recovery: Bound = 5.0
    steps_per_record: Bound = 5.0
    replay_bytes: Bound = 64 * 1024 * 1024
    first_content_p95: Bound | UnsetType = UNSET
    work_after_leaving: Bound | UnsetType = UNSET
