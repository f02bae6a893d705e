"""`--format`: what each command prints for people and for other programs."""

import json
import math
import os
import re
import subprocess
import sys
from xml.etree import ElementTree

import msgspec
import pytest
from click.testing import CliRunner

from netra_sim.checks import CheckResult, Finding, Measurement
from netra_sim.cli.group import cli
from netra_sim.formats import Case, annotation, annotations, check_case, check_facts, check_lines, json_document, junit
from netra_sim.formats.text import WIDTH


def result(check="latency", **fields):
    return CheckResult(**{"check": check, "question": "Was it in time?", "looked_at": 40, "unit": "latencies"} | fields)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*words):
        return CliRunner().invoke(cli, [str(word) for word in words], prog_name="netra-sim")

    return run


FAILED = {"found": 1, "findings": (Finding(message="too slow", run="alice.1", time=1.5, row=1),)}
LATENCIES = {"mean": Measurement(0.0512, "s", "lower", 0.1), "delivery p95": Measurement(1.2, "s", "lower", 0.1)}


def test_passed_and_failed_checks_carry_their_figures_aligned_beside_the_objectives():
    for outcome in ({}, FAILED):
        text = "\n".join(check_lines([result(measured=LATENCIES, **outcome)]))
        assert re.search(r"^ +mean +51.2 ms <= 100 ms$", text, re.M)
        assert re.search(r"^ +delivery p95 +1.2 s > 100 ms$", text, re.M)
        signs = {
            line.index("100 ms") - len(sign) for line in text.splitlines() for sign in ("<= ", "> ") if sign in line
        }
        assert len(signs) == 1, text


def test_a_single_figure_stands_in_the_line_of_its_check_if_there_is_room():
    (line,) = check_lines([result(measured={"most": Measurement(137_000, "bytes", "lower", 67_108_864)})])
    assert line == "        passed  latency: 40 latencies; most 137 kB <= 67.1 MB"
    lines = list(check_lines([result(measured={"m" * 80: Measurement(1.0, "s", "lower", 2.0)})]))
    assert len(lines) == 2
    counts = result(measured={"users": Measurement(5.0, "count")})
    assert list(check_lines([counts])) == [
        "        passed  latency: 40 latencies"
    ]  # it only says how much was looked at


def test_checks_that_do_not_apply_come_last_with_their_reason_or_in_one_list():
    idle = [result(f"check-number-{number}", looked_at=0) for number in range(12)]
    lines = list(check_lines([*idle, result()], why_not={"check-number-3": "it lacks records"}, more="see there"))
    assert lines[:2] == ["        passed  latency: 40 latencies", "not applicable  check-number-3: it lacks records"]
    assert all(len(line) <= WIDTH for line in lines[2].splitlines())
    assert lines[2].startswith("not applicable  check-number-0, check-number-1,")
    assert lines[2].endswith("there was nothing to look at; see there")


def test_a_simulation_says_its_figures_in_100_columns_without_a_control_character(run):
    done = run("simulate", "steady-load", "--users", 20)
    assert done.exit_code == 0, done.output
    assert "completed 100% >= 99%" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= WIDTH
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", done.stdout)


def test_json_is_one_document_also_when_a_check_fails_and_all_else_is_on_standard_error(run):
    done = run("simulate", "stalled-sockets", "--seed", 7, "--format", "json")
    assert done.exit_code == 1
    document = json.loads(done.stdout)
    assert {name: document[name] for name in ("format", "command", "exit_code", "seed")} == {
        "format": 1, "command": "simulate", "exit_code": 1, "seed": 7,
    }  # fmt: skip
    latency = next(one for one in document["checks"] if one["check"] == "latency")
    assert latency["state"] == "failed"
    assert latency["measured"]["delivery of events, p95"]["bound"] == 0.1
    assert latency["measured"]["delivery of events, p95"]["value"] > 0.1
    assert "rows in history.parquet" in done.stderr
    assert run("check", "history.parquet", "--format", "json").exit_code == 1


def test_what_is_no_number_is_null_in_json():
    nothing = result(measured={"p95": Measurement(math.nan, "s", "lower", math.inf)})
    document = json.loads(json_document("check", 0, {"checks": check_facts([nothing])}))
    assert document["checks"][0]["measured"]["p95"]["value"] is None
    assert document["checks"][0]["measured"]["p95"]["bound"] is None


@pytest.mark.parametrize("form", ["json", "junit", "github", "text"])
@pytest.mark.parametrize(
    "words",
    [
        ("simulate", "no-such-scenario"),
        ("check", "missing.parquet"),
        ("load", "--users", "0"),
        ("gate", "steady-load"),
        ("explore", "nowhere.py:main"),
        ("sweep", "--set", "users"),
        ("capacity", "--until", "nothing"),
        ("defects", "--seeds", "0"),
    ],
)
def test_wrong_usage_prints_no_document(run, words, form):
    done = run(*words, "--format", form)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert "Error: " in done.stderr


