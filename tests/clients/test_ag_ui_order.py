"""The order of AG-UI's events: what the specification allows breaks no rule, and each break is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim.clients import EventOrder

STARTED = {"type": "RUN_STARTED", "threadId": "t", "runId": "r"}
FINISHED = {"type": "RUN_FINISHED", "threadId": "t", "runId": "r"}
FAILED = {"type": "RUN_ERROR", "message": "m"}


def message(kind, name="m", **more):
    return {"type": f"TEXT_MESSAGE_{kind}", "messageId": name, **more}


def tool(kind, name="c"):
    return {"type": f"TOOL_CALL_{kind}", "toolCallId": name}


def reasoning(kind, name="q"):
    return {"type": f"REASONING_{kind}", "messageId": name}


def step(kind, name="s"):
    return {"type": f"STEP_{kind}", "stepName": name}


def interrupt(*names):
    return {**FINISHED, "outcome": {"type": "interrupt", "interrupts": [{"id": name} for name in names]}}


def broken_by(*events):
    order = EventOrder("t", "r")
    return [rule for event in events for rule in order.feed(event)] + order.finish()


LEGAL = {
    "an empty run": [STARTED, FINISHED],
    "an error before the run": [FAILED],
    "an error with a message and a step open": [STARTED, step("STARTED"), message("START"), FAILED],
    "a late error": [STARTED, FINISHED, FAILED],
    "a message": [STARTED, message("START"), message("CONTENT"), message("END"), FINISHED],
    "a closed message opened again": [STARTED, *[message("START"), message("END")] * 2, FINISHED],
    "messages and tools interleaved": [
        *(STARTED, message("START"), tool("START"), message("CONTENT"), tool("ARGS")),
        *(tool("END"), message("END"), FINISHED),
    ],
    "chunks, of which the first names the message": [
        *(STARTED, message("CHUNK"), {"type": "TEXT_MESSAGE_CHUNK", "delta": "x"}, FINISHED),
    ],
    "reasoning": [
        *(STARTED, reasoning("START"), reasoning("MESSAGE_START"), reasoning("MESSAGE_CONTENT")),
        *(reasoning("MESSAGE_END"), reasoning("END"), FINISHED),
    ],
    "the history of an earlier run first": [
        {**STARTED, "runId": "earlier"},
        {**FINISHED, "runId": "earlier"},
        *(STARTED, FINISHED),
    ],
    "an unknown type": [STARTED, {"type": "THINKING_START"}, FINISHED],
    "an interrupt": [STARTED, interrupt("i")],
    "a result of an earlier tool call": [STARTED, {"type": "TOOL_CALL_RESULT", "toolCallId": "old"}, FINISHED],
    "a stream that is cut off": [STARTED, message("START")],
}

ILLEGAL = {
    "content first": ([message("CONTENT")], "the stream opens with TEXT_MESSAGE_CONTENT"),
    "content of an unopened message": (
        [STARTED, message("CONTENT"), FINISHED],
        "TEXT_MESSAGE_CONTENT extends the message m, which is not open",
    ),
    "content of a closed message": (
        [STARTED, message("START"), message("END"), message("CONTENT"), FINISHED],
        "which is not open",
    ),
    "a message opened twice": (
        [STARTED, message("START"), message("START"), message("END"), FINISHED],
        "TEXT_MESSAGE_START opens the message m, which is open",
    ),
    "an end while a message is open": (
        [STARTED, message("START"), FINISHED],
        "RUN_FINISHED comes while the message m is open",
    ),
    "an end while a tool call is open": ([STARTED, tool("START"), FINISHED], "while the tool call c is open"),
    "an end while a step is open": ([STARTED, step("STARTED"), FINISHED], "while the step s is open"),
    "a step that another name finishes": (
        [STARTED, step("STARTED"), step("FINISHED", "other"), step("FINISHED"), FINISHED],
        "STEP_FINISHED closes the step other, which is not open",
    ),
    "an event after the end": ([STARTED, FINISHED, message("START")], "TEXT_MESSAGE_START comes after the end"),
    "a second end": ([STARTED, FINISHED, FINISHED], "RUN_FINISHED comes after the end of the run"),
    "a run in a run": ([STARTED, STARTED, FINISHED], "RUN_STARTED comes while the run r is live"),
    "a chunk of nothing": (
        [STARTED, {"type": "TEXT_MESSAGE_CHUNK", "delta": "x"}, FINISHED],
        "does not name its message",
    ),
    "the end of another run": ([STARTED, {**FINISHED, "runId": "z"}], "names the run z, and RUN_STARTED named r"),
    "another run than asked for": (
        [{**STARTED, "runId": "z"}, {**FINISHED, "runId": "z"}],
        "no RUN_STARTED names the run that was asked for, r",
    ),
    "another thread": ([{**STARTED, "threadId": "z"}, FINISHED], "names the thread z, and the request named t"),
    "an interrupt without interrupts": ([STARTED, interrupt()], "names no interrupt"),
    "two interrupts of one id": ([STARTED, interrupt("i", "i")], "two interrupts of one id"),
}


@pytest.mark.parametrize("case", LEGAL)
def test_what_the_specification_allows_breaks_no_rule(case):
    assert broken_by(*LEGAL[case]) == []


@pytest.mark.parametrize("case", ILLEGAL)
def test_each_break_of_the_order_is_named_once(case):
    events, rule = ILLEGAL[case]
    (found,) = broken_by(*events)
    assert rule in found


@st.composite
def runs(draw):
    """A legal run: items open, are extended and close, interleaved at random."""
    makers = [message, tool]
    extend = {message: "CONTENT", tool: "ARGS"}
    events, live = [STARTED], []
    for _ in range(draw(st.integers(0, 20))):
        maker, name = draw(st.sampled_from(makers)), draw(st.sampled_from("ab"))
        if (maker, name) not in live:
            live.append((maker, name))
            events.append(maker("START", name))
        elif draw(st.booleans()):
            events.append(maker(extend[maker], name))
        else:
            live.remove((maker, name))
            events.append(maker("END", name))
    return [*events, *(maker("END", name) for maker, name in live), FINISHED]


@given(runs(), st.data())
def test_a_legal_run_breaks_no_rule_and_without_one_opening_or_closing_it_does(run, data):
    assert broken_by(*run) == []
    marks = [index for index, event in enumerate(run) if event["type"].endswith(("_START", "_END"))]
    if marks:
        left_out = data.draw(st.sampled_from(marks))
        assert broken_by(*run[:left_out], *run[left_out + 1 :])
