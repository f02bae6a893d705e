"""What a check found, as a sentence for everybody."""

import pytest

from netra_sim.audit import RULES
from netra_sim.checks import CHECKS, OWN_CHECKS, CheckResult, Finding, Measurement, check
from netra_sim.defects import conformance_checks, self_proof, self_proofs
from netra_sim.defects.planted import PLANTED_HISTORIES
from netra_sim.site.plain_words import in_plain_words


def failed(check="latency", **fields):
    values = {
        "looked_at": 40,
        "unit": "events, of all",
        "found": 1,
        "findings": (Finding(message="it was late"),),
    } | fields
    return CheckResult(check=check, question="Was it in time?", **values)


def test_every_check_that_fails_says_in_words_what_is_wrong_with_figure_and_promise(monkeypatch):
    monkeypatch.setattr(self_proof, "misread", dict)  # takes seconds, and tests/defects/test_certificate.py is about it
    planted = [proof.planted for proof in self_proofs()]
    assert {one.check for one in planted} > {*CHECKS, *(rule.name for rule in RULES.values())}
    for result in planted:
        said = in_plain_words(result)
        assert result.question not in said, result.check
        assert not any(name in said.partition(":")[0] for name in ("p95", "asyncio", result.check)), result.check
        assert ", promised " in said, result.check
        assert "\n" not in said, result.check


def test_no_check_that_a_report_shows_lacks_words():
    names = [one.name for one in OWN_CHECKS] + list(RULES) + [one.check for one in conformance_checks()]
    assert [name for name in names if "Was it" in in_plain_words(failed(name))] == []


@pytest.mark.parametrize(
    ("name", "sentence"),
    {
        "cross-user-isolation": "Users received events of other users: 2 found in 22 events sent and received, promised none"
        " (first: carol was sent agent_started of alice's run)",
        "delivery": "Messages were lost: 90% arrived, promised 99.5%"
        " (first: tool_executing was never received, and no gap was announced)",
        "memory": "The server kept too much for absent clients: 200 kB, promised 100 kB",
        "silence": "Users saw nothing for too long: 121 s, promised 90 s",
    }.items(),
)  # fmt: skip
def test_a_planted_defect_reads_like_this(name, sentence):
    planted = PLANTED_HISTORIES[name]
    (result,) = [one for one in check(planted.planted(), planted.objectives) if one.check == name]
    assert in_plain_words(result).startswith(sentence)


def test_a_late_server_says_so_with_the_state_of_the_machine():
    measured = {
        "delivery of events, p95": Measurement(0.1395, "s", "lower", 0.1),
        "bare echo, p95": Measurement(0.002, "s"),
    }
    late = "Messages arrived late on the real server: 140 ms for 95 of 100, promised 100 ms"
    assert in_plain_words(failed(measured=measured), "server") == f"{late} (the machine was not busy)"
    busy = measured | {"bare echo, p95": Measurement(0.06, "s")}
    assert in_plain_words(failed(measured=busy), "server") == f"{late} (the machine was busy: a bare echo took 60 ms)"


def test_a_figure_that_keeps_its_promise_is_not_blamed():
    measured = {
        "delivery of events, mean": Measurement(0.09, "s", "lower", 0.1),
        "delivered": Measurement(0.99, "share", "higher", 0.995),
        "completed": Measurement(0.995, "share", "higher", 0.99),
    }
    assert in_plain_words(failed(measured=measured)) == "Messages were lost: 99% arrived, promised 99.5%"


def test_a_figure_that_is_just_beyond_its_promise_is_told_apart_from_it():
    measured = {"delivery of events, p95": Measurement(0.10004, "s", "lower", 0.1)}
    assert "100.04 ms for 95 of 100, promised 100 ms" in in_plain_words(failed(measured=measured))


def test_a_late_kind_of_event_is_named():
    measured = {"delivery of tool_completed, p99": Measurement(0.3, "s", "lower", 0.1)}
    assert in_plain_words(failed(measured=measured)).startswith(
        "Messages tool_completed arrived late: 300 ms for 99 of 100"
    )


def test_a_check_and_a_figure_that_nobody_knows_still_tell_what_and_where():
    said = in_plain_words(failed("own", measured={"depth": Measurement(7, "count", "lower", 3)}), "a-log")
    assert said == "Was it in time? No, depth in a-log: 7, promised 3"
    assert (
        in_plain_words(failed("own")) == "Was it in time? No: 1 found in 40 events, promised none (first: it was late)"
    )


def test_a_check_that_has_not_failed_answers_its_question():
    assert in_plain_words(failed(found=0)) == "Was it in time? Yes"
    assert in_plain_words(failed(found=0, inconclusive="too few")) == "Was it in time? Not judged: too few"
