"""Every Python block of the remediation plan, run as it stands there.

What is changed, and all that is changed:

* the package's name: the plan imports from ``netra_backend.app...``, and the same names come from ``netra_sim``;
* names that a block uses and never defines are supplied by `names_left_undefined`, each the real thing;
* blocks that are shell commands in a Python fence are run as commands;
* one test whose body is ``pass`` gets a body, below;
* ``task1.result.user_id``: a task's ``result`` is a method, so as written this raises AttributeError on any asyncio. The
  plan does not import ``asyncio`` there; the one supplied has a TaskGroup whose tasks show their result as an attribute;
* ``events_received`` is never filled by the plan; the factory supplied there appends to that list what a client receives.
"""

import ast
import asyncio
import inspect
import json
import re
import subprocess
import sys
import textwrap
import types
from pathlib import Path

import pytest

import netra_sim
from netra_sim.bridge import AuthenticatedUser, MemoryTransport
from netra_sim.factory import shared_mutable_objects
from netra_sim.simulation import run_virtual

ROOT = Path(__file__).parents[2]
PLAN = Path(__file__).with_name("remediation_plan.md")
BLOCKS = [
    textwrap.dedent(block) for block in re.findall(r"^ *```python\n(.*?)^ *```", PLAN.read_text("utf-8"), re.M | re.S)
]


def block_with(words):
    found = [block for block in BLOCKS if words in block]
    assert len(found) == 1, f"{len(found)} blocks hold {words!r}"
    return re.sub(r"from netra_backend[\w.]* import", "from netra_sim import", found[0])


async def executed(block, names):
    """Run a block's statements, also those that await outside of a function, and return its names."""
    code = compile(block, str(PLAN), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    outcome = eval(code, names)
    if inspect.isawaitable(outcome):
        await outcome
    return names


async def names_left_undefined():
    """What the plan uses and never defines."""
    bridge = netra_sim.AgentWebSocketBridge()
    await bridge.ensure_integration()
    factory = netra_sim.ExecutionEngineFactory(websocket_bridge=bridge)

    def create_context(user_id):
        return netra_sim.UserExecutionContext(user_id=user_id, thread_id=f"{user_id}-thread", run_id=f"{user_id}-run")

    async def execute_with_factory(context):
        async with factory.user_execution_scope(context) as engine:
            return await engine.execute_agent_pipeline()

    return {name: getattr(netra_sim, name) for name in netra_sim.__all__} | {
        "asyncio": asyncio,
        "Dict": dict,
        "bridge": bridge,
        "websocket_bridge": bridge,
        "execution_factory": factory,
        "create_context": create_context,
        "context": create_context("alice"),
        "execute_with_factory": execute_with_factory,
    }


def test_every_block_of_the_plan_is_run_by_a_test_below():
    source = Path(__file__).read_text("utf-8")
    wanted = set(re.findall(r'block_with\(\s*"(.*?)"', source))
    assert len(BLOCKS) == 11
    assert [block for block in BLOCKS if not any(words in block for words in wanted)] == []


async def test_streaming_on_the_windows_safe_layer():
    async def answer():
        await asyncio.sleep(5)
        return "done"

    names = await names_left_undefined()
    names |= {"operation": answer(), "retry_count": 2}
    names = await executed(block_with("async def stream_agent_execution"), names)
    clock = asyncio.get_running_loop().time
    began = clock()
    assert await names["stream_agent_execution"](names["context"]) is None
    assert clock() - began == pytest.approx(5.1)
    await names["handle_streaming_infrastructure_timeout"]()
    assert 30.0 <= clock() - began - 5.1 < 33.0


async def test_the_operation_that_takes_too_long_times_out():
    names = await names_left_undefined()
    names |= {"operation": asyncio.sleep(1000)}
    names = await executed(block_with("async def stream_agent_execution"), names)
    with pytest.raises(TimeoutError):
        await names["stream_agent_execution"](names["context"])


async def test_the_bridge_integration_strategy():
    names = await executed(block_with("async def initialize_websocket_agent_integration"), await names_left_undefined())
    factory, bridge = await names["initialize_websocket_agent_integration"]()
    names["execution_factory"] = factory
    transport = MemoryTransport()
    bridge.connect(AuthenticatedUser("alice"), transport)
    result = await names["handle_agent_execution_request"](names["context"])
    assert (result.user_id, result.status) == ("alice", "success")
    routed = await names["route_websocket_message_to_agent"]({"message": "hi"}, "connection-1", "bob")
    assert (routed.user_id, routed.status) == ("bob", "success")
    await asyncio.sleep(0)
    assert {json.loads(frame).get("user_id") for frame in transport.frames} == {"alice"}


async def test_the_factory_flow():
    names = await executed(block_with("async def execute_agent_with_factory_isolation"), await names_left_undefined())
    result = await names["execute_agent_with_factory_isolation"](names["context"])
    assert result.status == "success"
    assert names["execution_factory"].live_engines() == 0


async def test_the_startup_sequence():
    names = await executed(block_with("# In startup sequence"), {})
    assert names["websocket_bridge"].last_integration_result.success
    names = await executed(
        block_with("# Verify ExecutionEngineFactory uses bridge"), await names_left_undefined() | names
    )
    assert isinstance(names["execution_factory"], netra_sim.ExecutionEngineFactory)


async def test_the_windows_validation():
    names = await executed(block_with("async def test_streaming_function"), await names_left_undefined())
    assert await names["test_streaming_function"]() == "success"
    assert await names["test_safe_timeout"]() is True


async def test_the_bridge_validation():
    names = await executed(block_with("async def test_agent_execution_uses_bridge"), await names_left_undefined())
    await names["test_agent_execution_uses_bridge"]()
    assert names["test_no_direct_websocket_agent_coupling"]() is None  # `pass` in the plan; its real body is next


def test_no_direct_websocket_agent_coupling():
    """Outside of the factory nothing makes an engine, and outside of the bridge and the server nothing knows of sockets."""
    offenders = []
    for path in (ROOT / "netra_sim").rglob("*.py"):
        room = path.relative_to(ROOT / "netra_sim").parts[0]
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and room != "factory"
                and ast.unparse(node.func).endswith("UserExecutionEngine")
            ):
                offenders.append(f"{path.name}:{node.lineno} makes an engine")
            if (
                isinstance(node, ast.Call)
                and room not in ("bridge", "factory", "defects")
                and ast.unparse(node.func).endswith(".open_run")
            ):
                offenders.append(f"{path.name}:{node.lineno} makes an emitter")
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            of_clients = room in ("clients", "loading") or "wire" in path.parts
            if room != "server" and not of_clients and any(module.split(".")[0] == "websockets" for module in modules):
                offenders.append(f"{path.name}:{node.lineno} knows of sockets")
    assert offenders == []


