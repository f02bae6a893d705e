"""Runs the server and the clients of a load run in one process, so that a test can reach both."""

import asyncio
from time import perf_counter

import msgspec

from netra_sim.bridge import AgentWebSocketBridge
from netra_sim.factory import EngineLimits, ExecutionEngineFactory, default_pipeline
from netra_sim.history import Kind, merge
from netra_sim.loading.channel import Orders
from netra_sim.loading.clients import drive
from netra_sim.loading.control import bare_echo
from netra_sim.loading.plan import UniformTiming
from netra_sim.recording import Recorder
from netra_sim.server import AgentServer, TokenAuthenticator


async def in_one_process(plan, *, on_answer=lambda: None, pipeline=None, limits=None, tokens_of=None):
    began = perf_counter()
    recorder = Recorder(lambda: perf_counter() - began)
    bridge = AgentWebSocketBridge(observer=recorder)
    factory = ExecutionEngineFactory(
        websocket_bridge=bridge,
        pipeline=pipeline or default_pipeline(UniformTiming(plan.step, plan.seed)),
        observer=recorder,
        limits=limits or EngineLimits(),
    )
    authenticator = TokenAuthenticator()
    server = AgentServer(bridge=bridge, execution_factory=factory, authenticator=authenticator)
    tokens = {user.user_id: (tokens_of or authenticator).issue(user.user_id) for user in plan.planned()}
    async with bare_echo() as control_uri, server:
        theirs = await drive(Orders(plan, server.uri, control_uri, tokens, began), on_answer)
    return merge([recorder.finish({}), theirs], {})


def samples(history, gauge):
    rows = history.frame(Kind.SAMPLE)
    return rows["value"][rows["detail"] == gauge]


def spying(monkeypatch):
    """A list to which every process that starts from now on is added."""
    started = []
    start = asyncio.create_subprocess_exec

    async def spy(*command, **options):
        process = await start(*command, **options)
        started.append(process)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", spy)
    return started


def other_orders(monkeypatch, **changes):
    """Change fields of the orders that the clients receive."""
    from netra_sim.loading.process import ClientsProcess

    original = ClientsProcess.drive

    def drive_otherwise(self, orders, on_answer):
        return original(self, msgspec.structs.replace(orders, **changes), on_answer)

    monkeypatch.setattr(ClientsProcess, "drive", drive_otherwise)
