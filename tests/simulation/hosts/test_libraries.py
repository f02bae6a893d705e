"""Unmodified libraries meet on virtual hosts, and every run of a seed is the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from netra_sim.simulation.hosts.links import LineConditions
from tests.simulation.hosts.backends import BACKENDS, CLIENTS, fingerprint, run_backend

ROOT = Path(__file__).parents[3]
BAD_LINE = LineConditions(loss=0.02, split=0.3, bandwidth=50_000)


def answers(name, turns):
    return [f"{name}{turn}#{number};" for turn in turns for number in range(5)]


@pytest.mark.parametrize(("order", "line"), [("fifo", LineConditions()), ("random", BAD_LINE)], ids=["good", "bad"])
@pytest.mark.parametrize("name", BACKENDS)
def test_twenty_clients_get_their_answers_and_a_second_run_is_the_same(name, order, line):
    trace = run_backend(name, order=order, inside=line)
    for client in map(str, range(CLIENTS)):
        assert [one for one in trace.of(client) if type(one) is str] == answers(
            client, "abc" if name == "starlette_sse" else "ab"
        )
    assert run_backend(name, order=order, inside=line).seen == trace.seen


def test_a_pool_uses_a_connection_again_and_notices_when_the_server_has_closed_it():
    trace = run_backend("starlette_sse")
    for client in map(str, range(CLIENTS)):
        first, again, later = (one for one in trace.of(client) if type(one) is int)
        assert first == again != later


@pytest.mark.parametrize("name", BACKENDS)
def test_the_debug_mode_of_asyncio_changes_nothing(name):
    assert run_backend(name, debug=True).seen == run_backend(name).seen


def test_runs_are_the_same_in_every_process():
    command = [sys.executable, "-m", "tests.simulation.hosts.backends"]
    environment = os.environ | {"PYTHONHASHSEED": "1"}
    elsewhere = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    expected = "".join(f"{name} {fingerprint(run_backend(name))}\n" for name in BACKENDS)
    assert elsewhere == expected
