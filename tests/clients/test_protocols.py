"""How a scenario's table becomes a client protocol, and templates and paths in its settings."""

import re
from importlib.metadata import EntryPoint

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim import registry
from netra_sim.chosen import ChoiceError, chosen
from netra_sim.clients import (
    CLIENT_PROTOCOLS,
    ClientProtocol,
    Match,
    SseJson,
)
from netra_sim.clients.templates import at, fill, fill_path, values_of


class Telnet(ClientProtocol, frozen=True, tag="test_protocols:Telnet"):
    greeting: str = "HELLO"


def described(table):
    return chosen(table, CLIENT_PROTOCOLS, "client", ClientProtocol)


def test_the_four_protocols_have_names_and_their_tables_give_them():
    assert set(CLIENT_PROTOCOLS) == {"netra", "websocket-json", "sse-json", "ag-ui"}
    protocol = chosen(
        {"kind": "sse-json", "path": "/x", "end": {"path": "type", "values": ["done"]}},
        CLIENT_PROTOCOLS,
        "client",
        ClientProtocol,
    )
    assert protocol == SseJson(path="/x", end=Match(path="type", values=("done",)))
    assert protocol.name == "sse-json"


def test_a_class_of_ones_own_is_named_by_its_place():
    protocol = chosen(
        {"kind": "test_protocols:Telnet", "greeting": "HI", "leave_share": 0.5},
        CLIENT_PROTOCOLS,
        "client",
        ClientProtocol,
    )
    assert protocol == Telnet(greeting="HI", leave_share=0.5)
    assert protocol.name == "test_protocols:Telnet"


def test_another_package_adds_a_protocol_by_an_entry_point(monkeypatch):
    point = EntryPoint("telnet", "test_protocols:Telnet", "netra_sim.client_protocols")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == point.group else [])
    fresh = registry.Registry(CLIENT_PROTOCOLS.group, (), kind=type, name_of=lambda one: str(one.__struct_config__.tag))
    assert [one.__name__ for one in fresh.values()] == ["Telnet"]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({}, "client.kind is None; it takes netra, websocket-json, sse-json, ag-ui, or a class of your own"),
        ({"kind": "sse_json"}, "did you mean sse-json?"),
        ({"kind": "nowhere.to.find:X"}, "and there is no module nowhere in "),
        ({"kind": "test_protocols:X"}, "and the module test_protocols has no X"),
        ({"kind": "re:compile"}, "which is no subclass of netra_sim.clients.ClientProtocol"),
        ({"kind": "ag-ui", "histori": True}, "there is no field histori; did you mean history?"),
        ({"kind": "ag-ui", "leave_share": 2}, "client.leave_share: expected a number <= 1.0"),
    ],
)  # fmt: skip
def test_a_table_that_describes_no_protocol_is_refused_with_what_it_takes(table, says):
    with pytest.raises(ChoiceError, match=re.escape(says)):
        described(table)


@given(st.text())
def test_a_template_replaces_its_marks_and_nothing_else(text):
    values = values_of("user-7", text=text, thread="t", run="r", room="q")
    template = {"a": ["{text}", "{{user}} {number}", "{other} {}"], "{run}": 1, "b": None}
    assert fill(template, values) == {"a": [text, "{user-7} 7", "{other} {}"], "r": 1, "b": None}


def test_values_in_a_path_are_percent_encoded():
    assert fill_path("/a/{user}?q={text}", values_of("a b", text="x/y?&é")) == "/a/a%20b?q=x%2Fy%3F%26%C3%A9"


def test_a_user_without_a_number_has_the_number_0():
    assert values_of("alice")["number"] == "0"


def test_a_path_follows_names_and_numbers():
    message = {"choices": [{"delta": {"content": "x"}}], "0": {"a": None}}
    assert at(message, "choices.0.delta.content") == "x"
    assert at(message, "0.a") is None
    for path in ("choices.1", "choices.x", "choices.0.delta.content.more", "nothing", "choices.-1"):
        assert Match(path=path).holds(message, "") is False


def test_a_match_compares_values_of_one_type():
    assert Match(path="done", values=(True,)).holds({"done": True}, "")
    assert not Match(path="done", values=(True,)).holds({"done": 1}, "")
    assert Match(path="done").holds({"done": False}, "")
    assert not Match(path="done").holds({"done": None}, "")
