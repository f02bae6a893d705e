"""A back end under test on the command line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from netra_sim.history import History

ROOT = Path(__file__).parents[3]
AGENTS = "examples/fastapi_agents/agents.toml"


def netra_sim(*arguments, cwd=ROOT):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
    command = [sys.executable, "-m", "netra_sim", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=300)


def test_simulate_tests_an_application_says_what_it_judged_and_repeats_itself(tmp_path):
    files = [tmp_path / f"{number}.parquet" for number in range(2)]
    for file in files:
        done = netra_sim("simulate", AGENTS, "--users", 4, "-o", file)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "passed  content-isolation" in done.stdout
    assert "not applicable  context-isolation," in done.stdout
    assert len({History.load(file).digest() for file in files}) == 1, (
        "the hash seed is fixed, though the caller's is not"
    )


def test_check_says_of_a_saved_history_of_a_system_why_it_cannot_judge(tmp_path):
    file = tmp_path / "history.parquet"
    netra_sim("simulate", AGENTS, "--users", 2, "-o", file)
    done = netra_sim("check", file)
    assert done.returncode == 0
    assert "it lacks records of the kind scope_opened" in done.stdout


def test_explore_finds_the_planted_global_shrinks_it_to_two_users_and_says_how_to_repeat_it(tmp_path):
    settings = ("--set", 'system.app="wrong:app"', "--set", "workload.window=1.0", "--set", "workload.runs_per_user=1")
    done = netra_sim("explore", AGENTS, *settings, "--jobs", 1)
    assert done.returncode == 1, done.stdout + done.stderr
    *_, line = done.stdout.strip().splitlines()
    assert line.startswith("to repeat it: netra-sim simulate")
    users = line.partition("only_users=[")[2].partition("]")[0].split(",")
    assert len(users) == 2
    again = subprocess.run(
        f"{sys.executable} -m netra_sim {line.partition('netra-sim ')[2]} -o {tmp_path / 'again.parquet'}",
        shell=True, capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert again.returncode == 1
    assert "failed  content-isolation" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--app", "right:app"), "a system needs clients"),
        (("--app", "right", "--client", "ag-ui"), "system.app"),
        (("--app", "nowhere:app", "--client", "ag-ui"), "there is no module 'nowhere'"),
        (("--app", "right:app", "--client", "agui"), "did you mean ag-ui"),
    ],
)
def test_a_wrong_application_or_protocol_is_wrong_usage(arguments, says, tmp_path):
    done = netra_sim("simulate", *arguments, "-o", tmp_path / "h.parquet", cwd=ROOT / "examples" / "fastapi_agents")
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert not list(tmp_path.iterdir())