async def test_the_user_isolation_validation():
    names = await names_left_undefined()
    probed = []
    factory = names["execution_factory"]

    async def probe():
        while True:
            probed.append((len(factory.engines), shared_mutable_objects(factory.engines)))
            await asyncio.sleep(0)

    def no_shared_state_detected():
        return max(engines for engines, _ in probed) == 2 and not any(shared for _, shared in probed)

    class TaskGroup(asyncio.TaskGroup):
        def create_task(self, work):
            return ResultAsAttribute(super().create_task(work))

    probing = asyncio.create_task(probe())
    names |= {
        "no_shared_state_detected": no_shared_state_detected,
        "asyncio": types.SimpleNamespace(TaskGroup=TaskGroup),
    }
    names = await executed(block_with("async def test_multi_user_isolation"), names)
    await names["test_multi_user_isolation"]()
    probing.cancel()


class ResultAsAttribute:
    """A task as the plan takes it to be."""

    def __init__(self, task):
        self._task = task

    @property
    def result(self):
        return self._task.result()


async def test_the_critical_events_validation():
    names = await names_left_undefined()
    names["execution_factory"] = Monitored(names["execution_factory"], names["bridge"])
    names = await executed(block_with("async def test_critical_websocket_events"), names)
    await names["test_critical_websocket_events"]()


async def test_the_critical_events_validation_fails_where_no_event_arrives():
    names = await names_left_undefined()
    names = await executed(block_with("async def test_critical_websocket_events"), names)
    with pytest.raises(AssertionError):
        await names["test_critical_websocket_events"]()


class Monitored:
    """A factory whose users' clients put what they receive into the caller's list `events_received`."""

    def __init__(self, factory, bridge):
        self._factory = factory
        self._bridge = bridge

    def user_execution_scope(self, context):
        received = sys._getframe(1).f_locals["events_received"]

        def read(frames):
            received.extend(json.loads(frame) for frame in frames)

        self._bridge.connect(AuthenticatedUser(context.user_id), MemoryTransport(read))
        return self._factory.user_execution_scope(context)


@pytest.mark.parametrize(
    "block",
    [
        block_with("# Test Windows-safe patterns in streaming scenarios"),
        block_with("# Run Factory pattern compliance tests"),
    ],
    ids=["windows", "factory"],
)
def test_the_commands_of_the_plan(block):
    commands = [line.split() for line in block.splitlines() if line and not line.startswith("#")]
    assert commands
    for python, path in commands:
        assert python == "python"
        command = [sys.executable, path.removeprefix("netra_backend/")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(r"\d+ passed", done.stdout)


def test_the_plan_runs_on_a_coarse_clock_too():
    async def main():
        names = await executed(block_with("async def test_streaming_function"), await names_left_undefined())
        return await names["test_streaming_function"](), await names["test_safe_timeout"]()

    assert run_virtual(main(), tick=1 / 64, order="random", seed=3) == ("success", True)
