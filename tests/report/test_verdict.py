"""GO requires everything, and its limits are named everywhere it appears."""

import json
from xml.etree import ElementTree

import msgspec
import pytest
from click.testing import CliRunner
from kept_evidence import caught, passing, proven, result
from pages import Page
from tiny_notebooks import notebook, validation

from netra_sim.audit import as_results
from netra_sim.cli.group import cli
from netra_sim.exit_code import ExitCode
from netra_sim.site.report import make_report, plan
from netra_sim.verdict import State, ValidationParameters, audit_evidence, reach_verdict, saved_audit
from netra_sim.verdict.verdict import read_verdict, save_verdict

BUSY = "the machine was busy: an echo took 250 ms at p95, and 20 ms is the most"


def verdict_of(changed=None, **parameters):
    return reach_verdict(ValidationParameters(**parameters), passing(**(changed or {})), caught(), proven())


def busy(check):
    return result(check, inconclusive=BUSY)


def test_go_requires_that_everything_passes():
    verdict = verdict_of()
    assert (verdict.decision, verdict.reasons) == ("GO", [])
    assert verdict.headline.startswith("GO: ")


def test_a_check_that_a_busy_machine_left_inconclusive_makes_the_verdict_undecided():
    verdict = verdict_of({"server/latency": busy("latency")})
    assert verdict.decision == "UNDECIDED"
    assert BUSY in verdict.headline
    assert verdict.reasons == [f"real server: latency: not judged: {BUSY}"]
    assert {one.state for one in verdict.claims if one.is_undecided} == {State.NOT_ENOUGH}


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (result("delivery", 1), "simulated: delivery: p95 is 140 ms, 40 ms over the objective of 100 ms"),
        (result("delivery", inconclusive="no two users overlapped"), "delivery (simulated): no two users overlapped"),
        (result("delivery", looked_at=0), "delivery (simulated): there was nothing to look at"),
    ],
)
def test_a_busy_machine_excuses_nothing_else(other, reason):
    for changed in ({"simulated/delivery": other}, {"simulated/delivery": other, "server/latency": busy("latency")}):
        verdict = verdict_of(changed)
        assert verdict.decision == "NO-GO"
        assert any(reason in one for one in verdict.reasons)


def test_a_claim_with_too_little_evidence_is_neither_proven_nor_unproven():
    verdict = verdict_of({"simulated/delivery": result("delivery", inconclusive="no two users overlapped")})
    states = {one.state for one in verdict.claims if "everywhere/delivery" in one.claim.proof}
    assert states == {State.NOT_ENOUGH}


WEAK = {"delivery_p95": 0.2, "delivered": 0.9, "users": 20, "detection_seeds": 1}
TOLD = (
    "GO against weaker objectives and from less evidence: delivery p95 200 ms, the plan says 100 ms; "
    "delivered 90 %, the plan says 99.5 %; users 20, the default is 1,000; detection seeds 1, the default is 5; "
)


def test_the_headline_names_weaker_objectives_and_less_evidence():
    assert verdict_of(**WEAK).headline.startswith(TOLD)
    assert verdict_of(delivery_p95=0.2).headline.startswith(
        "GO against weaker objectives: delivery p95 200 ms, the plan says 100 ms; "
    )
    assert verdict_of(users=20).title == "GO from less evidence"


def test_stricter_objectives_and_more_evidence_are_not_called_weaker():
    verdict = verdict_of(
        delivery_p95=0.05, delivered=1.0, refused=0.0, completed=1.0, users=2000, detection_seeds=40, step_cost=0.001
    )
    assert verdict.weaker == []
    assert verdict.title == "GO"


