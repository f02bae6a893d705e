"""The parameters of the validation notebook."""

from typing import Annotated

from msgspec import Meta

from netra_sim.history import Objectives
from netra_sim.loading import MOST_USERS
from netra_sim.parameters import LATER, DeliveryP95, NotebookParameters, standard

_SMALLER_SHARE = standard("objective", "share", "lower")
_LARGER_SHARE = standard("objective", "share", "higher")


class ValidationParameters(NotebookParameters, frozen=True, kw_only=True):
    """The parameters of the validation notebook. Its objectives are some of `netra_sim.Objectives`.

    An objective may be weaker than the plan's; the verdict then says so. Values beyond the bounds are refused because they
    mean nothing, such as minutes for an event or half of the requests lost.
    """

    users: Annotated[
        int, Meta(description="simulated users", ge=1, le=100_000, extra=standard("evidence", "users", "lower"))
    ] = 1000
    windows_users: Annotated[
        int,
        Meta(
            description="simulated users on a clock as coarse as Windows'",
            ge=1,
            le=100_000,
            extra=standard("evidence", "users", "lower"),
        ),
    ] = 100
    server_users: Annotated[
        int,
        Meta(description="real WebSocket clients", ge=1, le=MOST_USERS, extra=standard("evidence", "clients", "lower")),
    ] = 50
    detection_seeds: Annotated[
        int,
        Meta(
            description="seeds with which each check runs against each defect",
            ge=1,
            le=1000,
            extra=standard("evidence", "seeds", "lower"),
        ),
    ] = 5
    step_cost: Annotated[
        float,
        Meta(
            description="seconds of CPU that every step of the simulated event loop takes; stated, not measured here",
            ge=0,
            le=1,
            extra=standard("evidence", "s", "lower"),
        ),
    ] = 0.0002
    delivery_mean: Annotated[
        float,
        Meta(description="objective: mean time from publishing to client, in seconds", gt=0, le=60, extra=LATER),
    ] = 0.1
    delivery_p95: DeliveryP95 = 0.1
    first_event_p95: Annotated[
        float,
        Meta(
            description="objective: from due to first event for 95 of 100 requests, in seconds",
            gt=0,
            le=300,
            extra=LATER,
        ),
    ] = 1.0
    delivered: Annotated[
        float,
        Meta(description="objective: share of events that reach their owner", ge=0.5, le=1, extra=_SMALLER_SHARE),
    ] = 0.995
    refused: Annotated[
        float,
        Meta(description="objective: share of requests that may be refused", ge=0, le=0.5, extra=_LARGER_SHARE),
    ] = 0.01
    completed: Annotated[
        float,
        Meta(description="objective: share of requests that end with an answer", ge=0.5, le=1, extra=_SMALLER_SHARE),
    ] = 0.99
    mrr: Annotated[
        float, Meta(description="revenue a month that is said to depend on the chat, in dollars; no result", ge=0)
    ] = 120_000.0
    mrr_source: Annotated[str, Meta(description="who says so")] = (
        "the remediation plan of 2025-09-09, without a reference"
    )

    @property
    def objectives(self) -> Objectives:
        """The objectives among the parameters."""
        names = set(Objectives.__struct_fields__) & set(self.__struct_fields__)
        return Objectives(**{name: getattr(self, name) for name in names})
