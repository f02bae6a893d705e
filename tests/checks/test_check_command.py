"""`netra-sim check` judges recorded histories and event logs of any system, and reports by its exit code."""

import json

from click.testing import CliRunner
from story import EVENTS, Story

from netra_sim.checks import Records, lacks
from netra_sim.cli.group import cli


def checked(*arguments):
    done = CliRunner().invoke(cli, ["check", *map(str, arguments)])
    return done.exit_code, done.output


def log_of(path, events, wrong=(), broken=()):
    """A log with other field names: runs of 100 users in turn; events with the numbers in ``wrong`` go to mallory."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(events):
            run, seq = divmod(number, len(EVENTS))
            owner = f"user-{run % 100}"
            reader = "mallory" if number in wrong else owner
            record = {
                "ts": 1_700_000_000_000 + 3 * number,
                "to": {"id": reader},
                "run": f"r{run}",
                "n": seq,
                "connection": reader,
            }
            file.write(json.dumps(record | {"whose": owner, "type": EVENTS[seq]}) + "\n")
            if number in broken:
                file.write("{broken\n")
    return path


NAMES = ("--map", "user=to.id", "--map", "owner=whose", "--map", "seq=n", "--map", "time=ts", "--map", "event=type")


def test_in_200_000_events_the_three_that_went_to_the_wrong_user_are_named_exactly(tmp_path):
    path = log_of(tmp_path / "log.jsonl", 200_000, wrong={7, 150_002, 199_999}, broken={10})
    code, output = checked(path, *NAMES, "--time-unit", "ms")
    assert code == 1
    assert [line.strip() for line in output.splitlines() if "mallory received" in line] == [
        "mallory received tool_executing of user-1's run (r1, tool_executing, number 2, at 0.021 s, line 8)",
        "mallory received tool_executing of user-0's run (r30000, tool_executing, number 2, at 450.006 s, line 150004)",
        "mallory received agent_completed of user-99's run (r39999, agent_completed, number 4, at 599.997 s, line 200001)",
    ]
    assert "line 12 is no JSON object" in output
    assert "1 lines could not be read" in output


def test_checks_that_lack_records_in_a_log_are_not_applicable(tmp_path):
    code, output = checked(log_of(tmp_path / "log.jsonl", 50), *NAMES)
    assert code == 0
    passed = {line.split()[1].rstrip(":") for line in output.splitlines() if line.split()[0] == "passed"}
    assert passed == {"cross-user-isolation", "tools", "silence"}
    assert "failed" not in output


def test_events_without_a_known_owner_are_not_judged(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"user": "alice", "run": "r", "event": "e", "seq": 0}\n')
    code, output = checked(path)
    assert code == 2
    assert "no check could judge" in output
    needs = (
        "records of the kind sent or received with the field owner (or of the kinds requested, scope_opened, published)"
    )
    assert (
        f"for cross-user-isolation it lacks {needs}, and for delivery it lacks records of the kind published" in output
    )


def test_each_check_that_cannot_judge_a_log_says_what_it_lacks(tmp_path):
    _, output = checked(log_of(tmp_path / "log.jsonl", 50), *NAMES)
    told = " ".join(output.split())
    for name, missing in (
        ("content-isolation", "records of the kind received with the field subject"),
        ("delivery", "records of the kind published with the field seq"),
        ("every-run-ends", "records of the kind requested with the field run"),
        (
            "latency",
            "records of the kind published with the field seq; records of the kind published with the field time",
        ),
    ):
        assert f"not applicable {name}: it lacks {missing} " in f"{told} "


def test_a_history_that_a_check_can_judge_lacks_nothing_for_it():
    history = Story().run().end()
    for name in ("cross-user-isolation", "delivery", "latency", "every-run-ends", "scopes", "tools", "silence"):
        assert lacks(Records(history), name) == ""


def test_a_kind_without_records_counts_as_recorded_only_if_the_mapping_says_so(tmp_path):
    path, mapping = tmp_path / "log.jsonl", tmp_path / "ours.toml"
    records = [{"kind": "requested", "user": "alice", "run": "r", "time": 1}]
    records += [{"kind": "scope_opened", "user": "alice", "run": "r", "time": 2}]
    path.write_text("\n".join(map(json.dumps, records)))

    def passed(*kinds):
        mapping.write_text(f"recorded = {list(kinds)}\nengines_per_user = 1\n")
        _, output = checked(path, "--mapping", mapping)
        return {line.split()[1].rstrip(":") for line in output.splitlines() if "passed" in line} - {
            "scopes",
            "timestamps",
        }

    def failed(*kinds):
        passed(*kinds)
        _, output = checked(path, "--mapping", mapping)
        return {line.split()[1].rstrip(":") for line in output.splitlines() if "failed" in line}

    assert (passed(), failed()) == (set(), set())
    assert passed("refused") == {"refusals"}
    assert passed("scope_closed") == {"engine-limit"}  # The scope is open, so the user is at the limit of one.
    assert failed("scope_closed") == {"nothing-left"}
    records.append({"kind": "scope_closed", "user": "alice", "run": "r", "time": 3})
    path.write_text("\n".join(map(json.dumps, records)))
    assert (passed(), passed("left_over")) == ({"engine-limit"}, {"engine-limit", "nothing-left"})
    assert failed("received") == {"every-run-ends", "completion"}
    assert failed("published") == {"critical-events"}


def test_a_log_with_too_many_unreadable_lines_is_not_judged(tmp_path):
    path = log_of(tmp_path / "log.jsonl", 50, broken={1, 2, 3})
    code, output = checked(path, *NAMES)
    assert code == 2
    assert "of the lines" in output
    assert checked(path, *NAMES, "--unreadable-share", "0.5")[0] == 0


def test_findings_count_even_with_too_many_unreadable_lines(tmp_path):
    assert checked(log_of(tmp_path / "log.jsonl", 50, wrong={7}, broken={1, 2, 3}), *NAMES)[0] == 1


def test_a_default_name_can_be_unmapped(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"user": "alice", "owner": "alice", "run": "r", "event": "e", "subject": "runs/17"}\n')
    assert checked(path)[0] == 1
    assert checked(path, "--map", "subject=")[0] == 0


def test_a_mapping_file_and_options_translate_a_log(tmp_path):
    path = tmp_path / "log.jsonl"
    records = [{"what": what, "who": "alice", "run": "r", "event": "e"} for what in ("push", "emit")]
    path.write_text("\n".join(map(json.dumps, records)))
    mapping = tmp_path / "ours.toml"
    mapping.write_text('[fields]\nkind = "what"\nuser = "who"\n[values.kind]\nemit = "published"\n')
    code, output = checked(path, "--mapping", mapping, "--map-value", "kind:push=received", "--map", "seq=n")
    assert code == 0
    assert "2 records" in output
    assert "cross-user-isolation: 1 events" in output


def test_a_recorded_history_is_judged_and_takes_no_mapping(tmp_path):
    path = Story().run().run("bob", "bob.1").end().save(tmp_path / "h.parquet")
    assert checked(path)[0] == 0
    code, output = checked(path, "--map", "user=who")
    assert (code, "takes no mapping" in output) == (2, True)
    wrong = Story().run(receiver="bob").end().save(tmp_path / "wrong.parquet")
    assert checked(wrong)[0] == 1


def test_objectives_of_another_version_are_wrong_usage(tmp_path):
    history = Story().run().end()
    history.meta["objectives"] = {"speed_of_light": 1.0}
    code, output = checked(history.save(tmp_path / "h.parquet"))
    assert code == 2
    assert "speed_of_light" in output
    assert "Traceback" not in output
    log, mapping = tmp_path / "log.jsonl", tmp_path / "ours.toml"
    log.write_text('{"user": "alice", "owner": "alice", "run": "r"}\n')
    mapping.write_text("[objectives]\nspeed_of_light = 1.0\n")
    code, output = checked(log, "--mapping", mapping)
    assert code == 2
    assert "speed_of_light" in output


def test_what_cannot_be_checked_is_wrong_usage(tmp_path):
    path = log_of(tmp_path / "log.jsonl", 5)
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    for arguments, message in (
        ((empty,), "no record in it can be used"),
        ((path, "--map", "who=id"), "there is no 'who'"),
        ((path, "--map", "user"), "expected NAME=VALUE"),
        ((path, "--map-value", "push=received"), "FIELD:THEIRS=OURS"),
        ((path, "--time-unit", "h"), "'h'"),
    ):
        code, output = checked(*arguments)
        assert code == 2
        assert message in output
