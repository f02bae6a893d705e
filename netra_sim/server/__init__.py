"""The real WebSocket server, its client, and load runs over both."""

from netra_sim.server.auth import AuthenticationError, TokenAuthenticator
from netra_sim.server.client import AgentClient
from netra_sim.server.loading import MOST_USERS, Load, load
from netra_sim.server.server import AgentServer, Resume

__all__ = [
    "MOST_USERS",
    "AgentClient",
    "AgentServer",
    "AuthenticationError",
    "Load",
    "Resume",
    "TokenAuthenticator",
    "load",
]
