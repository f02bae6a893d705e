"""Routes a client's message to a run. Every message is carried out, or answered with a refusal."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from netra_sim.bridge import AgentWebSocketBridge, Connection
from netra_sim.exceptions import (
    BridgeNotReadyError,
    ContextError,
    EngineLimitError,
    FactoryClosedError,
    MessageError,
    NetraSimError,
    RunExistsError,
    ThreadOwnerError,
)
from netra_sim.factory.context import MAX_REQUEST_ID_LENGTH, create_user_execution_context
from netra_sim.factory.engine import PipelineResult
from netra_sim.factory.factory import ExecutionEngineFactory
from netra_sim.protocol import Refused

log = logging.getLogger(__name__)

RequestId = Annotated[str, msgspec.Meta(pattern=rf"^[A-Za-z0-9_-]{{1,{MAX_REQUEST_ID_LENGTH}}}\Z")]


class ExecuteAgent(msgspec.Struct, frozen=True, tag_field="type", tag="execute_agent"):
    """Asks for one run.

    Attributes:
        message: the user's question.
        thread_id: the conversation; without it a new one begins. A thread belongs to the user who used it first, and other
            users are refused as if it did not exist.
        request_id: the client's name for the request. The run id is then ``<user id>.<request id>``. A request that is sent
            again while the bridge keeps its run is not carried out again.
        data: more data for the agents.
    """

    message: str
    thread_id: str | None = None
    request_id: RequestId | None = None
    data: dict[str, Any] = {}


MESSAGE_TYPES: Mapping[str, type[ExecuteAgent]] = {"execute_agent": ExecuteAgent}
"""The message types that this module carries out; it refuses every other type with ``unknown_type``."""

_CODES: tuple[tuple[type[NetraSimError], str], ...] = (
    (BridgeNotReadyError, "not_ready"),
    (ContextError, "invalid_request"),
    (EngineLimitError, "engine_limit"),
    (FactoryClosedError, "shutting_down"),
    (RunExistsError, "duplicate_request"),
    (ThreadOwnerError, "unknown_thread"),
)


def run_id_of(user_id: str, request_id: str) -> str:
    """The id of the run of a user's request. Requests of two users never have the same run id."""
    return f"{user_id}.{request_id}"


async def route_websocket_message_to_agent(
    message_data: Mapping[str, Any], connection_id: str, user_id: str, *, execution_factory: ExecutionEngineFactory
) -> PipelineResult:
    """Carry out a client's message: make its context, open a scope, execute the pipeline.

    Args:
        message_data: the decoded message.
        connection_id: the connection that carried the message.
        user_id: the authenticated user of the connection; a user named in the message is ignored.
        execution_factory: makes the engine.

    Raises:
        MessageError: the type of the message is unknown, or a field is missing or wrong.
        ThreadOwnerError: the thread belongs to another user.
        NetraSimError: the run could not begin; see `ExecutionEngineFactory.user_execution_scope`.
    """
    message = _read(message_data)
    context = await create_user_execution_context(
        user_id,
        connection_id,
        {"message": message.message, "data": message.data},
        thread_id=message.thread_id,
        run_id=None if message.request_id is None else run_id_of(user_id, message.request_id),
    )
    execution_factory.claim_thread(context.user_id, context.thread_id)
    async with execution_factory.user_execution_scope(context) as engine:
        return await engine.execute_agent_pipeline()


async def answer_message(
    message_data: object,
    connection: Connection,
    *,
    bridge: AgentWebSocketBridge,
    execution_factory: ExecutionEngineFactory,
) -> PipelineResult | None:
    """Route a message; if it cannot be carried out, send the client a `Refused` on its connection.

    Returns:
        The run's result, or None if the message was refused.
    """
    request_id = None
    try:
        if not isinstance(message_data, Mapping):
            raise MessageError("malformed", f"a message is a JSON object, and this is {short_repr(message_data)}")
        given = message_data.get("request_id")
        request_id = given if isinstance(given, str) else None
        return await route_websocket_message_to_agent(
            message_data, connection.connection_id, connection.user_id, execution_factory=execution_factory
        )
    except asyncio.CancelledError:
        bridge.send_control(connection, Refused("cancelled", "The request was cancelled.", request_id))
        raise
    except NetraSimError as error:
        code = error.code if isinstance(error, MessageError) else _code(error)
        detail = error.detail if isinstance(error, MessageError) else str(error)
    except Exception:
        log.exception("a message of connection %s failed", connection.connection_id)
        code, detail = "internal_error", "The server failed at this message; it has been recorded."
    bridge.send_control(connection, Refused(code, detail, request_id))
    return None


def _read(message_data: Mapping[str, Any]) -> ExecuteAgent:
    kind = message_data.get("type")
    message_class = MESSAGE_TYPES.get(kind) if isinstance(kind, str) else None
    if message_class is None:
        known = ", ".join(MESSAGE_TYPES)
        raise MessageError("unknown_type", f"the message's type is {short_repr(kind)}; known are: {known}")
    try:
        return msgspec.convert(message_data, message_class)
    except msgspec.ValidationError as error:
        raise MessageError("malformed", f"the {kind} message cannot be read: {error}") from error


def _code(error: NetraSimError) -> str:
    return next((code for kind, code in _CODES if isinstance(error, kind)), "refused")


def short_repr(value: object) -> str:
    """The repr of a value, cut to 80 characters, for refusals."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