@pytest.fixture(scope="module")
def weak(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weak")
    made = validation(folder, verdict_of(**WEAK))
    return make_report(plan((), notebooks=[made]), folder / "report"), folder / "report"


def test_the_weaker_headline_is_on_the_terminal_and_in_every_file(weak):
    report, folder = weak
    assert report.code is ExitCode.GO
    assert report.headline.startswith(TOLD)
    assert TOLD in Page(folder / "index.html").text
    assert Page(folder / "index.html").text.startswith("GO against weaker objectives and from less evidence: ")
    assert TOLD in (folder / "summary.md").read_text("utf-8")
    assert TOLD in ElementTree.parse(folder / "junit.xml").getroot().find("testsuite/testcase").get("name")
    assert TOLD in (folder / "results.sarif").read_text("utf-8")
    assert json.loads((folder / "verdict.json").read_text("utf-8"))["headline"].startswith(TOLD)


@pytest.mark.parametrize(("decision", "code"), [("UNDECIDED", 1), ("NO-GO", 1), ("GO", 0)])
def test_what_a_report_exits_with(tmp_path, decision, code):
    changed = {
        "GO": {},
        "UNDECIDED": {"server/latency": busy("latency")},
        "NO-GO": {"server/latency": result("latency", 1)},
    }[decision]
    made = validation(tmp_path, verdict_of(changed))
    report = make_report(plan((), notebooks=[made]), tmp_path / "report")
    assert report.code == code
    assert report.headline.startswith(decision)
    page = Page(tmp_path / "report" / "index.html").text
    assert ("on a machine that is less busy" in page) == (decision == "UNDECIDED")


def test_a_verdict_is_read_back_as_it_was_written_and_says_the_state_of_each_check(tmp_path):
    verdict = verdict_of({"server/latency": busy("latency")}, **WEAK)
    save_verdict(tmp_path / "verdict.json", verdict)
    assert read_verdict(tmp_path / "verdict.json") == verdict
    told = json.loads((tmp_path / "verdict.json").read_text("utf-8"))
    assert {one["check"]: one["state"] for one in told["evidence"]["server"]}["latency"] == "inconclusive"
    assert set(told["about"]) == {"package", "claims", "scenarios", "notebooks", "tests"}


def test_each_verdict_gets_the_next_number_and_is_compared_with_the_last(tmp_path):
    for number in (1, 2, 3):
        verdict = verdict_of(output=str(tmp_path))
        assert bool(verdict.changes) == (number > 1)
        assert [path.stem for path in sorted((tmp_path / "runs").iterdir())] == [
            f"{n:04}" for n in range(1, number + 1)
        ]


def test_a_report_that_judges_nothing_has_no_verdict_and_exits_with_2(tmp_path):
    report = make_report(plan((), notebooks=[notebook(tmp_path, "looks", "1")]), tmp_path / "report")
    assert report.code is ExitCode.USAGE
    assert report.headline.startswith("NO VERDICT: nothing was judged")


OBJECTIVE_NOTEBOOKS = {
    "concurrency": ["-p", "most_users", "20", "-p", "loads", "2", "-p", "seeds", "1"],
    "isolation": ["-p", "users", "5"],
    "windows": ["-p", "users", "5", "-p", "sleeps", "10"],
}


@pytest.mark.parametrize("name", OBJECTIVE_NOTEBOOKS)
def test_a_missed_given_objective_of_any_notebook_exits_with_1(tmp_path, name):
    done = report_of(tmp_path, name, *OBJECTIVE_NOTEBOOKS[name], "-p", "delivery_p95", "0.001")
    assert done.exit_code == 1, done.output
    assert done.stdout.lstrip().startswith(f"NO-GO: {name}: ")
    assert "and should within 1.0 ms" in done.output
    root = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert root.find("testsuite[@name='objectives']").get("failures") != "0"
    assert "NO-GO" in Page(tmp_path / "index.html").text


def test_a_default_objective_judges_nothing(tmp_path):
    done = report_of(tmp_path, "concurrency", *OBJECTIVE_NOTEBOOKS["concurrency"], "-p", "step_cost", "0.05")
    assert done.exit_code == 2, done.output
    assert done.stdout.lstrip().startswith("NO VERDICT: nothing was judged")
    kept = json.loads((tmp_path / "concurrency" / "objectives.json").read_text("utf-8"))
    assert {one["state"] for one in kept} == {"missed"}


def test_a_met_given_objective_exits_with_0_and_claims_no_more(tmp_path):
    done = report_of(tmp_path, "concurrency", *OBJECTIVE_NOTEBOOKS["concurrency"], "-p", "delivery_p95", "0.1")
    assert done.exit_code == 0, done.output
    met = "OBJECTIVES MET: the given objectives are met in 2 of 2 measurements; no claim of the plan was judged"
    assert done.stdout.lstrip().startswith(met)
    assert "concurrency: 20 users: met: 95 of 100 events arrive within" in Page(tmp_path / "index.html").text


def test_a_weaker_objective_of_another_notebook_is_in_the_headline_too(tmp_path):
    done = report_of(tmp_path, "concurrency", *OBJECTIVE_NOTEBOOKS["concurrency"], "-p", "delivery_p95", "10")
    assert done.exit_code == 0, done.output
    told = "OBJECTIVES MET against weaker objectives: delivery p95 10 s, the plan says 100 ms; the given objectives"
    assert done.stdout.lstrip().startswith(told)


def test_an_objective_among_the_explorers_settings_counts_as_given(tmp_path):
    arguments = ("-p", "scenarios", "steady-load", "-p", "users", "20")
    done = report_of(tmp_path, "explorer", *arguments, "-p", "settings", "objectives.delivery_p95=0.001")
    assert done.exit_code == 1, done.output
    assert "explorer: steady-load: objectives.delivery_p95: latency is failed" in done.output


def report_of(folder, name, *arguments):
    return CliRunner().invoke(cli, ["report", "--notebook", name, *arguments, "-o", str(folder)])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("delivery_p95", "inf"),
        ("delivery_mean", "nan"),
        ("first_event_p95", "-inf"),
        ("mrr", "inf"),
        ("step_cost", "nan"),
        ("delivery_p95", "1e6"),
        ("delivery_mean", "1e6"),
        ("first_event_p95", "1e6"),
        ("delivery_p95", "0"),
        ("delivered", "0"),
        ("delivered", "0.0001"),
        ("completed", "0"),
        ("refused", "1"),
        ("concurrency.delivery_p95", "inf"),
        ("isolation.delivery_p95", "1e6"),
        ("windows.delivery_p95", "nan"),
    ],
)
def test_a_meaningless_objective_is_refused_before_anything_runs(tmp_path, name, value):
    done = CliRunner().invoke(cli, ["report", "-p", name, value, "-o", str(tmp_path / "report")])
    assert done.exit_code == 2
    assert name.rpartition(".")[2] in done.output
    assert "given twice" not in done.output
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1e6])
def test_a_notebooks_first_cell_refuses_it_too(value):
    with pytest.raises(ValueError, match="delivery_p95"):
        ValidationParameters.check(delivery_p95=value)


