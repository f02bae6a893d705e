"""Where a load run may connect to: the URL of a system, and the hosts that the caller allows."""

import asyncio
import ssl
from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import urlsplit

from netra_sim.clients.protocol import SystemAddress
from netra_sim.clients.tls import tls_context
from netra_sim.exceptions import NetraSimError

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


_CONNECTS_WITHIN = 10.0
"""Seconds within which a system must accept the first connection."""


class TargetError(NetraSimError, ValueError):
    """The URL is none of a system, or leads to a host that is not allowed, or where nothing listens."""


def is_allowed(host: str, allowed: Collection[str]) -> bool:
    """Whether clients may connect to a host: to this machine always, to another one only by its name or address."""
    return host.lower() in {one.lower() for one in allowed} or is_loopback(host)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by a loopback address or as localhost (RFC 6761, section 6.3)."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def target_of(url: str, allowed: Collection[str] = ()) -> SystemAddress:
    """The system at a URL, whose path stands before the path of every request.

    Args:
        url: such as "http://127.0.0.1:8000/api"; http, https, ws or wss.
        allowed: the hosts that may be loaded, besides this machine.

    Raises:
        TargetError: the URL names no host or has other parts, or the host is not allowed.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise TargetError(f"{url!r} is no URL: {error}") from error
    if parts.scheme not in _PORTS or not host:
        raise TargetError(f"the URL of a system is like http://127.0.0.1:8000 (or https, ws, wss), and is {url!r}")
    if parts.query or parts.fragment or parts.username is not None:
        raise TargetError(
            f"the URL of a system has no user, no query and no fragment, and is {url!r}; "
            "a token goes into the headers of [client]"
        )
    if not is_allowed(host, allowed):
        raise TargetError(
            f"{host} is not this machine, and a load test can take a system down; if you may load it, add --allow {host}"
        )
    return SystemAddress(
        host=host,
        port=_PORTS[parts.scheme] if port is None else port,
        tls=parts.scheme in ("https", "wss"),
        path=parts.path.rstrip("/"),
    )


async def try_to_connect(target: SystemAddress) -> None:
    """Open one connection, and close it at once, so that a run against nothing is not begun.

    Raises:
        TargetError: nobody accepts it, or it cannot be encrypted as the URL says.
    """
    try:
        async with asyncio.timeout(_CONNECTS_WITHIN):
            context = tls_context() if target.tls else None
            _, writer = await asyncio.open_connection(target.host, target.port, ssl=context)
    except TimeoutError as error:
        kind = "a TLS connection" if target.tls else "a connection"
        reason = f"nobody accepts {kind} within {_CONNECTS_WITHIN:g} s"
        raise TargetError(
            f"{target.authority}: {reason}; is the system there, and does a firewall let this machine through?"
        ) from error
    except ssl.SSLCertVerificationError as error:
        raise TargetError(
            f"the certificate of {target.authority} is not trusted: {error.verify_message}; set the environment variable "
            "SSL_CERT_FILE to a file with the certificate of its authority, or with its own if it is self-signed"
        ) from error
    except ssl.SSLError as error:
        raise TargetError(
            f"{target.authority} does not speak TLS ({error.reason or error}); for a URL with http or ws it need not"
        ) from error
    except OSError as error:
        raise TargetError(
            f"nothing listens at {target.authority} ({error.strerror or error}); start the system first, or correct --url"
        ) from error
    writer.close()
