"""A remediation plan for a multi-user AI-agent chat backend, made executable and falsifiable."""

from netra_sim.bridge import AgentWebSocketBridge
from netra_sim.checks import Objectives, check
from netra_sim.factory import (
    ExecutionEngineFactory,
    UserExecutionContext,
    create_user_execution_context,
    route_websocket_message_to_agent,
)
from netra_sim.history import History
from netra_sim.loading import load
from netra_sim.runtime import (
    WindowsAsyncioSafePatterns,
    WindowsSafeTimeoutContext,
    enable_nest_asyncio,
    run,
    windows_asyncio_safe,
    windows_safe_gather,
    windows_safe_progressive_delay,
    windows_safe_sleep,
    windows_safe_wait_for,
)
from netra_sim.simulation import Scenario, simulate
from netra_sim.version import __version__

__all__ = [
    "AgentWebSocketBridge",
    "ExecutionEngineFactory",
    "History",
    "Objectives",
    "Scenario",
    "UserExecutionContext",
    "WindowsAsyncioSafePatterns",
    "WindowsSafeTimeoutContext",
    "__version__",
    "check",
    "create_user_execution_context",
    "enable_nest_asyncio",
    "load",
    "route_websocket_message_to_agent",
    "run",
    "simulate",
    "windows_asyncio_safe",
    "windows_safe_gather",
    "windows_safe_progressive_delay",
    "windows_safe_sleep",
    "windows_safe_wait_for",
]
