"""The payloads that an event can carry, and the secrets that are redacted in them: incidents B11 and B12."""

import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
import types
import uuid

import numpy as np
import pandas as pd
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim.bridge import AgentWebSocketBridge, AuthenticatedUser, BridgeLimits, MemoryTransport
from netra_sim.exceptions import PayloadError
from netra_sim.simulation import run_virtual


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    where: Colour


class Order(pydantic.BaseModel):
    item: str
    count: int


class Vague:
    pass


class Broken:
    def model_dump(self):
        raise RuntimeError("no")


async def carry(payload, **limits):
    bridge = AgentWebSocketBridge(limits=BridgeLimits(**limits))
    await bridge.ensure_integration()
    transport = MemoryTransport()
    bridge.connect(AuthenticatedUser("alice"), transport)
    emitter = bridge.open_run(user_id="alice", thread_id="t", run_id="r")
    emitter.agent_started("agent")
    emitter.agent_thinking(payload)
    await bridge.shutdown()
    return json.loads(transport.frames[-1])["reasoning"]


def carried(payload, **limits):
    return run_virtual(carry(payload, **limits))


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (Colour.RED, "red"),
        (datetime.datetime(2025, 9, 9, 8, 0, tzinfo=datetime.UTC), "2025-09-09T08:00:00+00:00"),
        (datetime.timedelta(seconds=90), 90.0),
        (Point(1, Colour.RED), {"x": 1, "where": "red"}),
        (Order(item="tea", count=2), {"item": "tea", "count": 2}),
        (b"\x00\xff", "AP8="),
        ({3, 1, 2}, [1, 2, 3]),
        ({2: "two", None: "none", True: "yes", Colour.RED: "r", (1, 2): "pair"},
         {"2": "two", "null": "none", "true": "yes", "red": "r", "1,2": "pair"}),
        ((1, [2, {"x": (3,)}]), [1, [2, {"x": [3]}]]),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (decimal.Decimal("1.10"), "1.10"),
        (pathlib.PurePosixPath("a/b"), "a/b"),
        (ValueError("bad"), "ValueError: bad"),
        (np.float64(1.5), 1.5),
        (np.arange(3), [0, 1, 2]),
        ({np.int64(7): 1, np.float32(0.5): 2, np.bool_(True): 3, np.str_("s"): 4, (np.int8(1), "x"): 5},
         {"7": 1, "0.5": 2, "true": 3, "s": 4, "1,x": 5}),
        ({np.datetime64("2025-09-09T08:00", "ns"): 1, np.datetime64("NaT", "ns"): 2, pd.Timestamp("2025-09-09"): 3},
         {"2025-09-09T08:00:00": 1, "null": 2, "2025-09-09T00:00:00": 3}),
        (np.array(["2025-09-09T12:00", "2025-09-09T12:00:00.5", "NaT"], "M8[ns]"),
         ["2025-09-09T12:00:00", "2025-09-09T12:00:00.500000", None]),
        (np.array([["2025-09-09"]], "M8[D]"), [["2025-09-09"]]),
        (np.datetime64("2025-09-09T12:00:00.123456789"), "2025-09-09T12:00:00.123456789"),
        (np.datetime64("2025-09-09T12:00:00.25", "ms"), "2025-09-09T12:00:00.250000"),
        (np.datetime64("2025-09-09T12", "h"), "2025-09-09T12:00:00"),
        (np.array([1500, "NaT"], "m8[ms]"), [1.5, None]),
        ([pd.NaT, pd.NA, np.datetime64("NaT", "ns"), pd.Timedelta("2s")], [None, None, None, 2.0]),
        (pd.Series(pd.to_datetime(["2025-09-09", None])), ["2025-09-09T00:00:00", None]),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        (float("nan"), None),
        (2**70, 2**70),
        ("Grüße 🎉", "Grüße 🎉"),
    ],
)  # fmt: skip
def test_any_reasonable_value_is_encoded(payload, expected):  # B11, B12
    assert carried(payload) == expected


def cycle():
    loop = {"a": []}
    loop["a"].append(loop)
    return loop


def shared(innermost, levels=60):
    """Lists that hold each other twice: a handful in memory, 2 ** 60 values as JSON."""
    for _ in range(levels):
        innermost = [innermost, innermost]
    return innermost


@pytest.mark.parametrize(
    ("payload", "path", "reason"),
    [
        (cycle(), r"\$\.reasoning\.a\[0\]\.a", "nests deeper"),
        ({"rows": [1, Vague()]}, r"\$\.reasoning\.rows\[1\]", "Vague"),
        ({"a": {b"key": 1}}, r"\$\.reasoning\.a", "key of type bytes"),
        ({1: "a", "1": "b"}, r"\$\.reasoning", "two keys that both become '1'"),
        ({"x": {None: "some longer text", "null": 1}}, r"\$\.reasoning\.x", "two keys that both become 'null'"),
        ({np.int64(1): 1, 1.0: 1, "1": 2}, r"\$\.reasoning", "two keys that both become '1'"),
        ({"text": "\ud800"}, r"\$\.reasoning\.text", "surrogate"),
        ({"x": Broken()}, r"\$\.reasoning\.x", "RuntimeError: no"),
        ("x" * 5_000, r"\$", "at most 4000"),
        (["\u00e9" * 2_100], r"\$", "event of 4.* bytes; at most 4000"),
        (shared(1), r"\$\.reasoning(\[0\])+", "at most 4000"),
        (shared({"api_key": "x"}), r"\$\.reasoning(\[0\])+", "at most 4000"),
        (shared({Colour.RED: Point(1, Colour.RED)}), r"\$\.reasoning(\[0\])+", "at most 4000"),
        (["a long text " * 100] * 2_000, r"\$\.reasoning\[1", "at most 4000"),
        (["password=1 " * 100] * 2_000, r"\$\.reasoning\[1", "at most 4000"),
        ({"k" * 100 + str(n): n for n in range(100)}, r"\$\.reasoning", "at most 4000"),
    ],
)
def test_a_value_that_cannot_be_encoded_is_refused_with_its_path_and_not_published(payload, path, reason):  # B11, B12
    async def main():
        bridge = AgentWebSocketBridge(limits=BridgeLimits(event_bytes=4_000))
        await bridge.ensure_integration()
        emitter = bridge.open_run(user_id="alice", thread_id="t", run_id="r")
        emitter.agent_started("agent")
        with pytest.raises(PayloadError, match=f"{path}.*{reason}"):
            emitter.agent_thinking(payload)
        assert emitter.agent_thinking("the next one") == 1

    run_virtual(main())


