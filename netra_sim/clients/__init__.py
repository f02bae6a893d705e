"""How simulated and real clients talk to a system: client protocols, on plain asyncio."""

from netra_sim.clients.ag_ui import AgUi
from netra_sim.clients.ag_ui_order import EventOrder
from netra_sim.clients.journal import ENDED, FAILED, Journal
from netra_sim.clients.json_events import Match
from netra_sim.clients.netra import Netra
from netra_sim.clients.protocol import CONTENT_KINDS, STREAM_KINDS, ClientProtocol, Request, Session, Target
from netra_sim.clients.protocols import CLIENT_PROTOCOLS, ClientProtocolError, protocol_from
from netra_sim.clients.server_sent_events import EventStream, ServerSentEvent
from netra_sim.clients.sse_json import SseJson
from netra_sim.clients.websocket_json import WebSocketJson

__all__ = [
    "CLIENT_PROTOCOLS",
    "CONTENT_KINDS",
    "ENDED",
    "FAILED",
    "STREAM_KINDS",
    "AgUi",
    "ClientProtocol",
    "ClientProtocolError",
    "EventOrder",
    "EventStream",
    "Journal",
    "Match",
    "Netra",
    "Request",
    "ServerSentEvent",
    "Session",
    "SseJson",
    "Target",
    "WebSocketJson",
    "protocol_from",
]
