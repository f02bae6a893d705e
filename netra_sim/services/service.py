"""What every stand-in service has: settings that a scenario names by their kind, and how it is started."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, ClassVar

import msgspec

from netra_sim.services.conditions import Conditions
from netra_sim.services.listening import Handler, Listener

Record = Callable[[str, str, int, bool], None]
"""Takes a unit of work: for which user and run, both "" if the request does not tell, its number in the answer, and whether
it is the last numbered token of its answer."""

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
ErrorStatus = Annotated[int, msgspec.Meta(ge=500, le=599)]


class Service(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """The settings of a stand-in service. A kind is a subclass with a tag that says how a connection is served.

    Attributes:
        error_share: the share of requests that fail, from the start on; a fault may change it.
        cut_share: the share of answers whose connection is reset in the middle; a fault may change it.
        secret: a text that stands in each error that the service reports, so that a client who is shown it is seen.
        scheme: of its URLs.
    """

    scheme: ClassVar[str] = "http"

    error_share: Share = 0.0
    cut_share: Share = 0.0
    secret: str = ""

    def url(self, place: str) -> str:
        """Its URL, given its host, or host and port."""
        return f"{self.scheme}://{place}"

    def conditions(self) -> Conditions:
        """The conditions in which the service starts."""
        return Conditions(error_share=self.error_share, cut_share=self.cut_share, secret=self.secret)

    def handler(self, conditions: Conditions, seed: int, record: Record) -> Handler:
        """What serves each connection of one running service, until the connection ends.

        Args:
            conditions: to be read at each use.
            seed: determines all draws.
            record: takes each unit of work at the moment it is done.
        """
        raise NotImplementedError


class HttpService(Service, frozen=True, kw_only=True):
    """The settings of a service that speaks HTTP.

    Attributes:
        error_status: the HTTP status of a failed request.
        retry_after: the seconds that a refusal because of too many requests tells the client to wait.
    """

    error_status: ErrorStatus = 500
    retry_after: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 1.0

    def conditions(self) -> Conditions:
        """The conditions in which the service starts."""
        conditions = super().conditions()
        conditions.error_status = self.error_status
        return conditions


class Running:
    """A service at work.

    Attributes:
        port: where it listens.
        conditions: how it is; faults change them.
    """

    def __init__(self, port: int, conditions: Conditions) -> None:
        self.port = port
        self.conditions = conditions


@asynccontextmanager
async def serving(
    service: Service,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    seed: int = 0,
    record: Record = lambda user_id, run_id, number, is_last: None,
) -> AsyncIterator[Running]:
    """Run a stand-in service on the current loop; at the end it stops its work and closes its connections.

    Args:
        service: its settings.
        host: the address to listen at.
        port: the port; 0 for a free one.
        seed: determines all draws.
        record: takes each unit of work, such as one token, at the moment it is done.

    Raises:
        OSError: the address cannot be listened at.
    """
    conditions = service.conditions()
    listener = Listener(service.handler(conditions, seed, record), conditions)
    await listener.listen(host, port)
    try:
        yield Running(listener.port, conditions)
    finally:
        await listener.close()
