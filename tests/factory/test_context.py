"""Contexts cannot be changed and share no mutable objects: incidents B3, F9 and S19."""

import asyncio
import copy
import datetime
import enum
import multiprocessing
import pickle
import zoneinfo
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim import (
    AgentWebSocketBridge,
    ExecutionEngineFactory,
    UserExecutionContext,
    create_user_execution_context,
    route_websocket_message_to_agent,
)
from netra_sim.exceptions import ContextError


def make(**fields):
    return UserExecutionContext(**{"user_id": "alice", "thread_id": "t", "run_id": "r"} | fields)


@pytest.mark.parametrize(
    "bad",
    ["", " ", "registry", "System", "NONE", "admin_broadcast", "a\nb", " a", "x" * 257, None, 7, "placeholder_user",
     "Placeholder-1", "placeholder_user_0000", "placeholder" + "x" * 100],
)  # fmt: skip
@pytest.mark.parametrize("field", ["user_id", "thread_id", "run_id"])
def test_a_placeholder_or_malformed_id_is_refused_with_the_name_of_its_field(field, bad):  # B3
    with pytest.raises(ContextError, match=field):
        make(**{field: bad})


@pytest.mark.parametrize(
    "good", ["alice", "auth0|5f7c", "ann@example.org", "Zoë", "42", "registry-7", "my-placeholder"]
)
def test_ordinary_ids_are_accepted(good):
    assert make(user_id=good).user_id == good


def test_no_part_of_a_context_can_be_changed():  # F9
    request = {"rows": [1, {"deep": [2]}], "tags": {"a"}}
    context = make(request=request)
    request["rows"].append(3)
    assert context.request["rows"] == (1, {"deep": (2,)})
    with pytest.raises(AttributeError):
        context.user_id = "bob"
    with pytest.raises(TypeError):
        context.request["new"] = 1
    with pytest.raises(TypeError):
        context.request["rows"][1]["deep"] = 1


@pytest.mark.parametrize("shared", [object(), asyncio.Lock(), lambda: None, [[{"session": object()}]]])
def test_what_two_users_could_share_cannot_enter_a_context(shared):  # F9
    with pytest.raises(ContextError, match=r"request\.session"):
        make(request={"session": shared})


def test_data_that_contains_itself_is_refused():
    loop = {}
    loop["again"] = loop
    with pytest.raises(ContextError, match="contains itself"):
        make(request=loop)


@pytest.mark.parametrize(("user", "request_id"), [("u" * 256, "r" * 64), ("u" * 192, "r" * 64), ("u" * 256, "r")])
async def test_every_valid_user_can_use_every_valid_request_id(user, request_id):
    factory = ExecutionEngineFactory(websocket_bridge=AgentWebSocketBridge())
    message = {"type": "execute_agent", "message": "m", "request_id": request_id}
    result = await route_websocket_message_to_agent(message, "c", user, execution_factory=factory)
    assert result.run_id == f"{user}.{request_id}"


def test_a_run_id_has_a_maximum_length_too():
    assert make(user_id="u" * 256, run_id="x" * 321).run_id == "x" * 321
    with pytest.raises(ContextError, match="run_id must have at most 321 characters, and has 322"):
        make(user_id="u" * 256, run_id="x" * 322)


class Level(enum.Enum):
    HIGH = 1


class Shared(enum.Enum):
    LIST = [1]  # noqa: RUF012
    TUPLE = (1, [2])


class Noted(enum.Enum):
    ONE = 1

    def __init__(self, number):
        self.notes = []


class Text(str):
    """Text with attributes, which makes it mutable."""


class Number(int):
    pass


class Amount(float):
    pass


class Bytes(bytes):
    pass


class Moment(datetime.datetime):
    pass


class Day(datetime.date):
    pass


class Zone(datetime.tzinfo):
    """A mutable time zone."""

    def __repr__(self):
        return "Zone()"

    def utcoffset(self, moment):
        return datetime.timedelta(hours=2)

    def dst(self, moment):
        return None

    def tzname(self, moment):
        return "Z"