@pytest.mark.parametrize(
    "payload",
    [
        {"api_key": "S3CRET"},
        {"results": [{"apiKey": "S3CRET"}, {"nested": {"PASSWORD": "S3CRET"}}]},
        [["postgres://user:S3CRET@db.internal/main"]],
        {"log": "connecting with password=S3CRET now"},
        {"headers": {"Authorization": "Bearer S3CRETS3CRET"}},
        {"note": "use Bearer S3CRETS3CRET for it"},
        {"client_secret": ["S3CRET"]},
        {"dbpassword": "S3CRET", "clientsecret": "S3CRET", "authtoken": "S3CRET"},
        {"db-password": {"value": "S3CRET"}},
        {"AWS_ACCESS_KEY": "S3CRET", "x-api-key": "S3CRET"},
        RuntimeError("could not reach redis://:S3CRET@cache:6379/0"),
        Order(item="token=S3CRET", count=1),
    ],
)
def test_secrets_are_redacted_wherever_they_nest(payload):  # B11
    text = json.dumps(carried(payload))
    assert "S3CRET" not in text
    assert "[redacted]" in text


@pytest.mark.parametrize(
    "payload",
    [
        {"max_tokens": 4096, "token_count": 12, "tokens_used": 7},
        {"author": "Ann", "monkey": "George", "secretary": "Bo", "keyboard": "qwerty"},
        {"text": "the password policy and the token economy"},
        {"url": "https://example.org/a?b=c"},
        {"key": "primary", "keys": [1, 2]},
        {"password_required": True, "cookies": None},
        {"next_page_token": "CAUQAA", "NextToken": "AAMA", "continuation_token": "x1"},
    ],
)
def test_harmless_values_stay_unchanged(payload):  # B11
    assert carried(payload) == payload


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("abc é1_ ", max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcdé", max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_json_values_arrive_unchanged(payload):
    assert carried(payload) == payload


@given(JSON, st.lists(st.sampled_from(["x", 0, None]), max_size=3))
def test_a_secret_never_arrives_whatever_surrounds_it(around, path):
    payload = {"password": "S3CRET"}
    for step in path:
        payload = [payload, around] if step == 0 else {"inner": payload, "other": around}
    assert "S3CRET" not in json.dumps(carried(payload))


def test_the_payload_can_be_changed_after_it_was_published():
    async def main():
        bridge = AgentWebSocketBridge()
        await bridge.ensure_integration()
        transport = MemoryTransport()
        bridge.connect(AuthenticatedUser("alice"), transport)
        emitter = bridge.open_run(user_id="alice", thread_id="t", run_id="r")
        emitter.agent_started("agent")
        rows = [1]
        emitter.agent_thinking({"rows": rows})
        rows.append(2)
        await bridge.shutdown()
        assert json.loads(transport.frames[-1])["reasoning"] == {"rows": [1]}

    run_virtual(main())


def test_every_critical_event_has_the_fields_that_clients_require():  # V2
    required = {
        "agent_started": {"type", "user_id", "thread_id", "run_id", "timestamp"},
        "agent_thinking": {"type", "reasoning", "timestamp"},
        "tool_executing": {"type", "tool_name", "parameters", "timestamp"},
        "tool_completed": {"type", "tool_name", "results", "duration", "timestamp"},
        "agent_completed": {"type", "status", "final_response", "timestamp"},
    }

    async def main():
        bridge = AgentWebSocketBridge()
        await bridge.ensure_integration()
        transport = MemoryTransport()
        bridge.connect(AuthenticatedUser("alice"), transport)
        emitter = bridge.open_run(user_id="alice", thread_id="t", run_id="r")
        emitter.agent_started("agent")
        emitter.agent_thinking("hm")
        emitter.tool_executing("search", {"q": 1})
        emitter.tool_completed("search", [], 0.5)
        emitter.agent_completed("done")
        await bridge.shutdown()
        return [json.loads(frame) for frame in transport.frames[1:]]

    events = run_virtual(main())
    assert {event["type"]: required[event["type"]] - event.keys() for event in events} == {
        name: set() for name in required
    }
    assert {event["schema_version"] for event in events} == {1}
    assert len({event["event_id"] for event in events}) == 5


@pytest.mark.parametrize("text", ['{"password": "S3CRET"}', "password: S3CRET", "pwd='S3C RET'", "api-key = S3CRET"])
def test_secrets_in_the_text_of_a_message_are_redacted(text):
    assert "S3C" not in carried(text)


class Unreadable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize("error", [ValueError("name \udcff.txt"), Unreadable()])
def test_any_exception_can_be_encoded(error):
    assert carried(error).startswith(type(error).__name__)