def test_the_bounds_of_the_objectives_are_listed():
    listed = CliRunner().invoke(cli, ["notebooks", "validation"]).output
    assert "number > 0 and <= 60" in listed
    assert "number >= 0.5 and <= 1" in listed
    assert "number >= 0 and <= 0.5" in listed


def test_the_audit_of_the_validation_is_the_one_in_the_sarif_file_and_is_not_made_again(tmp_path, monkeypatch):
    evidence = audit_evidence(ValidationParameters(output=str(tmp_path)))
    made = []
    monkeypatch.setattr("netra_sim.verdict.evidence.audit", lambda *_, **__: made.append(1))
    assert as_results(saved_audit(tmp_path)) == evidence.results
    assert made == []
    (tmp_path / "audit.json").unlink()
    saved_audit(tmp_path)
    assert made == [1]


def test_what_was_reused_stands_on_the_first_page_and_in_the_verdict(tmp_path):
    detection = msgspec.structs.replace(caught(), reused=3, simulations=4)
    verdict = reach_verdict(ValidationParameters(), passing(), detection, proven())
    make_report(plan((), notebooks=[validation(tmp_path, verdict)]), tmp_path / "report")
    said = "3 of 4 simulations were made by an earlier run of the same code"
    assert said in Page(tmp_path / "report" / "index.html").text
    assert read_verdict(tmp_path / "report" / "verdict.json").reused.startswith(said)
