"""The server's answers to plain HTTP: health, readiness, metrics, and the client for browsers."""

from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from types import MappingProxyType

import msgspec

from netra_sim.server.metrics import CONTENT_TYPE
from netra_sim.server.service import AgentService

TEXT = "text/plain; charset=utf-8"
JAVASCRIPT = "text/javascript; charset=utf-8"


class Page(msgspec.Struct, frozen=True):
    """An answer to a GET request."""

    status: HTTPStatus
    body: bytes
    content_type: str = TEXT
    headers: Mapping[str, str] = MappingProxyType({})


def page(path: str, service: AgentService) -> Page | None:
    """The answer for a path, or None for an unknown path."""
    if path == "/healthz":
        return Page(HTTPStatus.OK, b"ok\n")
    if path == "/readyz":
        if service.is_ready:
            return Page(HTTPStatus.OK, b"ready\n")
        return Page(HTTPStatus.SERVICE_UNAVAILABLE, b"not ready: no run can begin now\n")
    if path == "/metrics":
        return Page(HTTPStatus.OK, service.metrics.text(), CONTENT_TYPE)
    if path == "/agent-client.js":
        # Any page may import it: it is public, and holds no credentials.
        return Page(HTTPStatus.OK, _browser_client(), JAVASCRIPT, {"Access-Control-Allow-Origin": "*"})
    return None


@cache
def _browser_client() -> bytes:
    return files("netra_sim.server").joinpath("browser", "agent-client.js").read_bytes()
