"""Back ends of the usual libraries run unmodified in virtual time, with the same history for the same seed everywhere."""

import json
import os
import subprocess
import sys
from functools import cache

import pytest
from catalogue import BACKENDS, HERE, backend, scenario, sse

from netra_sim.checks import check
from netra_sim.history import Kind
from netra_sim.simulation import Scenario, simulate

pytestmark = pytest.mark.filterwarnings("default")  # other people's code may use what is deprecated


@cache
def digests_elsewhere():
    """The digests of all back ends in a process of its own, which has another hash seed."""
    command = [sys.executable, str(HERE / "catalogue.py")]
    environment = os.environ | {"PYTHONHASHSEED": "1"}
    return json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("name", BACKENDS)
def test_20_users_get_their_answers_and_the_same_seed_gives_the_same_history_in_every_process(name):
    first, again = (simulate(scenario(name), seed=1) for _ in range(2))
    found = {one.check: one.state for one in check(first)}
    assert found["every-run-ends"] == found["content-isolation"] == found["unhandled-errors"] == "passed"
    assert "failed" not in found.values()
    assert first.frame(Kind.REQUESTED)["user"].nunique() == 20
    assert first.digest() == again.digest()
    assert digests_elsewhere()[name] == first.digest()


@pytest.mark.parametrize(
    ("path", "line", "call"),
    [
        ("/subprocess", "outside.py:16 (in_a_subprocess)", "subprocess.Popen"),
        ("/popen", "outside.py:22 (by_popen)", "subprocess.Popen"),
        ("/socket", "outside.py:27 (by_a_real_socket)", "socket.getaddrinfo"),
        ("/file", "outside.py:33 (to_a_file)", "open to write"),
    ],
)
def test_a_back_end_that_leaves_its_host_gets_an_error_that_names_the_line(path, line, call):
    history = simulate(Scenario.from_mapping(backend("outside:app", sse(path), users=2)))
    errors = history.frame(Kind.LOOP_ERROR)
    assert len(errors) == 4
    assert errors["detail"].str.contains(f"BoundaryError: {line}", regex=False).all(), errors["detail"].iloc[0]
    assert errors["detail"].str.contains(f"({call})", regex=False).all()
    assert (HERE / "backends" / "answers.txt").exists() is False


def test_a_host_that_the_scenario_does_not_have_cannot_be_resolved():
    history = simulate(Scenario.from_mapping(backend("outside:app", sse("/elsewhere"), users=2)))
    errors = history.frame(Kind.LOOP_ERROR)
    assert errors["detail"].str.contains("api.example.com", regex=False).all(), errors["detail"].iloc[0]
