"""The three sentences of the first page, and what was refuted."""

import pytest
from kept_evidence import result
from tiny_notebooks import check_result, finding, judged, notebook, verdict

from netra_sim.checks import Measurement
from netra_sim.notebooks.outcome import Outcome
from netra_sim.notebooks.runner import NotebookRun
from netra_sim.parameters import Weaker
from netra_sim.site.opening import opening, refutations
from netra_sim.site.report import plan
from netra_sim.verdict import CLAIMS, JudgedClaim, Source, State, judge

P95 = {"delivery of events, p95": Measurement(0.1395, "s", "lower", 0.1), "bare echo, p95": Measurement(0.002, "s")}
LATE = "Messages arrived late on the real server: 140 ms for 95 of 100, promised 100 ms (the machine was not busy)"


def late():
    """A verdict in which the real server was late, with the claims as they are judged by that."""
    evidence = {Source.SERVER: [result("latency", found=1, measured=P95)]}
    claims = judge(evidence, {}, {}, {"mrr": "a figure"})
    # Of the other checks there are no results here; what else the claims lack is not asked.
    others = [one if one.state is State.REFUTED else judged(one.claim) for one in claims]
    return verdict("NO-GO", claims=others, evidence=evidence, reasons=["real server: latency: late"])


def told(decision, made=None, **fields):
    return opening(Outcome(decision=decision, reasons=made.reasons if made else [], verdict=made, runs=[], **fields))


def test_the_three_sentences_of_a_no_go_name_the_figure_the_promise_and_the_cause():
    made = late()
    said = told("NO-GO", made)
    fallen = sum(one.state is State.REFUTED for one in made.claims)
    assert fallen > 3
    assert said.tested.startswith(
        f"The remediation plan's {len(CLAIMS)} claims, with 1,100 simulated users, with 50 real clients"
    )
    assert said.failed == f"{fallen} of {len(CLAIMS)} claims are refuted. {LATE}."
    assert said.means.startswith("NO-GO: the plan promises what these tests saw broken.")


def test_each_refuted_claim_stands_once_below_its_cause_with_the_id_of_its_evidence():
    made = late()
    first, rest = refutations(made)
    assert first.cause == LATE
    assert rest.cause == "They rest on claims that are refuted"
    named = [claim for one in (first, rest) for claim in one.claims]
    fallen = [(number, one) for number, one in enumerate(made.claims) if one.state is State.REFUTED]
    assert sorted(named) == sorted((one.claim.says, f"claim-{number + 1}") for number, one in fallen)
    assert all(one.claim.all_of for _, one in fallen if one.claim.says in [claim.says for claim in rest.claims])


def test_a_failed_check_that_no_claim_rests_on_is_told_all_the_same():
    made = verdict("NO-GO", evidence={Source.SERVER: [check_result("own", finding("it broke"))]}, reasons=["x"])
    (only,) = refutations(made)
    assert only.claims == []
    assert told("NO-GO", made).failed.startswith(
        "No claim is refuted. Did anybody receive somebody else's event? No on the"
    )


def test_a_refuted_claim_of_which_no_check_is_kept_keeps_its_reason():
    claims = [judged(one) for one in CLAIMS]
    claims[5] = JudgedClaim(claim=CLAIMS[5], state=State.REFUTED, evidence="it was seen to fail")
    (only,) = refutations(verdict("NO-GO", claims=claims))
    assert (only.cause, [one.anchor for one in only.claims]) == ("it was seen to fail", ["claim-6"])


def test_go_says_that_nothing_failed_and_what_is_left_to_judge():
    said = told("GO", verdict())
    assert said.failed.startswith("Nothing: ")
    assert "claims are proven" in said.failed
    assert said.means.startswith("GO: these tests saw every promise kept")


def test_go_against_weaker_objectives_says_so():
    weaker = Weaker(parameter="delivery_p95", kind="objective", unit="s", value=0.2, default=0.1)
    assert told("GO", verdict(weaker=[weaker])).means.startswith("GO against weaker objectives: ")


@pytest.mark.parametrize(
    ("decision", "made", "reasons", "failed", "means"),
    [
        (
            "NO-GO",
            verdict("GO"),
            ["concurrency: 640 users: late"],
            "No claim is refuted. Concurrency: 640",
            "that was given",
        ),
        (
            "NO-GO",
            verdict("NO-GO"),
            ["no check caught it", "b"],
            "No claim is refuted. No check caught it; and 1 more",
            "rely",
        ),
        (
            "UNDECIDED",
            verdict("UNDECIDED"),
            ["server: not judged"],
            "No claim is refuted. Server: not judged",
            "less busy",
        ),
        ("BROKEN", None, ["validation: it ended"], "Validation: it ended.", "Mend the cause"),
        ("NO VERDICT", None, ["nothing was judged"], "Nothing was judged.", "nothing is decided"),
        ("OBJECTIVES MET", None, [], "Nothing.", "nothing of the plan"),
    ],
)
def test_every_other_outcome_says_what_failed_and_what_that_means(tmp_path, decision, made, reasons, failed, means):
    (task,) = plan((), notebooks=[notebook(tmp_path, "load")])
    run = NotebookRun(task=task, executed=task.source(), problem="", seconds=1.0)
    said = opening(Outcome(decision=decision, reasons=reasons, verdict=made, runs=[run]))
    assert said.failed.startswith(failed)
    assert means in said.means
    assert made or said.tested == "No claim of the plan was judged; the report ran Load."
