"""How simulated and real clients talk to a system: client protocols, on plain asyncio."""

from typing import TYPE_CHECKING

from netra_sim.lazy import on_first_use

if TYPE_CHECKING:
    from netra_sim.clients.ag_ui import AgUi
    from netra_sim.clients.ag_ui_order import EventOrder
    from netra_sim.clients.journal import ENDED, FAILED, Journal
    from netra_sim.clients.json_events import Match
    from netra_sim.clients.netra import Netra
    from netra_sim.clients.protocol import CONTENT_KINDS, ClientProtocol, Request, Session, SystemAddress
    from netra_sim.clients.protocols import CLIENT_PROTOCOLS
    from netra_sim.clients.server_sent_events import EventStream, ServerSentEvent
    from netra_sim.clients.sse_json import SseJson
    from netra_sim.clients.websocket_json import WebSocketJson

__all__ = [
    "CLIENT_PROTOCOLS",
    "CONTENT_KINDS",
    "ENDED",
    "FAILED",
    "AgUi",
    "ClientProtocol",
    "EventOrder",
    "EventStream",
    "Journal",
    "Match",
    "Netra",
    "Request",
    "ServerSentEvent",
    "Session",
    "SseJson",
    "SystemAddress",
    "WebSocketJson",
]

__getattr__ = on_first_use(
    __name__,
    {
        "CLIENT_PROTOCOLS": "protocols",
        "CONTENT_KINDS": "protocol",
        "ENDED": "journal",
        "FAILED": "journal",
        "AgUi": "ag_ui",
        "ClientProtocol": "protocol",
        "EventOrder": "ag_ui_order",
        "EventStream": "server_sent_events",
        "Journal": "journal",
        "Match": "json_events",
        "Netra": "netra",
        "Request": "protocol",
        "ServerSentEvent": "server_sent_events",
        "Session": "protocol",
        "SseJson": "sse_json",
        "SystemAddress": "protocol",
        "WebSocketJson": "websocket_json",
    },
)