def test_junit_has_a_case_for_each_check_with_what_failed_and_what_was_not_judged(run):
    done = run("simulate", "stalled-sockets", "--seed", 7, "--format", "junit")
    root = ElementTree.fromstring(done.stdout)
    (suite,) = root
    assert suite.get("name") == "stalled-sockets"
    assert int(suite.get("tests")) == len(suite)
    failed = [case for case in suite if case.find("failure") is not None]
    assert [case.get("name") for case in failed] == ["latency"] * int(suite.get("failures"))
    assert "delivery of events: p95 is" in failed[0].find("failure").text
    assert any(
        "not judged: " in case.find("skipped").get("message") for case in suite if case.find("skipped") is not None
    )


def test_junit_takes_any_text():
    case = Case(group="a\x00<b>", name='"&', outcome="failure", message="]]>\x1b", text="\ud800")
    (suite,) = ElementTree.fromstring(junit("n", {"s": [case], "empty": []}))
    assert suite[0].get("classname") == "a\N{REPLACEMENT CHARACTER}<b>"
    assert suite[0][0].text == "\N{REPLACEMENT CHARACTER}"


def test_annotations_are_escaped_as_workflow_commands_demand():
    line = annotation("error", "100%: a, b\r\nc", title="x: y, z%", file="a,b.py", line=3, col=0)
    assert line == "::error title=x%3A y%2C z%25,file=a%2Cb.py,line=3::100%25: a, b%0D%0Ac\n"
    assert annotation("notice", "ok") == "::notice::ok\n"


def test_only_what_failed_is_annotated_and_a_log_is_annotated_at_its_line():
    cases = [check_case("log", one, "events.jsonl", [7, 9]) for one in (result(), result("isolation", **FAILED))]
    assert annotations(cases) == (
        "::error file=events.jsonl,line=9,title=log%3A isolation"
        "::Was it in time? 1 found%0Atoo slow (alice.1, at 1.500 s)\n"
    )
    long = msgspec.structs.replace(cases[1], text="\n".join("abcdefghij"))
    assert annotations([long]).endswith("%0Ae%0Aand 5 more lines\n")


def test_github_points_at_the_line_of_a_log_and_counts(run, tmp_path):
    log = tmp_path / "events.jsonl"
    good = {"user": "alice", "owner": "alice", "run": "r", "event": "agent_started"}
    log.write_text("\n".join(map(json.dumps, (good, good | {"user": "bob"}))))
    done = run("check", "events.jsonl", "--format", "github")
    assert done.exit_code == 1
    error, notice = done.stdout.splitlines()
    assert error.startswith("::error file=events.jsonl,line=2,title=events.jsonl%3A cross-user-isolation::")
    assert re.fullmatch(r"::notice title=netra-sim check::1 of \d+ failed", notice)


def test_a_sweep_and_a_search_and_a_capacity_are_cases_too(run):
    words = ("sweep", "thin-line", "--set", "users=[2,3]", "--seeds", 1, "--jobs", 1, "--format")
    assert [one["users"] for one in json.loads(run(*words, "json").stdout)["simulations"]] == [2, 3]
    (suite,) = ElementTree.fromstring(run(*words, "junit").stdout)
    assert [case.get("name") for case in suite] == ["users=2, seed 1", "users=3, seed 1"]
    found = json.loads(run("explore", "thin-line", "--users", 2, "--seeds", 2, "--jobs", 1, "--format", "json").stdout)
    assert (found["tried"], found["failure"]) == (2, None)
    words = ("capacity", "--from", 2, "--to", 3, "--jobs", 1, "--until", "delivery p95 <= 1 us")
    done = run(*words, "--format", "json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["capacity"] is None
    assert run(*words, "--format", "github").stdout.startswith("::error title=steady-load%3A delivery p95")


def test_a_failing_program_is_told_with_the_command_that_repeats_it(run, tmp_path):
    (tmp_path / "breaks.py").write_text("async def main():\n    raise ValueError('no')\n")
    done = run("explore", "breaks.py:main", "--format", "json")
    assert done.exit_code == 1
    failure = json.loads(done.stdout)["failure"]
    assert failure["error"] == "ValueError: no"
    assert failure["replay"].startswith("netra-sim explore breaks.py:main")


def test_the_command_itself_keeps_standard_output_clean(tmp_path):
    words = [sys.executable, "-m", "netra_sim", "simulate", "thin-line", "--users", "2", "--format", "json"]
    done = subprocess.run(words, cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)["exit_code"] == done.returncode == 0


def test_usage_and_errors_name_the_command_that_one_types(tmp_path):
    words = [sys.executable, "-m", "netra_sim", "simulate", "--bogus"]
    done = subprocess.run(words, cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Usage: netra-sim simulate " in done.stderr
    assert "python -m" not in done.stderr
