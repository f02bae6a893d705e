"""A remediation plan for a multi-user AI-agent chat backend, made executable and falsifiable.

A name below is imported when it is first used, so that a service that takes the bridge and the factory loads neither pandas
nor a server.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from netra_sim.lazy import on_first_use
from netra_sim.version import __version__

if TYPE_CHECKING:
    from netra_sim.bridge import AgentWebSocketBridge
    from netra_sim.checks import check
    from netra_sim.factory import (
        ExecutionEngineFactory,
        UserExecutionContext,
        create_user_execution_context,
        route_websocket_message_to_agent,
    )
    from netra_sim.history import History, Objectives
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

_ROOMS = {
    "AgentWebSocketBridge": "bridge",
    "ExecutionEngineFactory": "factory",
    "History": "history",
    "Objectives": "history",
    "Scenario": "simulation",
    "UserExecutionContext": "factory",
    "WindowsAsyncioSafePatterns": "runtime",
    "WindowsSafeTimeoutContext": "runtime",
    "check": "checks",
    "create_user_execution_context": "factory",
    "enable_nest_asyncio": "runtime",
    "load": "loading",
    "route_websocket_message_to_agent": "factory",
    "run": "runtime",
    "simulate": "simulation",
    "windows_asyncio_safe": "runtime",
    "windows_safe_gather": "runtime",
    "windows_safe_progressive_delay": "runtime",
    "windows_safe_sleep": "runtime",
    "windows_safe_wait_for": "runtime",
}
"""The room that has each public name."""

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


_named = on_first_use(__name__, _ROOMS)


def __getattr__(name: str) -> Any:
    return import_module(f"{__name__}.{name}") if name in _ROOMS.values() else _named(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS})
