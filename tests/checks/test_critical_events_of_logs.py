"""Runs in a log are judged by the events in it: some runs began before the log, and some systems use no tools."""

import json

import pytest
from story import result_of

from netra_sim import Scenario, simulate
from netra_sim.history import LogMapping, read_log

START, THINK, END = "agent_started", "agent_thinking", "agent_completed"
TOOL = ("tool_executing", "tool_completed")


def messages(tmp_path, runs, *, first=0, mapping=None):
    """The result of critical-events for a log of runs that published these events, numbered from ``first``."""
    path = tmp_path / "log.jsonl"
    lines = []
    for number, events in enumerate(runs):
        run = {"user": "alice", "run": f"r{number}"}
        lines.append({"kind": "scope_opened", **run})
        lines += [{"kind": "published", **run, "event": event, "seq": seq} for seq, event in enumerate(events, first)]
    path.write_text("\n".join(map(json.dumps, lines)))
    found = result_of(read_log(path, mapping).history, "critical-events")
    assert found.looked_at == len(runs)
    return [finding.message for finding in found.findings]


@pytest.mark.parametrize("events", [(THINK, *TOOL, END), (TOOL[1], END), (END,), ("agent_error",)])
def test_a_run_that_began_before_the_log_is_no_finding(tmp_path, events):
    assert messages(tmp_path, [events], first=3) == []


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ((THINK, END, THINK), "agent_thinking comes after the end of the run"),
        ((THINK, END, END), "the run ends 2 times instead of once"),
        ((START, THINK, END), "the run begins more than once"),
    ],
)
def test_the_end_of_a_run_that_began_before_the_log_is_judged(tmp_path, events, message):
    assert messages(tmp_path, [events], first=3) == [message]


def test_runs_without_tools_are_right_in_a_log_without_tools(tmp_path):
    assert messages(tmp_path, [(START, THINK, END)] * 2) == []


def test_a_run_without_tools_among_runs_with_tools_is_found_unless_the_mapping_allows_it(tmp_path):
    runs = [(START, THINK, *TOOL, END), (START, THINK, END)]
    assert messages(tmp_path, runs) == ["the run completed without tool_executing"]
    assert messages(tmp_path, runs, mapping=LogMapping(tools_required=False)) == []
    assert messages(tmp_path, runs[1:], mapping=LogMapping(tools_required=True)) != []


def test_a_tool_that_does_not_complete_is_found_even_if_no_tool_is_required(tmp_path):
    runs = [(START, THINK, TOOL[0], END)]
    assert messages(tmp_path, runs, mapping=LogMapping(tools_required=False)) == [
        "the run completed without tool_completed"
    ]


def test_a_scenario_says_whether_its_runs_use_tools():
    for required in (True, False):
        assert simulate(Scenario(users=2, tools_required=required)).meta["tools_required"] is required
