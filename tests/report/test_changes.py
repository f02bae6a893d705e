"""Two verdicts are compared: differences are listed, and those that are worse are regressions."""

import msgspec
import pytest
from tiny_notebooks import verdict

from netra_sim.checks import CheckResult, Measurement
from netra_sim.verdict import Claim, JudgedClaim, Source, State, ValidationParameters, changes_since, regressions_since


def checked(check="latency", found=0, **measured):
    return CheckResult(check=check, question="?", looked_at=5, unit="events", found=found, measured=measured)


def latency(value):
    return checked(p95=Measurement(value, "s", "lower"))


def claim(state=State.PROVEN):
    return JudgedClaim(claim=Claim(says="it holds", heading="Conclusion", why="x"), state=state, evidence="5 looked at")


BEFORE = verdict(
    claims=[claim()],
    evidence={Source.SIMULATED: [latency(0.050)], Source.SERVER: [latency(0.050)]},
    caught={"routes-to-everybody": {"cross-user-isolation": 20, "delivery": 20}},
    digests={Source.SIMULATED: "aa", Source.SERVER: "bb"},
    parameters=ValidationParameters(users=5, output="here"),
)


def other(**values):
    return msgspec.structs.replace(BEFORE, **values)


def measured(result):
    return other(evidence={Source.SIMULATED: [result]})


def test_equal_verdicts_have_no_changes():
    after = other(
        parameters=ValidationParameters(users=5, output="there"), digests={Source.SIMULATED: "aa", Source.SERVER: "cc"}
    )
    assert changes_since(BEFORE, after) == ["nothing"]
    assert regressions_since(BEFORE, after) == []


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"decision": "NO-GO"}, "the verdict was GO and is NO-GO"),
        ({"parameters": ValidationParameters(users=6)}, "the parameter users was 5 and is 6"),
        ({"claims": [claim(State.REFUTED)]}, "Conclusion: it holds: was proven, is refuted"),
        ({"digests": {Source.SIMULATED: "zz"}}, "the recorded run simulated is another one, for the same parameters"),
        ({"version": "2"}, "the version was 0.1.0 and is 2"),
        (
            {"about": msgspec.structs.replace(BEFORE.about, package="another")},
            "the package is not the same as before",
        ),
        ({"about": msgspec.structs.replace(BEFORE.about, claims="others")}, "the claims are not the same as before"),
    ],
)
def test_differences_are_listed(values, sentence):
    assert changes_since(BEFORE, other(**values)) == [sentence]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"decision": "UNDECIDED"}, "the verdict was GO and is UNDECIDED"),
        ({"claims": [claim(State.NOT_ENOUGH)]}, "was proven and is not enough evidence: it holds"),
        ({"claims": []}, "was proven and is no longer there: it holds"),
        ({"evidence": {Source.SIMULATED: [checked(found=1)]}}, "simulated: latency had passed, and is failed"),
        (
            {"caught": {"routes-to-everybody": {"delivery": 20}}},
            "cross-user-isolation no longer catches the defect routes-to-everybody",
        ),
    ],
)
def test_regressions_are_listed(values, sentence):
    assert regressions_since(BEFORE, other(**values)) == [sentence]


@pytest.mark.parametrize(
    ("unit", "better", "before", "after", "told"),
    [
        ("s", "lower", 0.050, 0.060, "x was 50 ms and is 60 ms"),
        ("s", "lower", 0.4, 4.0, "x was 400 ms and is 4 s"),
        ("bytes", "lower", 1e6, 1e7, "x was 1 MB and is 10 MB"),
        ("share", "higher", 1.0, 0.998, "x was 100% and is 99.8%"),
        ("share", "lower", 0.0, 0.01, "x was 0% and is 1%"),
        ("ratio", "lower", 1.0, 2.0, "x was 1 and is 2"),
        ("count", "lower", 0, 3, "x was 0 and is 3"),
        ("s", "lower", 0.050, 0.051, ""),
        ("s", "lower", 0.050, 0.020, ""),
        ("share", "higher", 0.998, 1.0, ""),
        ("share", "higher", 1.0, 0.9995, ""),
        ("count", "neither", 10, 1000, ""),
    ],
)
def test_unit_and_direction_decide_whether_a_figure_is_worse(unit, better, before, after, told):
    verdicts = [measured(checked(x=Measurement(value, unit, better))) for value in (before, after)]
    assert regressions_since(*verdicts) == ([f"simulated: latency: {told}"] if told else [])


def test_other_parameters_and_real_time_figures_are_no_regression():
    assert regressions_since(other(decision="NO-GO"), BEFORE) == []
    # More users, other latencies.
    slower = {Source.SIMULATED: [latency(0.200)]}
    assert regressions_since(BEFORE, other(evidence=slower, parameters=ValidationParameters(users=6))) == []
    # Real time is never the same twice.
    assert regressions_since(BEFORE, other(evidence={Source.SERVER: [latency(0.200)]})) == []
