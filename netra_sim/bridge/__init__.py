"""The bridge from agents to clients: it delivers typed events in order, resumably, and to their owner only."""

from netra_sim.bridge.bridge import (
    AgentWebSocketBridge,
    BridgeMetrics,
    IntegrationPolicy,
    IntegrationResult,
    IntegrationState,
)
from netra_sim.bridge.connection import AuthenticatedUser, Connection, MemoryTransport, Transport
from netra_sim.bridge.delivery import BridgeLimits, Counters
from netra_sim.bridge.emitter import RunEmitter
from netra_sim.bridge.failures import contained, is_failure, report
from netra_sim.bridge.observer import BridgeObserver
from netra_sim.bridge.payload import error_text
from netra_sim.bridge.secrets import redact_text

__all__ = [
    "AgentWebSocketBridge",
    "AuthenticatedUser",
    "BridgeLimits",
    "BridgeMetrics",
    "BridgeObserver",
    "Connection",
    "Counters",
    "IntegrationPolicy",
    "IntegrationResult",
    "IntegrationState",
    "MemoryTransport",
    "RunEmitter",
    "Transport",
    "contained",
    "error_text",
    "is_failure",
    "redact_text",
    "report",
]
