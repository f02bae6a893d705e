"""Runs are compared: what is different is told, what is worse is named as a regression, and no run is lost."""

import msgspec
import pytest

from netra_sim.report import Verdict, changes_since, regressions_since

CHECKED = {
    "check": "latency",
    "state": "passed",
    "looked_at": 5,
    "measured": {"delivery of events, p95": {"value": 0.050}},
}
CLAIM = {"heading": "Conclusion", "claim": "it holds", "state": "proven", "evidence": "5 looked at", "teeth": []}
BEFORE = Verdict(
    decision="GO",
    reasons=[],
    scores={"SSOT compliance": 10.0},
    claims=[CLAIM],
    evidence={"simulated": [CHECKED], "server": [CHECKED]},
    commands={},
    caught={"routes-to-everybody": {"cross-user-isolation": 20, "delivery": 20}},
    digests={"simulated": "aa", "server": "bb"},
    parameters={"users": 5, "output": "here"},
    version="1",
    environment={},
    nest_asyncio=False,
)


def other(**values):
    return msgspec.structs.replace(BEFORE, **values)


def test_the_same_again_has_not_changed():
    after = other(parameters={"users": 5, "output": "there"}, digests={"simulated": "aa", "server": "cc"})
    assert changes_since(BEFORE, after) == ["nothing"]
    assert regressions_since(BEFORE, after) == []


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"decision": "NO-GO"}, "the verdict was GO and is NO-GO"),
        ({"parameters": {"users": 6}}, "the parameter users was 5 and is 6"),
        ({"claims": [CLAIM | {"state": "refuted"}]}, "Conclusion: it holds: was proven, is refuted"),
        ({"digests": {"simulated": "zz"}}, "the recorded run simulated is another one, for the same parameters"),
        ({"version": "2"}, "the version was 1 and is 2"),
    ],
)
def test_what_is_different_is_told(values, sentence):
    assert changes_since(BEFORE, other(**values)) == [sentence]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"decision": "NO-GO"}, "the verdict was GO and is NO-GO"),
        ({"claims": [CLAIM | {"state": "unproven"}]}, "was proven and is unproven: it holds"),
        ({"claims": []}, "was proven and is no longer there: it holds"),
        ({"evidence": {"simulated": [CHECKED | {"state": "failed"}]}}, "simulated: latency had passed, and is failed"),
        (
            {"evidence": {"simulated": [CHECKED | {"measured": {"delivery of events, p95": {"value": 0.060}}}]}},
            "simulated: delivery of events, p95 has grown from 50.0 ms to 60.0 ms",
        ),
        (
            {"caught": {"routes-to-everybody": {"delivery": 20}}},
            "cross-user-isolation no longer catches the violation routes-to-everybody",
        ),
    ],
)
def test_what_is_worse_is_named(values, sentence):
    assert regressions_since(BEFORE, other(**values)) == [sentence]


def test_what_is_better_or_was_asked_for_is_no_regression():
    quicker = [CHECKED | {"measured": {"delivery of events, p95": {"value": 0.020}}}]
    slower = [CHECKED | {"measured": {"delivery of events, p95": {"value": 0.200}}}]
    assert regressions_since(other(decision="NO-GO"), BEFORE) == []
    assert regressions_since(BEFORE, other(evidence={"simulated": quicker})) == []
    # More users, other latencies.
    assert regressions_since(BEFORE, other(evidence={"simulated": slower}, parameters={"users": 6})) == []
    # Real time is never the same twice.
    assert regressions_since(BEFORE, other(evidence={"server": slower})) == []
