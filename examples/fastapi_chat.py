"""Agents in an existing FastAPI application, which authenticates its users itself.

Run it with ``uvicorn fastapi_chat:app``. The cookie ``session`` of the page identifies the user.
"""

from typing import Annotated

from fastapi import Cookie, Depends, FastAPI, WebSocket, WebSocketException

from netra_sim import AgentWebSocketBridge, ExecutionEngineFactory
from netra_sim.bridge import AuthenticatedUser
from netra_sim.server import AgentApp, AgentService, serve_asgi

SESSIONS = {"secret-of-alice": "alice", "secret-of-bob": "bob"}
PAGES = {None, "https://chat.example"}

bridge = AgentWebSocketBridge()
service = AgentService(bridge=bridge, execution_factory=ExecutionEngineFactory(websocket_bridge=bridge), drain=10)
agents = AgentApp(service)
app = FastAPI(lifespan=agents.lifespan)


async def current_user(websocket: WebSocket, session: Annotated[str | None, Cookie()] = None) -> AuthenticatedUser:
    """The application's authentication. It refuses the cookie from pages of other sites."""
    if session not in SESSIONS or websocket.headers.get("origin") not in PAGES:
        raise WebSocketException(code=4401)
    return AuthenticatedUser(SESSIONS[session])


@app.websocket("/chat")
async def chat(websocket: WebSocket, user: Annotated[AuthenticatedUser, Depends(current_user)]) -> None:
    """Serve one user's conversation with the agents."""
    await serve_asgi(user, websocket.scope, websocket.receive, websocket.send, service)


app.mount("/", agents)  # /healthz, /readyz and /metrics
