"""All client protocols by name, and the protocol that a table of a scenario file describes."""

import difflib
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import msgspec

from netra_sim.clients.ag_ui import AgUi
from netra_sim.clients.netra import Netra
from netra_sim.clients.protocol import ClientProtocol
from netra_sim.clients.sse_json import SseJson
from netra_sim.clients.websocket_json import WebSocketJson
from netra_sim.exceptions import NetraSimError
from netra_sim.registry import Registry

CLIENT_PROTOCOLS: Registry[type[ClientProtocol]] = Registry(
    "netra_sim.client_protocols",
    (Netra, WebSocketJson, SseJson, AgUi),
    kind=type,
    name_of=lambda protocol: str(protocol.__struct_config__.tag),
)
"""All client protocols by name, including those of other packages; a scenario file names one by its ``kind``."""


class ClientProtocolError(NetraSimError, ValueError):
    """The table describes no client protocol; the message names the field, and what it takes."""


def protocol_from(table: Mapping[str, Any]) -> ClientProtocol:
    """The client protocol that a table describes.

    Args:
        table: the settings, with ``kind``: the name of a protocol, or the place of a class, such as
            "my_tests.clients:Telnet".

    Raises:
        ClientProtocolError: there is no such protocol, or it does not take these settings.
    """
    protocol = _named(table.get("kind"))
    try:
        return msgspec.convert({**table, "kind": protocol.__struct_config__.tag}, protocol)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        fields = ", ".join(protocol.__struct_fields__)
        where = f"client.{path.rstrip('`')}" if path else "client"
        raise ClientProtocolError(f"{where}: {reason}; {table['kind']} takes {fields}") from error


def _named(kind: object) -> type[ClientProtocol]:
    if not isinstance(kind, str):
        raise ClientProtocolError(f'client.kind is {kind!r}; it takes {_names()}, or "module:Class"')
    if ":" not in kind:
        if kind in CLIENT_PROTOCOLS:
            return CLIENT_PROTOCOLS[kind]
        close = difflib.get_close_matches(kind, CLIENT_PROTOCOLS, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise ClientProtocolError(f'client.kind is {kind!r}; {hint}it takes {_names()}, or "module:Class"')
    module, _, name = kind.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ClientProtocolError(f"client.kind is {kind!r}, which cannot be imported: {error}") from error
    if not (isinstance(found, type) and issubclass(found, ClientProtocol)):
        raise ClientProtocolError(f"client.kind is {kind!r}, which is no subclass of ClientProtocol")
    return found


def _names() -> str:
    return ", ".join(CLIENT_PROTOCOLS)
