"""The probe finds state that the engines of two users share, and nothing else: incidents F2 and F9."""

import asyncio
import gc
import sys
import weakref
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim import check, simulate
from netra_sim.bridge import AgentWebSocketBridge
from netra_sim.factory import ExecutionEngineFactory, SharedStateProbe, UserExecutionContext, shared_mutable_objects
from netra_sim.simulation import Scenario, Workload


class Plain:
    name = "plain"

    async def run(self, session):
        return None


class WithRegistry(Plain):
    def __init__(self, registry):
        self.registry = registry


class WithClassCache(Plain):
    cache: ClassVar = {}


class Frozen(Plain):
    limits = (1, 2)
    __slots__ = ()


@asynccontextmanager
async def engines_of(pipeline, users=("alice", "bob")):
    factory = ExecutionEngineFactory(websocket_bridge=AgentWebSocketBridge(), pipeline=pipeline)
    async with AsyncExitStack() as stack:
        engines = []
        for number, user in enumerate(users):
            context = UserExecutionContext(user_id=user, thread_id="t", run_id=f"run-{number}", request={"rows": [1]})
            engines.append(await stack.enter_async_context(factory.user_execution_scope(context)))
        yield engines


async def shared_by(pipeline, users=("alice", "bob")):
    async with engines_of(pipeline, users) as engines:
        return shared_mutable_objects(engines)


async def test_a_registry_that_all_agents_hold_is_found_with_its_path():  # F2
    registry = {"dispatcher": None}
    found = await shared_by(lambda _: [[WithRegistry(registry)]])
    assert [(one.user_id, one.other_user_id, one.type_name) for one in found] == [("alice", "bob", "dict")]
    assert "WithRegistry" in found[0].path


def closure():
    seen = []

    class Closing(Plain):
        def __init__(self):
            self.remember = lambda: seen.append(1)

    return lambda _: [[Closing()]]


@pytest.mark.parametrize("pipeline", [lambda _: [[WithClassCache()]], closure()], ids=["class attribute", "closure"])
async def test_state_hidden_in_a_class_or_a_closure_is_found(pipeline):  # F2
    assert {one.type_name for one in await shared_by(pipeline)} & {"dict", "list"}


async def test_one_agent_object_for_all_users_is_found():  # F2
    agent = WithRegistry([])
    assert {one.type_name for one in await shared_by(lambda _: [[agent]])} == {"WithRegistry", "list"}


async def test_engines_with_separate_parts_share_nothing():
    assert await shared_by(None) == []
    assert await shared_by(lambda _: [[WithRegistry({})]]) == []
    assert await shared_by(lambda _: [[Frozen()]]) == []


@pytest.mark.parametrize("compiled", [np.random.default_rng, pd.api.types.infer_dtype], ids=["numpy", "pandas"])
async def test_a_function_made_by_cython_does_not_lead_into_the_globals_of_its_module(compiled):
    class Compiled(Plain):
        work = compiled

        def __init__(self):
            self.more_work = compiled

    assert await shared_by(lambda _: [[Compiled()]]) == []


async def test_what_a_class_gets_between_two_looks_is_found_by_the_second():
    class Agent(Plain):
        pass

    probe = SharedStateProbe()
    async with engines_of(lambda _: [[Agent()]]) as engines:
        assert probe.look(engines) == []
        Agent.cache = {}
        assert [one.type_name for one in probe.look(engines)] == ["dict"]
        del Agent.cache
        assert probe.look(engines) == []


async def test_a_class_that_gets_another_base_between_two_looks_is_read_again():
    class Base:
        pass

    class Agent(Base, Plain):
        pass

    probe = SharedStateProbe()
    async with engines_of(lambda _: [[Agent()]]) as engines:
        assert probe.look(engines) == []
        Agent.__bases__ = (WithClassCache,)
        assert [one.type_name for one in probe.look(engines)] == ["dict"]


async def test_an_agent_that_changes_its_class_is_seen_as_what_it_is_now():
    agents = []

    def pipeline(_):
        agents.append(Plain())
        return [[agents[-1]]]

    probe = SharedStateProbe()
    async with engines_of(pipeline) as engines:
        assert probe.look(engines) == []
        for agent in agents:
            agent.__class__ = WithClassCache
        assert [one.type_name for one in probe.look(engines)] == ["dict"]


async def test_a_class_that_was_looked_at_can_go_away():
    async def look():
        class Passing(Plain):
            cache: ClassVar = {}

        assert len(await shared_by(lambda _: [[Passing()]])) == 1
        return weakref.ref(Passing)

    passing = await look()
    gc.collect()
    assert passing() is None


async def test_classes_that_are_made_for_each_run_go_away_while_the_probe_looks():
    made = weakref.WeakSet()

    def pipeline(_):
        class Passing(Plain):
            cache: ClassVar = {}

        made.add(Passing)
        return [[Passing()]]

    probe, looks = SharedStateProbe(), 600
    for _ in range(looks):
        async with engines_of(pipeline) as engines:
            assert probe.look(engines) == []
    gc.collect()
    assert len(made) < 1_100 < 2 * looks


@dataclass(frozen=True)
class Fixed:
    held: object


@dataclass
class Loose:
    held: object


def holders(held):
    """What an agent can hold: containers, views, frozen and other objects, closures and defaults, around what is held."""
    return st.one_of(
        st.lists(held, max_size=3),
        st.lists(held, max_size=3).map(tuple),
        st.dictionaries(st.sampled_from("ab"), held, max_size=2),
        st.dictionaries(st.sampled_from("ab"), held, max_size=2).map(MappingProxyType),
        held.map(Fixed),
        held.map(Loose),
        held.map(lambda part: lambda: part),
        held.map(lambda part: lambda default=part: default),
    )


