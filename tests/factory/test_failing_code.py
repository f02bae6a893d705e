"""An error of any kind in the code of one user's run ends this run, and nothing else."""

import asyncio
import json

import pytest

from netra_sim.bridge import AgentWebSocketBridge, AuthenticatedUser, MemoryTransport
from netra_sim.exceptions import ToolError
from netra_sim.factory import ExecutionEngineFactory, RunOutcome, UserExecutionContext
from netra_sim.simulation import run_virtual


class Unheard(BaseException):
    """A BaseException that is not an Exception."""


ERRORS = [SystemExit(3), GeneratorExit(), Unheard("x"), BaseExceptionGroup("both", [Unheard(), ValueError()])]


def raising(error):
    async def work(*_, **__):
        await asyncio.sleep(0.1)
        raise error

    work.name = "raising"
    return work


class Agent:
    def __init__(self, work, name="agent"):
        self.work = work
        self.name = name

    async def run(self, session):
        return await self.work(session)


async def answers(session):
    await asyncio.sleep(1)
    return "done"


async def outcomes(mallorys_stages):
    """The results of alice's and mallory's runs, and the types of the events that each of them receives."""
    bridge = AgentWebSocketBridge()
    clients = {}
    for user in ("alice", "mallory"):
        clients[user] = MemoryTransport()
        bridge.connect(AuthenticatedUser(user), clients[user])

    def pipeline(context):
        return mallorys_stages(context) if context.user_id == "mallory" else [[Agent(answers)]]

    factory = ExecutionEngineFactory(websocket_bridge=bridge, pipeline=pipeline)

    async def execute(user):
        context = UserExecutionContext(user_id=user, thread_id=f"{user}-thread", run_id=f"{user}-run")
        async with factory.user_execution_scope(context) as engine:
            return await engine.execute_agent_pipeline()

    alice, mallory = await asyncio.gather(execute("alice"), execute("mallory"))
    await asyncio.sleep(1)
    assert alice.status is RunOutcome.SUCCESS
    assert factory.live_engines() == 0
    types = {user: [json.loads(frame)["type"] for frame in client.frames[1:]] for user, client in clients.items()}
    assert types["alice"] == ["agent_started", "agent_completed"]
    return mallory, types["mallory"]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("beside", [0, 2], ids=["alone", "with others in its stage"])
async def test_an_agent_that_raises_a_base_exception_ends_its_own_run_only(error, beside):
    others = [Agent(answers, f"other-{number}") for number in range(beside)]
    result, types = await outcomes(lambda _: [[Agent(raising(error)), *others]])
    assert result.status is RunOutcome.FAILED
    assert type(error).__name__ in result.error
    assert types == ["agent_started", "agent_error"]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
async def test_a_tool_that_raises_a_base_exception_ends_its_own_run_only(error):
    async def work(session):
        return await session.use_tool(raising(error))

    result, types = await outcomes(lambda _: [[Agent(work)]])
    assert result.status is RunOutcome.FAILED
    assert types == ["agent_started", "tool_executing", "tool_completed", "agent_error"]


async def test_an_agent_may_go_on_after_a_tool_that_exits():
    async def work(session):
        try:
            await session.use_tool(raising(SystemExit(2)))
        except ToolError:
            return "went on"

    result, _ = await outcomes(lambda _: [[Agent(work)]])
    assert result.final_response == "went on"


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("waits", ["for it", "for something else"])
async def test_spawned_work_that_raises_a_base_exception_ends_its_own_run_only(error, waits):
    async def work(session):
        task = session.spawn(raising(error)())
        await (asyncio.sleep(10) if waits == "for something else" else task)

    result, types = await outcomes(lambda _: [[Agent(work)]])
    assert result.status is RunOutcome.FAILED
    assert type(error).__name__ in result.error
    assert result.seconds < 5
    assert types == ["agent_started", "agent_error"]


async def test_an_agent_cannot_keep_a_run_alive_after_its_work_has_exited():
    async def work(session):
        task = session.spawn(raising(SystemExit(1))())
        try:
            await task
        except Exception:
            return "nothing has happened"

    result, types = await outcomes(lambda _: [[Agent(work)], [Agent(answers)]])
    assert result.status is RunOutcome.FAILED
    assert types == ["agent_started", "agent_error"]


async def test_an_agent_gets_the_exception_of_its_spawned_work_by_awaiting_it():
    async def work(session):
        try:
            await session.spawn(raising(KeyError("row"))())
        except KeyError:
            return "went on"

    result, _ = await outcomes(lambda _: [[Agent(work)]])
    assert result.final_response == "went on"


@pytest.mark.parametrize("error", ERRORS, ids=repr)
async def test_a_pipeline_function_that_raises_a_base_exception_ends_its_own_run_only(error):
    def broken(_):
        raise error

    result, types = await outcomes(broken)
    assert result.status is RunOutcome.FAILED
    assert type(error).__name__ in result.error
    assert types == ["agent_started", "agent_error"]


class Nameless:
    @property
    def name(self):
        raise SystemExit(4)

    async def run(self, session):
        return None


@pytest.mark.parametrize("stages", [None, 7, [7], [[object()]], [[Nameless()]], [[Agent(answers, "\ud800")]]])
async def test_invalid_stages_end_their_own_run_with_an_event(stages):
    result, types = await outcomes(lambda _: stages)
    assert result.status is RunOutcome.FAILED
    assert types == ["agent_started", "agent_error"]


class Exits:
    def __str__(self):
        raise SystemExit(5)


async def test_an_answer_that_exits_while_it_is_encoded_ends_its_own_run_only():
    async def work(session):
        return ValueError(Exits())

    result, types = await outcomes(lambda _: [[Agent(work)]])
    assert result.status is RunOutcome.FAILED
    assert types == ["agent_started", "agent_error"]


@pytest.mark.parametrize("error", [*ERRORS, asyncio.CancelledError()], ids=repr)
async def test_a_back_end_that_raises_a_base_exception_is_not_ready(error):
    bridge = AgentWebSocketBridge(backends={"model": raising(error)})
    result = await bridge.ensure_integration()
    assert not result.success
    assert "'model' is not ready" in result.error
    assert type(error).__name__ in result.error


def test_ctrl_c_in_an_agent_still_ends_the_program():
    with pytest.raises(KeyboardInterrupt):
        run_virtual(outcomes(lambda _: [[Agent(raising(KeyboardInterrupt()))]]))
