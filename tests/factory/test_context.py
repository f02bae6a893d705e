"""Contexts that cannot be changed and cannot be shared: incidents B3, F9 and S19."""

import asyncio
import enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim import UserExecutionContext, create_user_execution_context
from netra_sim.exceptions import ContextError


def make(**fields):
    return UserExecutionContext(**{"user_id": "alice", "thread_id": "t", "run_id": "r"} | fields)


@pytest.mark.parametrize(
    "bad", ["", " ", "registry", "System", "NONE", "admin_broadcast", "a\nb", " a", "x" * 257, None, 7]
)
@pytest.mark.parametrize("field", ["user_id", "thread_id", "run_id"])
def test_an_id_that_stands_for_nobody_is_refused_with_its_name(field, bad):  # B3
    with pytest.raises(ContextError, match=field):
        make(**{field: bad})


@pytest.mark.parametrize("good", ["alice", "auth0|5f7c", "ann@example.org", "Zoë", "42", "registry-7"])
def test_ordinary_ids_are_taken(good):
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


class Level(enum.Enum):
    HIGH = 1


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.binary(max_size=3) | st.just(Level.HIGH),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


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


async def test_request_data_that_is_no_mapping_is_refused():
    with pytest.raises(ContextError, match="mapping"):
        await create_user_execution_context("alice", "c", ["execute"])
