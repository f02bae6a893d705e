"""All client protocols by name, including those of other packages."""

from netra_sim.clients.ag_ui import AgUi
from netra_sim.clients.netra import Netra
from netra_sim.clients.protocol import ClientProtocol
from netra_sim.clients.sse_json import SseJson
from netra_sim.clients.websocket_json import WebSocketJson
from netra_sim.registry import Registry

CLIENT_PROTOCOLS: Registry[type[ClientProtocol]] = Registry(
    "netra_sim.client_protocols",
    (Netra, WebSocketJson, SseJson, AgUi),
    kind=type,
    name_of=lambda protocol: str(protocol.__struct_config__.tag),
)
"""All client protocols by name, including those of other packages; a scenario file names one by its ``kind``."""
