"""`Objectives`: the bounds that figures must keep."""

from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

Bound = Annotated[float, msgspec.Meta(gt=0, le=1e12)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]

STATISTICS = ("mean", "p50", "p95", "p99", "max")
"""How the name of a bound of a time ends: the average, the time for so many of 100, and the longest one."""


class EventObjectives(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The bounds for the events of one type, such as ``tool_completed``; they do not replace those for all events.

    Attributes:
        delivery_mean: seconds from publishing to the owner's client, on average.
        delivery_p50: seconds from publishing to the owner's client, for 50 of 100 such events.
        delivery_p95: seconds from publishing to the owner's client, for 95 of 100 such events.
        delivery_p99: seconds from publishing to the owner's client, for 99 of 100 such events.
        delivery_max: seconds from publishing to the owner's client, for all such events.
    """

    delivery_mean: Bound | UnsetType = UNSET
    delivery_p50: Bound | UnsetType = UNSET
    delivery_p95: Bound | UnsetType = UNSET
    delivery_p99: Bound | UnsetType = UNSET
    delivery_max: Bound | UnsetType = UNSET


class Objectives(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The bounds that figures must keep. The defaults are the promises of the original system, where it made any.

    The default of ``response_p95`` comes from the default agents: half of their answers take at most 8.4 s, 95 of 100 take
    at most 12.5 s, and one of 2,000 takes more than 20 s. Agents that are ten times slower miss it, even for half a minute.

    A request is timed from when it was due. The first piece of an answer is judged only if a bound is given.

    Attributes:
        delivery_mean: seconds from the publishing of an event to its arrival at its owner's client, on average.
        delivery_p50: seconds from publishing to the owner's client, for 50 of 100 events.
        delivery_p95: seconds from publishing to the owner's client, for 95 of 100 events.
        delivery_p99: seconds from publishing to the owner's client, for 99 of 100 events.
        delivery_max: seconds from publishing to the owner's client, for all events.
        events: bounds for the events of one type, by type, such as ``[objectives.events.tool_completed]``.
        first_event_p50: seconds from the due time to the first event, for 50 of 100 requests.
        first_event_p95: seconds from the due time to the first event, for 95 of 100 requests.
        first_event_p99: seconds from the due time to the first event, for 99 of 100 requests.
        first_event_max: seconds from the due time to the first event, for all requests.
        first_content_p50: seconds from the due time to the first piece of the answer, for 50 of 100 requests.
        first_content_p95: seconds from the due time to the first piece of the answer, for 95 of 100 requests.
        first_content_p99: seconds from the due time to the first piece of the answer, for 99 of 100 requests.
        first_content_max: seconds from the due time to the first piece of the answer, for all requests.
        response_p50: seconds from the due time to the last event, for 50 of 100 requests.
        response_p95: seconds from the due time to the last event, for 95 of 100 requests.
        response_p99: seconds from the due time to the last event, for 99 of 100 requests.
        response_max: seconds from the due time to the last event, for all requests.
        silence_p50: seconds between two events of a run, for 50 of 100 pauses.
        silence_p95: seconds between two events of a run, for 95 of 100 pauses.
        silence_p99: seconds between two events of a run, for 99 of 100 pauses.
        silence: seconds between two events of a run, for all pauses; the default is three times the limit of an agent.
        delivered: share of events that must reach their owner.
        refused: share of requests, and of attempts to connect, that may be refused.
        completed: share of requests that must end with an answer.
        recovery: seconds from the end of a fault until every user is served as before.
        steps_per_record: steps of the event loop for each record.
        replay_bytes: bytes that the bridge may keep for replay.
        work_after_leaving: seconds for which services may go on to work for a run after its last reader has left; 5 by
            default.
    """

    delivery_mean: Bound = 0.100
    delivery_p50: Bound | UnsetType = UNSET
    delivery_p95: Bound = 0.100
    delivery_p99: Bound | UnsetType = UNSET
    delivery_max: Bound | UnsetType = UNSET
    events: dict[str, EventObjectives] | UnsetType = UNSET
    first_event_p50: Bound | UnsetType = UNSET
    first_event_p95: Bound = 1.0
    first_event_p99: Bound | UnsetType = UNSET
    first_event_max: Bound | UnsetType = UNSET
    first_content_p50: Bound | UnsetType = UNSET
    first_content_p95: Bound | UnsetType = UNSET
    first_content_p99: Bound | UnsetType = UNSET
    first_content_max: Bound | UnsetType = UNSET
    response_p50: Bound | UnsetType = UNSET
    response_p95: Bound = 20.0
    response_p99: Bound | UnsetType = UNSET
    response_max: Bound | UnsetType = UNSET
    silence_p50: Bound | UnsetType = UNSET
    silence_p95: Bound | UnsetType = UNSET
    silence_p99: Bound | UnsetType = UNSET
    silence: Bound = 90.0
    delivered: Share = 0.995
    refused: Share = 0.01
    completed: Share = 0.99
    recovery: Bound = 5.0
    steps_per_record: Bound = 5.0
    replay_bytes: Bound = 64.0 * 1024 * 1024
    work_after_leaving: Bound | UnsetType = UNSET


def bounds_of(objectives: Objectives | EventObjectives, measure: str) -> Iterator[tuple[str, float]]:
    """The bounds of a time, such as "delivery", that are given: each with its name in `STATISTICS`."""
    for statistic in STATISTICS:
        bound = getattr(objectives, f"{measure}_{statistic}", UNSET)
        if bound is not UNSET:
            yield statistic, bound
