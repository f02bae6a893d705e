"""`netra-sim serve` as a process: signals, restarts, secrets."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from netra_sim.server import AgentClient

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send"),
]

SERVE_SLOWLY = """
import asyncio, sys
import netra_sim.cli.serving as serving
from netra_sim.cli import main
from netra_sim.factory import ExecutionEngineFactory

class Slow:
    name = "slow"
    async def run(self, session):
        session.think("waiting")
        await asyncio.sleep(float(session.context.request["message"]))
        return "done"

serving.ExecutionEngineFactory = lambda **given: ExecutionEngineFactory(pipeline=lambda _: [[Slow()]], **given)
main()
"""


class Served:
    def __init__(self, process, uri, tokens):
        self.process = process
        self.uri = uri
        self.tokens = tokens

    async def ended(self):
        return await asyncio.wait_for(self.process.wait(), 60)


@asynccontextmanager
async def served(*options, users=("alice",), shell=False, **environment):
    command = [sys.executable, "-c", SERVE_SLOWLY, "serve", "--port", "0", *options]
    for user in users:
        command += ["--user", user]
    env = os.environ | {"PYTHONUNBUFFERED": "1"} | environment
    pipe = subprocess.PIPE
    if shell:  # a background job of a shell ignores Ctrl+C
        command = ["sh", "-c", '"$@" & echo "pid $!"; wait $!', "sh", *command]
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=env)
    try:
        tokens, uri, pid = {}, "", process.pid
        async with asyncio.timeout(60):
            while len(tokens) < len(users):
                line = (await process.stdout.readline()).decode()
                assert line, (await process.stderr.read()).decode()
                if found := re.match(r"listening on (\S+);", line):
                    uri = found[1]
                elif found := re.match(r"(\S+): Authorization: Bearer (\S+)", line):
                    tokens[found[1]] = found[2]
                elif found := re.match(r"pid (\d+)", line):
                    pid = int(found[1])
        one = Served(process, uri, tokens)
        one.pid = pid
        yield one
    finally:
        if process.returncode is None:
            os.kill(pid, signal.SIGKILL)
            await process.wait()


async def begun(uri, token, seconds):
    """A connection with a run that goes on for some seconds."""
    socket = await connect(uri, additional_headers={"Authorization": f"Bearer {token}"})
    await socket.send('{"type": "resume"}')
    await socket.send(json.dumps({"type": "execute_agent", "message": str(seconds)}))
    while json.loads(await socket.recv())["type"] != "agent_thinking":
        pass
    return socket


async def heard(socket):
    """The types of all remaining messages, and the close code."""
    messages = []
    try:
        while True:
            messages.append(json.loads(await socket.recv()))
    except ConnectionClosed:
        return [message["type"] for message in messages], socket.close_code


async def test_sigterm_during_fifty_runs_sends_each_client_the_end_of_its_run():
    users = [f"user-{number}" for number in range(50)]
    async with served("--drain", "2", users=users) as server:
        async with asyncio.timeout(60):
            runs = [begun(server.uri, server.tokens[user], n % 2 * 1000 + 0.5) for n, user in enumerate(users)]
            sockets = await asyncio.gather(*runs)
            os.kill(server.pid, signal.SIGTERM)
            told = await asyncio.gather(*map(heard, sockets))
        assert await server.ended() == 0
    for number, (types, code) in enumerate(told):
        final = [kind for kind in types if kind in ("agent_completed", "agent_error")]
        assert final == ["agent_error" if number % 2 else "agent_completed"]
        assert code == 1012


@pytest.mark.parametrize(("sent", "shell"), [(signal.SIGTERM, True), (signal.SIGINT, False)])
async def test_a_server_stops_with_0_from_a_shells_background_and_by_ctrl_c(sent, shell):
    async with served("--drain", "30", shell=shell) as server:
        socket = await begun(server.uri, server.tokens["alice"], 0.5)
        os.kill(server.pid, sent)
        types, code = await heard(socket)
        assert (types[-1], code) == ("agent_completed", 1012)
        assert await server.ended() == 0


async def test_a_second_signal_ends_live_runs_at_once():
    async with served("--drain", "1000") as server:
        socket = await begun(server.uri, server.tokens["alice"], 1000)
        os.kill(server.pid, signal.SIGTERM)
        assert json.loads(await socket.recv())["type"] == "draining"
        os.kill(server.pid, signal.SIGTERM)
        types, code = await heard(socket)
        assert (types, code) == (["agent_error"], 1012)
        assert await server.ended() == 0


@pytest.mark.parametrize("way", ["file", "environment"])
async def test_a_token_outlives_a_restart_and_the_client_learns_that_its_run_is_lost(tmp_path, way):
    options = ["--secret-file", str(tmp_path / "secret")] if way == "file" else []
    environment = {} if way == "file" else {"NETRA_SECRET": "k " + "s" * 32}
    readings, told = [], asyncio.Event()

    def on_reading(frame, reading, connection):
        readings.append(reading.message)
        if getattr(reading.message, "status", "") == "lost":
            told.set()

    async with served(*options, **environment) as first:
        client = AgentClient(first.uri, first.tokens["alice"], on_reading)
        await client.__aenter__()
        await client.send({"type": "execute_agent", "message": "1000", "request_id": "q"})
        async with asyncio.timeout(20):
            while "alice.q" not in client.reader.cursors:
                await asyncio.sleep(0.01)
        os.kill(first.pid, signal.SIGKILL)
        await first.ended()
    port = first.uri.rpartition(":")[2]
    async with served("--port", port, *options, **environment):
        async with asyncio.timeout(30):
            await told.wait()
        await client.__aexit__(None, None, None)
    (gap,) = (message for message in readings if getattr(message, "status", "") == "lost")
    assert (gap.run_id, gap.reason) == ("alice.q", "epoch")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--origin", "app.example"], "scheme and a host"),
        (["--secret-file", "{short}"], "at least 32"),
        (["--secret-file", "{short}", "--jwks", "https://id.example"], "exclude each other"),
        (["--drain", "-1"], "drain"),
    ],
)
def test_a_wrong_option_is_refused_with_a_message(tmp_path, options, said):
    (tmp_path / "short").write_text("short")
    given = [option.replace("{short}", str(tmp_path / "short")) for option in options]
    command = [sys.executable, "-m", "netra_sim", "serve", *given]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
