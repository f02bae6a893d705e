"""The factory: contexts, engines, agents, and the routing of a client's message to its run."""

from netra_sim.factory.agents import Agent, AgentSession, Pipeline, Tool
from netra_sim.factory.context import (
    PLACEHOLDER_IDS,
    UserExecutionContext,
    create_user_execution_context,
    require_real_id,
)
from netra_sim.factory.engine import EngineLimits, PipelineResult, RunOutcome, UserExecutionEngine
from netra_sim.factory.factory import ExecutionEngineFactory
from netra_sim.factory.isolation import SharedObject, SharedStateProbe, shared_mutable_objects
from netra_sim.factory.observer import FactoryObserver
from netra_sim.factory.pipeline import Slots, Timing, answer_to, default_pipeline
from netra_sim.factory.routing import (
    MESSAGE_TYPES,
    ExecuteAgent,
    answer_message,
    route_websocket_message_to_agent,
    run_id_of,
)

__all__ = [
    "MESSAGE_TYPES",
    "PLACEHOLDER_IDS",
    "Agent",
    "AgentSession",
    "EngineLimits",
    "ExecuteAgent",
    "ExecutionEngineFactory",
    "FactoryObserver",
    "Pipeline",
    "PipelineResult",
    "RunOutcome",
    "SharedObject",
    "SharedStateProbe",
    "Slots",
    "Timing",
    "Tool",
    "UserExecutionContext",
    "UserExecutionEngine",
    "answer_message",
    "answer_to",
    "create_user_execution_context",
    "default_pipeline",
    "require_real_id",
    "route_websocket_message_to_agent",
    "run_id_of",
    "shared_mutable_objects",
]