TWO = datetime.timezone(datetime.timedelta(hours=2))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (Text("a"), "a"),
        (Number(7), 7),
        (Amount(0.5), 0.5),
        (Bytes(b"b"), b"b"),
        (bytearray(b"b"), b"b"),
        (np.float64(1.5), 1.5),
        (np.str_("s"), "s"),
        (Moment(2025, 9, 9, 8, 0, 1), datetime.datetime(2025, 9, 9, 8, 0, 1)),  # noqa: DTZ001
        (Day(2025, 9, 9), datetime.date(2025, 9, 9)),
        (datetime.datetime(2025, 9, 9, tzinfo=Zone()), datetime.datetime(2025, 9, 9, tzinfo=TWO)),
        (pd.Timestamp("2025-09-09T08:00Z"), datetime.datetime(2025, 9, 9, 8, tzinfo=datetime.UTC)),
        (pd.NaT, None),
        (pd.Timedelta("2s"), datetime.timedelta(seconds=2)),
        (Shared.LIST, (1,)),
        (Shared.TUPLE, (1, (2,))),
        (Noted.ONE, 1),
        (Level.HIGH, Level.HIGH),
    ],
    ids=repr,
)
def test_no_value_inside_a_context_can_be_changed(given, kept):
    context = make(request={"leaf": given, "deep": [{"leaf": given}]})
    for leaf in (context.request["leaf"], context.request["deep"][0]["leaf"]):
        assert (leaf, type(leaf)) == (kept, type(kept))
        assert not isinstance(leaf, datetime.datetime) or not isinstance(leaf.tzinfo, Zone)


def test_ids_and_keys_are_plain_text():
    context = make(user_id=Text("alice"), connection_id=Text("c"), request={Text("key"): 1})
    assert {type(context.user_id), type(context.connection_id), type(next(iter(context.request)))} == {str}


def copies(context):
    return [copy.copy(context), copy.deepcopy(context), pickle.loads(pickle.dumps(context))]


REQUEST = {
    "rows": [1, {"deep": [2]}],
    "tags": {"a", "b"},
    "level": Level.HIGH,
    "when": datetime.datetime(2025, 9, 9, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
    "raw": bytearray(b"x"),
}


def test_a_context_can_be_copied_pickled_hashed_and_compared():
    context = make(request=REQUEST, connection_id="c")
    for other in copies(context):
        assert other == context
        assert hash(other) == hash(context)
        with pytest.raises(TypeError):
            other.request["new"] = 1
    assert len({context, make(request=REQUEST, connection_id="c"), make(request={})}) == 2
    assert make(request={"a": {"b": 1}}) != make(request={"a": {"b": 2}})
    with pytest.raises(AttributeError):
        context.request._items = {}


def message_of(context):
    return context.user_id, context.request["message"]


def test_a_context_can_be_sent_to_another_process():
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(message_of, make(request={"message": "hello"})).result() == ("alice", "hello")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.binary(max_size=3) | st.just(Level.HIGH),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=4))
def test_any_context_equals_its_copies(request):
    context = make(request=request)
    assert {context, *copies(context)} == {context}


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=4))
def test_any_plain_data_is_kept_as_it_was(request):
    def thawed(value):
        if isinstance(value, tuple):
            return [thawed(item) for item in value]
        if hasattr(value, "items"):
            return {key: thawed(item) for key, item in value.items()}
        return value

    assert thawed(make(request=request).request) == request


async def test_a_conversation_is_kept_over_its_messages():  # S19
    first = await create_user_execution_context("alice", "c", {"message": "hello"})
    second = await create_user_execution_context("alice", "c", {"message": "more", "thread_id": first.thread_id})
    third = await create_user_execution_context("alice", "c", {}, thread_id=first.thread_id)
    assert first.thread_id == second.thread_id == third.thread_id
    assert len({first.run_id, second.run_id, third.run_id}) == 3


async def test_request_data_that_is_not_a_mapping_is_refused():
    with pytest.raises(ContextError, match="mapping"):
        await create_user_execution_context("alice", "c", ["execute"])
