"""The clients, unmodified, on the virtual network: they record the same story as on real sockets, and the same each time."""

import asyncio
import json
from contextlib import asynccontextmanager
from functools import partial

import msgspec
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route, WebSocketRoute
from systems import Records, request, serving

from netra_sim.clients import AgUi, Match, SseJson, SystemAddress, WebSocketJson
from netra_sim.distributions import Uniform
from netra_sim.history import Kind
from netra_sim.runtime import run
from netra_sim.simulation.hosts.links import LineConditions
from netra_sim.simulation.hosts.network_loop import NetworkLoop

USERS = tuple(f"user-{number}" for number in range(5))
TOKENS = 6


async def sse(asked):
    question = await asked.json()

    async def body():
        for number in range(TOKENS):
            yield f"data: {json.dumps({'type': 'token', 'delta': f'#{number}; ', 'for': question['message']})}\n\n"
            await asyncio.sleep(0.01)
        yield "data: [DONE]\n\n"

    return StreamingResponse(body(), media_type="text/event-stream")


async def ag_ui(asked):
    question = await asked.json()
    run_of = {"threadId": question["threadId"], "runId": question["runId"]}

    async def body():
        yield f"data: {json.dumps({'type': 'RUN_STARTED', **run_of})}\n\n"
        for number in range(TOKENS):
            token = {"type": "TEXT_MESSAGE_CHUNK", "messageId": "m", "delta": f"#{number}; "}
            yield f"data: {json.dumps(token)}\n\n"
            await asyncio.sleep(0.01)
        yield f"data: {json.dumps({'type': 'RUN_FINISHED', **run_of})}\n\n"

    return StreamingResponse(body(), media_type="text/event-stream")


async def websocket(socket):
    await socket.accept()
    async for question in socket.iter_json():
        for number in range(TOKENS):
            await socket.send_json({"type": "token", "delta": f"#{number}; ", "for": question["message"]})
            await asyncio.sleep(0.01)
        await socket.send_json({"type": "done"})


APP = Starlette(
    routes=[
        Route("/sse", sse, methods=["POST"]),
        Route("/ag-ui", ag_ui, methods=["POST"]),
        WebSocketRoute("/ws", websocket),
    ]
)
DONE = Match(path="type", values=("done",))
PROTOCOLS = {
    "sse-json": SseJson(path="/sse", type="type", content="delta"),
    "ag-ui": AgUi(path="/ag-ui"),
    "websocket-json": WebSocketJson(path="/ws", type="type", content="delta", end=DONE, leave_share=0.4),
}


async def use(protocol, target, user, records):
    session = protocol.session(target, user, records.journal(user), seed=1)
    await session.connect()
    for number in range(2):
        await session.ask(request(user, number))
    await session.leave()


async def on_real_sockets(protocol):
    records = Records()
    async with serving(APP) as target:
        await asyncio.gather(*(use(protocol, target, user, records) for user in USERS))
    return records.recorder.finish({})


@asynccontextmanager
async def system():
    """The target of the application under uvicorn on a host of its own."""
    loop = asyncio.get_running_loop()
    server = uvicorn.Server(uvicorn.Config(APP, host="0.0.0.0", port=80, log_level="critical", lifespan="off"))
    serve = loop.create_task_in(loop.network.add_host("system").process, server._serve(), "system")
    await asyncio.sleep(1)
    yield SystemAddress(host="system", port=80)
    server.should_exit = True
    await serve


def on_host(name, coroutine):
    loop = asyncio.get_running_loop()
    return loop.create_task_in(loop.network.add_host(name).process, coroutine, name)


async def on_virtual_hosts(protocol):
    records = Records()
    async with system() as target:
        await asyncio.gather(*(on_host(user, use(protocol, target, user, records)) for user in USERS))
    return records.recorder.finish({})


async def cut_at(time, protocol):
    """The history of one request whose client is cut at a time of the loop, or never."""
    records, loop = Records(), asyncio.get_running_loop()
    async with system() as target:
        session = protocol.session(target, "alice", records.journal("alice"))
        if time is not None:
            loop.call_at(time, session.cut)
        await on_host("alice", session.ask(request("alice")))
        await session.leave()
    return records.recorder.finish({})


def simulated(program, *arguments, seed=1):
    inside = LineConditions(latency=Uniform(0.005, 0.03))
    return run(program(*arguments), loop_factory=partial(NetworkLoop, seed=seed, inside=inside))


def story(history, user):
    """What happened to a user, without times."""
    frame = history.frame(*(kind for kind in Kind if kind is not Kind.SAMPLE))
    columns = ["kind", "run", "thread", "connection", "event", "subject", "seq"]
    return [tuple(row) for row in frame[frame["user"] == user][columns].itertuples(index=False)]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_simulated_clients_tell_the_story_of_real_ones_and_the_same_each_time(name):
    protocol = PROTOCOLS[name]
    simulation, reality = simulated(on_virtual_hosts, protocol), asyncio.run(on_real_sockets(protocol))
    assert simulated(on_virtual_hosts, protocol).digest() == simulation.digest()
    for user in USERS:
        assert story(simulation, user) == story(reality, user)
        assert story(simulation, user)
    assert len(simulation.frame(Kind.ANSWERED)) + len(simulation.frame(Kind.LEFT)) == 2 * len(USERS)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_client_that_is_cut_at_the_moment_when_an_event_arrives_reads_no_more(name):
    protocol = msgspec.structs.replace(PROTOCOLS[name], leave_share=0.0)
    for seed in range(8):
        times = simulated(cut_at, None, protocol, seed=seed).frame(Kind.RECEIVED)["time"]
        history = simulated(cut_at, times.iloc[2], protocol, seed=seed)
        assert 2 <= len(history.frame(Kind.RECEIVED)) <= 3
        assert list(history.frame(Kind.LEFT)["detail"]) == ["lost"]
        assert list(history.frame(Kind.DISCONNECTED)["value"]) == [1006]
