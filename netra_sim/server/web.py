"""What the server answers to plain HTTP: whether it lives, whether it is ready, and its figures."""

from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from netra_sim.server.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from netra_sim.server.service import AgentService

TEXT = "text/plain; charset=utf-8"


class Page(msgspec.Struct, frozen=True):
    """An answer to a GET request."""

    status: HTTPStatus
    body: bytes
    content_type: str = TEXT


def page(path: str, service: "AgentService") -> Page | None:
    """The answer to a path, or None if there is none."""
    if path == "/healthz":
        return Page(HTTPStatus.OK, b"ok\n")
    if path == "/readyz":
        if service.is_ready:
            return Page(HTTPStatus.OK, b"ready\n")
        return Page(HTTPStatus.SERVICE_UNAVAILABLE, b"not ready: no run can begin now\n")
    if path == "/metrics":
        return Page(HTTPStatus.OK, service.metrics.text(), CONTENT_TYPE)
    return None
