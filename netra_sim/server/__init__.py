"""Serves agents over real WebSockets, by `AgentServer` or as an ASGI application, and has a Python client."""

from netra_sim.server.asgi import AgentApp, agent_app, serve_asgi
from netra_sim.server.client import AgentClient
from netra_sim.server.conversation import ClientGoneError, Resume, serve_connection
from netra_sim.server.handshake import (
    AuthenticationError,
    AuthenticationUnavailableError,
    Authenticator,
    Handshake,
    bearer_token,
)
from netra_sim.server.keys import KeySet, KeySource, PublicKeys, SharedSecrets
from netra_sim.server.limits import ServerLimits
from netra_sim.server.logs import JsonFormatter, TextFormatter
from netra_sim.server.server import AgentServer
from netra_sim.server.service import AgentService
from netra_sim.server.tokens import TokenAuthenticator

__all__ = [
    "AgentApp",
    "AgentClient",
    "AgentServer",
    "AgentService",
    "AuthenticationError",
    "AuthenticationUnavailableError",
    "Authenticator",
    "ClientGoneError",
    "Handshake",
    "JsonFormatter",
    "KeySet",
    "KeySource",
    "PublicKeys",
    "Resume",
    "ServerLimits",
    "SharedSecrets",
    "TextFormatter",
    "TokenAuthenticator",
    "agent_app",
    "bearer_token",
    "serve_asgi",
    "serve_connection",
]