COMMON = ([], {"a": 1}, MappingProxyType({"a": [1]}), Fixed({}), Loose(1), ([],), WithRegistry([]), None, "text")


@given(st.lists(st.recursive(st.sampled_from(COMMON) | st.builds(list), holders, max_leaves=6), min_size=3, max_size=3))
def test_a_quick_look_finds_exactly_what_a_full_walk_finds(held):
    async def compare():
        pipelines = iter([[[WithRegistry(one)]] for one in held])
        async with engines_of(lambda _: next(pipelines), ("alice", "bob", "carol")) as engines:
            assert SharedStateProbe().look(engines) == shared_mutable_objects(engines)

    asyncio.run(compare())


async def test_two_engines_of_one_user_may_share():
    registry = {}
    assert await shared_by(lambda _: [[WithRegistry(registry)]], users=("alice", "alice")) == []


async def test_no_false_alarm_in_hundreds_of_tries():  # F9
    for _ in range(200):
        assert await shared_by(lambda _: [[WithRegistry({})]]) == []


async def test_a_debugger_that_watches_the_agents_is_not_shared_state():
    class Debugger:
        def __init__(self):
            self.seen = []

        def trace(self, frame, event, arg):
            return self.trace

    class Waiting(Plain):
        async def run(self, session):
            await asyncio.Event().wait()

    factory = ExecutionEngineFactory(websocket_bridge=AgentWebSocketBridge(), pipeline=lambda _: [[Waiting()]])
    before = sys.gettrace()
    async with AsyncExitStack() as stack:
        sys.settrace(Debugger().trace)
        try:
            engines, runs = [], []
            for user in ("alice", "bob"):
                context = UserExecutionContext(user_id=user, thread_id="t", run_id=user)
                engines.append(await stack.enter_async_context(factory.user_execution_scope(context)))
                runs.append(asyncio.create_task(engines[-1].execute_agent_pipeline()))
            await asyncio.sleep(0.01)
        finally:
            sys.settrace(before)
        assert shared_mutable_objects(engines) == []
        for run in runs:
            run.cancel()


CURRENT = None
NOTES = {}
TABLE = {"cost": ("cheap",)}
CLIENT = None


class Rebinds(Plain):
    async def run(self, session):
        global CURRENT
        CURRENT = session.context.user_id
        await asyncio.sleep(0.3)
        return CURRENT


def note(user_id):
    NOTES["user"] = user_id


class WritesThroughAHelper(Plain):
    async def run(self, session):
        note(session.context.user_id)
        await asyncio.sleep(0.3)
        return NOTES["user"]


class ReadsATable(Plain):
    async def run(self, session):
        await asyncio.sleep(0.3)
        return TABLE["cost"]


class MakesAClientOnce(Plain):
    async def run(self, session):
        global CLIENT
        CLIENT = CLIENT or Store()
        await asyncio.sleep(0.3)
        return len(CLIENT.rows)


class WithADefault(Plain):
    async def run(self, session, seen=[]):  # noqa: B006 - the defect
        return "answered"


class Store:
    def __init__(self):
        self.rows = []


class WithAStore(Plain):
    store = Store()

    async def run(self, session):
        return "answered"


AT_ONCE = WithRegistry(["answered"])


def finds_shared_state(agent, seed):
    class Variant(ExecutionEngineFactory):
        def __init__(self, **settings):
            super().__init__(**settings | {"pipeline": lambda _: [[agent()]]})

    scenario = Scenario(users=8, workload=Workload(window=2.0))
    results = check(simulate(scenario, seed, factory_class=Variant))
    return next(result.state for result in results if result.check == "shared-state") == "failed"


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "agent",
    [Rebinds, WritesThroughAHelper, WithADefault, WithAStore, WithClassCache, lambda: AT_ONCE],
    ids=["global rebound", "global written", "default", "object of a class", "class attribute", "one agent at once"],
)
def test_state_that_all_users_share_is_found_with_every_seed(agent, seed):  # F2
    assert finds_shared_state(agent, seed)


@pytest.mark.parametrize("agent", [ReadsATable, MakesAClientOnce], ids=["a constant", "made on first use"])
def test_a_global_that_never_changes_again_is_not_shared_state(agent):
    assert not any(finds_shared_state(agent, seed) for seed in range(5))


last_question = {}


class WithGlobal(Plain):
    async def run(self, session):
        last_question["is"] = session.context.request
        return


@pytest.mark.parametrize(("users", "shared"), [(("alice", "bob"), [("alice", "bob")]), (("alice", "alice"), [])])
async def test_a_global_that_has_changed_is_shared_by_the_users_whose_agents_name_it_and_by_no_single_one(
    users, shared
):
    factory = ExecutionEngineFactory(websocket_bridge=AgentWebSocketBridge(), pipeline=lambda _: [[WithGlobal()]])
    probe = SharedStateProbe()
    async with AsyncExitStack() as stack:
        engines = []
        for number, user in enumerate(users):
            context = UserExecutionContext(user_id=user, thread_id=f"{user} {number}", run_id=f"{user}.{number}")
            engines.append(await stack.enter_async_context(factory.user_execution_scope(context)))
        assert probe.look(engines) == []
        last_question["is"] = f"changed for {users}"
        found = probe.look(engines)
    assert [(one.user_id, one.other_user_id) for one in found] == shared
    assert {one.type_name for one in found} <= {"module global"}
