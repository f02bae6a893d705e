"""The bridge from agents to clients: typed events, ordered and resumable delivery, to their owner only."""

from netra_sim.bridge.bridge import (
    AgentWebSocketBridge,
    BridgeMetrics,
    IntegrationPolicy,
    IntegrationResult,
    IntegrationState,
)
from netra_sim.bridge.closing import (
    CLOSE_LOST,
    CLOSE_NORMAL,
    CLOSE_POLICY,
    CLOSE_PROTOCOL,
    CLOSE_UNAUTHENTICATED,
    TERMINAL_CODES,
    longest_pause,
)
from netra_sim.bridge.connection import AuthenticatedUser, Connection, MemoryTransport, Transport
from netra_sim.bridge.delivery import BridgeLimits, Counters
from netra_sim.bridge.emitter import RunEmitter
from netra_sim.bridge.events import (
    CRITICAL_EVENTS,
    FINAL_EVENTS,
    SCHEMA_VERSION,
    AgentCompleted,
    AgentError,
    AgentStarted,
    AgentThinking,
    Event,
    EventType,
    Gap,
    Hello,
    Refused,
    RunStatus,
    ToolCompleted,
    ToolExecuting,
)
from netra_sim.bridge.failures import contained, is_failure, report
from netra_sim.bridge.observer import BridgeObserver
from netra_sim.bridge.payload import error_text
from netra_sim.bridge.reader import EventReader, Reading

__all__ = [
    "CLOSE_LOST",
    "CLOSE_NORMAL",
    "CLOSE_POLICY",
    "CLOSE_PROTOCOL",
    "CLOSE_UNAUTHENTICATED",
    "CRITICAL_EVENTS",
    "FINAL_EVENTS",
    "SCHEMA_VERSION",
    "TERMINAL_CODES",
    "AgentCompleted",
    "AgentError",
    "AgentStarted",
    "AgentThinking",
    "AgentWebSocketBridge",
    "AuthenticatedUser",
    "BridgeLimits",
    "BridgeMetrics",
    "BridgeObserver",
    "Connection",
    "Counters",
    "Event",
    "EventReader",
    "EventType",
    "Gap",
    "Hello",
    "IntegrationPolicy",
    "IntegrationResult",
    "IntegrationState",
    "MemoryTransport",
    "Reading",
    "Refused",
    "RunEmitter",
    "RunStatus",
    "ToolCompleted",
    "ToolExecuting",
    "Transport",
    "contained",
    "error_text",
    "is_failure",
    "longest_pause",
    "report",
]
