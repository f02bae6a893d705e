"""`netra-sim load SCENARIO`: what it takes, what it refuses, and its exit codes."""

import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from netra_sim.cli.loading import load_command
from netra_sim.history import History, Kind

HERE = Path(__file__).parent
FILE = """
users = 3
[workload]
arrivals = { kind = "burst", at = 0.0 }
[client]
kind = "sse-json"
path = "/chat"
body = { text = "{text}" }
type = "type"
content = "text"
end = { path = "type", values = ["done"] }
"""
SYSTEM = f"""
[system]
app = "their_app:app"
folder = '{HERE}'
"""


@pytest.fixture
def netra_sim(tmp_path, monkeypatch):
    (tmp_path / "mine.toml").write_text(FILE + SYSTEM)
    (tmp_path / "deployed.toml").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(load_command, arguments)


def test_a_scenario_with_a_system_is_loaded_and_checked(netra_sim):
    found = netra_sim("mine.toml", "--users", "4", "--seed", "3")
    assert found.exit_code == 0, found.output
    assert "passed  every-run-ends: 4 requests" in found.output
    history = History.load("history.parquet")
    assert (history.meta["source"], history.meta["seed"]) == ("system", 3)
    assert len(history.frame(Kind.REQUESTED)) == 4


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("deployed.toml",), "names no system to start"),
        (("deployed.toml", "--url", "http://backend.example"), "--allow backend.example"),
        (("mine.toml", "--runs", "2"), "--runs is for a load run without a scenario"),
        (("--url", "http://127.0.0.1:9"), "--url needs a SCENARIO"),
        (("--set", "users=2"), "--set needs a SCENARIO"),
        (("mine.toml", "--set", 'system.app="no_such:app"'), "no_such"),
        (("mine.toml", "--objective", "bogus=1"), "bogus"),
        (("no-such-scenario",), "no-such-scenario"),
    ],
)
def test_what_cannot_be_loaded_is_wrong_usage(netra_sim, arguments, says):
    found = netra_sim(*arguments)
    assert (found.exit_code, says in found.output) == (2, True), found.output


@pytest.fixture
def hanging_up():
    """The URL of a server that closes each connection at once."""

    class Handler(socketserver.BaseRequestHandler):
        pass

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_failed_checks_give_exit_code_1(netra_sim, hanging_up):
    found = netra_sim("deployed.toml", "--url", hanging_up)
    assert found.exit_code == 1, found.output
    assert "failed  completion" in found.output
    assert "not started" not in found.output


def test_services_are_not_started_for_a_system_that_runs_already_and_load_says_so(netra_sim, hanging_up):
    words = ("mine.toml", "--url", hanging_up, "--set", 'services={model={kind="model"}}', "--format", "json")
    found = netra_sim(*words)
    assert f"not started, as the system at {hanging_up} runs already" in found.stderr
    assert "[services.model]" in found.stderr


def test_nothing_is_loaded_where_nothing_listens(netra_sim):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    found = netra_sim("deployed.toml", "--url", f"http://127.0.0.1:{port}")
    assert found.exit_code == 2, found.output
    assert f"nothing listens at 127.0.0.1:{port} (" in found.stderr
    assert "start the system first, or correct --url" in found.stderr
    assert not Path("history.parquet").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the processes in /proc")
@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM"])
def test_an_interrupted_load_leaves_neither_clients_nor_the_system(netra_sim, tmp_path, how):
    command = [sys.executable, "-c", "from netra_sim.cli import main; main()", "load", "mine.toml", "--set"]
    process = subprocess.Popen([*command, "workload.arrivals.at=300.0"], cwd=tmp_path, stderr=subprocess.DEVNULL)
    second = until(lambda: children(process.pid))[0]  # the process of the command that may run code of one's own
    started = until(lambda: len(found := children(second)) == 2 and found)
    until(lambda: b"their_app" in b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in started))
    process.send_signal(getattr(signal, how))
    assert process.wait() == 3
    assert not any(os.path.exists(f"/proc/{pid}") for pid in started)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deployed.toml", "mine.toml"]


def until(condition):
    """Wait until the condition is true, and return its value."""
    for _ in range(6000):
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError("the condition never became true")


def children(pid):
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
