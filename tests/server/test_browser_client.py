"""The client for browsers in Chromium, with the real server and with one that sends what a test says."""

import asyncio
import json
import os
import random
import socket
from contextlib import asynccontextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from browser import chromium
from websockets.asyncio.server import serve

from netra_sim import AgentWebSocketBridge, ExecutionEngineFactory
from netra_sim.factory import EngineLimits
from netra_sim.protocol import is_terminal
from netra_sim.server import AgentServer, TokenAuthenticator
from netra_sim.site.pdf import find_chromium

CUTS = int(os.environ.get("NETRA_DISCONNECTS", "60"))
USERS = 12

real_time = pytest.mark.real_time
pytestmark = pytest.mark.skipif(find_chromium() is None, reason="there is no Chromium")

PRELUDE = """
window.watch = (url, token, options = {}) => {
  const log = { events: [], gaps: [], states: [] };
  const client = new module.AgentClient(url, {
    token,
    random: () => 0.1,
    onEvent: (run, event) => log.events.push([event.run_id, event.seq, event.type]),
    onGap: (run, gap) => log.gaps.push([gap.run_id, gap.missed_from, gap.missed_to, run.status]),
    onState: (state, code) => log.states.push(code === null ? state : `${state} ${code}`),
    ...options,
  });
  client.connect();
  return Object.assign(client, { log });
};
window.ended = (promise) => promise.then(
  ({ status, text, thoughts, answer, error, missed }) => ({ status, text, thoughts, answer, error, missed }),
  (error) => ({ refused: error.code, said: error.message }),
);
window.until = async (holds) => { while (!holds()) await new Promise((go) => setTimeout(go, 5)); };
"""


@pytest.fixture(scope="module")
def tab():
    with chromium() as opened:
        yield opened


class Page:
    """A page with the client module; its scripts run while the test's event loop runs."""

    def __init__(self, tab):
        self._tab = tab

    async def run(self, script):
        """Run an asynchronous script and return its result."""
        return await asyncio.to_thread(self._tab.evaluate, f"(async () => {{ {script} }})()")


@asynccontextmanager
async def a_page(tab, uri):
    """A page of the server's origin that has imported the client."""
    origin = uri.replace("ws:", "http:")
    await asyncio.to_thread(tab.open, f"{origin}/healthz")
    page = Page(tab)
    await page.run(f"window.module = await import('{origin}/agent-client.js'); {PRELUDE}")
    yield page
    assert not [one for one in tab.complaints if one.get("source") != "network"]


class QuietFiles(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        """Say nothing."""


class Counts:
    """An agent that publishes one number after the other, and then ends."""

    name = "counts"

    async def run(self, session):
        for number in range(int(session.context.request["message"])):
            session.think(f"{number} ")
            await asyncio.sleep(0.005)
        return "done"


def a_free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def a_server(port, tokens, origins=()):
    bridge = AgentWebSocketBridge()
    factory = ExecutionEngineFactory(
        websocket_bridge=bridge,
        pipeline=lambda _: [[Counts()]],
        limits=EngineLimits(agent_seconds=600, engine_seconds=600),
    )
    origins = [f"http://127.0.0.1:{port}", *origins]
    return AgentServer(bridge=bridge, execution_factory=factory, authenticator=tokens, port=port, origins=origins)


@real_time
async def test_forced_disconnects_lose_nothing_show_nothing_twice_and_hide_no_gap_in_a_browser(tab):
    draw, tokens, cuts = random.Random(12), TokenAuthenticator(), 0
    steps = min(990, 60 + 50 * CUTS // USERS)
    async with a_server(a_free_port(), tokens) as server, a_page(tab, server.uri) as page:
        given = json.dumps([tokens.issue(f"u{number}") for number in range(USERS)])
        await page.run(
            f"window.clients = {given}.map((token) => watch('{server.uri}', token));"
            f"window.asked = Promise.all(clients.map((one) => ended(one.execute('{steps}', {{ requestId: 'q' }}))));"
        )
        async with asyncio.timeout(240):
            while cuts < CUTS:
                await asyncio.sleep(draw.uniform(0, 0.12) * 2 / USERS)
                sockets = [one for one in server._server.connections if one.state.name == "OPEN"]
                if sockets:
                    draw.choice(sorted(sockets, key=lambda one: one.remote_address)).transport.abort()
                    cuts += 1
            runs = await page.run("return asked")
        logs = await page.run(
            "return clients.map((one) => [one.log.events, one.log.gaps, one.duplicates, one.unannouncedGaps])"
        )
    assert all((run["status"], run["answer"], run["missed"]) == ("completed", "done", 0) for run in runs)
    assert all(run["thoughts"] == "".join(f"{number} " for number in range(steps)) for run in runs)
    for number, (events, gaps, _, unannounced) in enumerate(logs):
        assert {event[0] for event in events} == {f"u{number}.q"}
        assert [event[1] for event in events] == list(range(steps + 2))  # nothing lost or repeated, in order
        assert (gaps, unannounced) == ([], 0)


@real_time
async def test_a_page_stays_logged_in_over_a_restart_and_learns_that_its_run_is_lost(tab):
    port, tokens = a_free_port(), TokenAuthenticator()
    async with a_server(port, tokens) as server, a_page(tab, server.uri) as page:
        token = tokens.issue("alice")
        await page.run(f"window.client = watch('{server.uri}', '{token}'); await until(() => client.state === 'open');")
        assert (await page.run("return ended(client.execute('1'))"))["status"] == "completed"
        await page.run("window.long = ended(client.execute('900')); await until(() => client.log.events.length > 5);")
        for connection in list(server._server.connections):
            connection.transport.abort()  # its process ends and forgets the run
        await server.service.bridge.shutdown()
        server._server.close()
        async with a_server(port, tokens):
            lost = await page.run("return long")
            again = await page.run("return ended(client.execute('2'))")
    assert (lost["status"], lost["error"]["error"]) == ("lost", "lost")
    assert again["thoughts"] == "0 1 "


@real_time
async def test_a_run_goes_on_after_its_client_closes_and_a_new_client_gets_all_of_it(tab):
    tokens = TokenAuthenticator()
    async with a_server(a_free_port(), tokens) as server, a_page(tab, server.uri) as page:
        token = tokens.issue("alice")
        first = await page.run(
            f"const one = watch('{server.uri}', '{token}'); const asked = ended(one.execute('30', {{requestId: 'q'}}));"
            "await until(() => one.log.events.length > 3); one.close(); return [await asked, one.state];"
        )
        second = await page.run(
            f"const two = watch('{server.uri}', '{token}');"
            "await until(() => two.runs.get('alice.q')?.hasEnded); return two.log.events.map((event) => event[1]);"
        )
    assert first == [{"refused": "closed", "said": "the client was closed"}, "closed"]
    assert second == list(range(32))


class Sayings:
    """A scripted server: for each connection the frames after its hello, and the close code."""

    def __init__(self, *connections):
        self._connections = list(connections)
        self.heard = []
        self.offered = []

    async def talk(self, socket):
        says, close = self._connections.pop(0) if self._connections else ([], None)
        self.offered.append(socket.request.headers.get("Sec-WebSocket-Protocol"))
        heard = []
        self.heard.append(heard)
        heard.append(json.loads(await socket.recv()))
        for frame in says:
            await socket.send(frame if isinstance(frame, str) else json.dumps(frame))
        if close is not None:
            await socket.close(close)
            return
        async for frame in socket:
            message = json.loads(frame)
            heard.append(message)
            if message["type"] == "execute_agent":
                self.asked(message)
            for answer in self.answers(message):
                await socket.send(json.dumps(answer))

    def asked(self, message):
        """Nothing, unless a test wants something."""

    def answers(self, message):
        """The answer to a message of the client."""
        return []


def hello(*runs, epoch="e1"):
    listed = [{"run_id": run, "first_seq": 0, "next_seq": 9, "ended": False} for run in runs]
    return {"type": "hello", "epoch": epoch, "user_id": "alice", "connection_id": "c", "runs": listed}


def thinking(seq, run="alice.q", text=None, at=0.0):
    return {
        "type": "agent_thinking", "run_id": run, "thread_id": "t", "user_id": "alice", "seq": seq, "event_id": str(seq),
        "timestamp": 1.0 + seq + at, "reasoning": text or f"{seq} ",
    }  # fmt: skip


def completed(seq, run="alice.q"):
    return thinking(seq, run) | {"type": "agent_completed", "status": "completed", "final_response": "42"}


@asynccontextmanager
async def a_page_with(tab, sayings):
    async with (
        a_server(a_free_port(), TokenAuthenticator()) as home,
        a_page(tab, home.uri) as page,
        serve(sayings.talk, "127.0.0.1", 0, subprotocols=["netra.v1"]) as server,
    ):
        yield page, f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        await page.run("window.client?.close()")


@real_time
async def test_duplicates_and_unknown_frames_are_counted_and_not_shown(tab):
    frames = [hello(), thinking(0), thinking(0), "{", "[]", {"type": "news"}, thinking(1), completed(2)]
    async with a_page_with(tab, Sayings((frames, None))) as (page, uri):
        told = await page.run(
            f"window.client = watch('{uri}', 't'); await until(() => client.runs.get('alice.q')?.hasEnded);"
            "return [client.log.events.map((event) => event[1]), client.duplicates, client.skipped];"
        )
    assert told == [[0, 1, 2], 1, 3]


@real_time
async def test_a_hole_in_the_numbers_is_requested_again_and_not_shown(tab):
    class Holed(Sayings):
        def answers(self, message):
            return [hello("alice.q"), thinking(1), thinking(2), completed(3)] if message["type"] == "resume" else []

    sayings = Holed(([hello(), thinking(0), thinking(2)], None))
    async with a_page_with(tab, sayings) as (page, uri):
        told = await page.run(
            f"window.client = watch('{uri}', 't'); await until(() => client.runs.get('alice.q')?.hasEnded);"
            "return [client.log.events.map((event) => event[1]), client.unannouncedGaps];"
        )
    assert told == [[0, 1, 2, 3], 1]
    assert sayings.heard[0][1] == {"type": "resume", "epoch": "e1", "cursors": {"alice.q": 0}}


@real_time
async def test_an_announced_gap_moves_the_cursor_and_counts_the_missed_events(tab):
    gap = {"type": "gap", "run_id": "alice.q", "missed_from": 1, "missed_to": 4, "reason": "evicted", "status": "live"}
    frames = [hello("alice.q"), thinking(0), gap, thinking(5), completed(6)]
    async with a_page_with(tab, Sayings((frames, None))) as (page, uri):
        told = await page.run(
            f"window.client = watch('{uri}', 't'); await until(() => client.runs.get('alice.q')?.hasEnded);"
            "const run = client.runs.get('alice.q');"
            "return [client.log.events.map((event) => event[1]), client.log.gaps, run.missed, client.unannouncedGaps];"
        )
    assert told == [[0, 5, 6], [["alice.q", 1, 4, "running"]], 4, 0]


def delta(seq, text):
    return thinking(seq) | {"type": "agent_delta", "text": text}


@real_time
async def test_the_text_of_an_answer_is_complete_even_if_pieces_are_lost(tab):
    gap = {"type": "gap", "run_id": "alice.q", "missed_from": 2, "missed_to": 4, "reason": "evicted", "status": "live"}
    frames = [
        hello("alice.q"),
        thinking(0),
        delta(1, "Stop "),
        gap | {"text": "Stop paying "},
        delta(5, "idle."),
        completed(6),
    ]
    async with a_page_with(tab, Sayings((frames, None))) as (page, uri):
        text = await page.run(
            f"window.client = watch('{uri}', 't'); await until(() => client.runs.get('alice.q')?.hasEnded);"
            "return client.runs.get('alice.q').text;"
        )
    assert text == "Stop paying idle."


@real_time
async def test_cursors_of_another_epoch_are_forgotten_and_runs_of_it_are_lost(tab):
    gap = {"type": "gap", "run_id": "alice.q", "missed_from": 2, "missed_to": -1, "reason": "epoch", "status": "lost"}
    sayings = Sayings(
        (
            [
                hello(),
                thinking(0),
                thinking(1),
                thinking(0, "alice.r"),
                completed(1, "alice.r"),
                thinking(0, "alice.x"),
            ],
            1012,
        ),
        ([hello(epoch="e2"), gap | {"detail": "gone"}, thinking(0, "alice.s")], 1006 + 5),
    )
    async with a_page_with(tab, sayings) as (page, uri):
        told = await page.run(
            f"window.client = watch('{uri}', 't'); const asked = ended(client.execute('x', {{requestId: 'q'}}));"
            "await until(() => client.runs.has('alice.x')); const untold = client.runs.get('alice.x');"
            "const run = await asked; await until(() => client.runs.has('alice.s') && client.state === 'connecting');"
            "return [run.status, untold.status, client.log.gaps];"
        )
        while len(sayings.heard) < 3 or not sayings.heard[2]:
            await asyncio.sleep(0.01)
    assert told == ["lost", "lost", [["alice.q", 2, -1, "lost"]]]
    assert sayings.heard[1][0]["cursors"] == {"alice.q": 1, "alice.r": 1, "alice.x": 0}
    assert sayings.heard[2][0] == {"type": "resume", "epoch": "e2", "cursors": {"alice.s": 0}}


@real_time
async def test_a_request_is_sent_until_the_server_has_it_and_no_more(tab):
    sayings = Sayings(([hello()], 1006 + 5), ([hello()], 1012), ([hello("alice.q"), thinking(0), completed(1)], None))
    async with a_page_with(tab, sayings) as (page, uri):
        run = await page.run(
            f"window.client = watch('{uri}', 't'); return ended(client.execute('x', {{ requestId: 'q' }}));"
        )
    assert run["status"] == "completed"
    assert not [message for message in sayings.heard[2] if message["type"] == "execute_agent"]


@real_time
@pytest.mark.parametrize(
    ("code", "outcome"),
    [("engine_limit", "engine_limit"), ("malformed", "malformed"), ("rate_limited", None), ("duplicate_request", None)],
)
async def test_a_refused_request_is_rejected_or_sent_again_as_the_protocol_says(tab, code, outcome):
    class Refuses(Sayings):
        asks = 0

        def asked(self, message):
            self.asks += 1

        def answers(self, message):
            refused = {"type": "refused", "code": code, "detail": "no", "request_id": "q"}
            if message["type"] != "execute_agent":
                return []
            has_it = code == "duplicate_request" or self.asks == 2
            return [*([refused] if self.asks == 1 else []), *([thinking(0), completed(1)] if has_it else [])]

    sayings = Refuses(([hello()], None))
    async with a_page_with(tab, sayings) as (page, uri):
        run = await page.run(
            f"window.client = watch('{uri}', 't'); await until(() => client.state === 'open');"
            "return ended(client.execute('x', { requestId: 'q' }));"
        )
    assert run.get("refused") == outcome
    assert run.get("status") == (None if outcome else "completed")
    assert sayings.asks == (2 if code == "rate_limited" else 1)


@real_time
async def test_after_a_refused_proof_a_page_asks_for_another_and_then_gives_up(tab):
    outage = [([], 1013), ([], 1013), ([], 1013)]
    sayings = Sayings(([], 4401), *outage, ([hello()], 4401), ([], 4401), *outage, ([], 4401), ([], 4401), ([], 4401))
    async with a_page_with(tab, sayings) as (page, uri):
        told = await page.run(
            f"let asked = 0; window.client = watch('{uri}', async () => `t${{asked++}}`);"
            "const waits = ended(client.execute('x')); await until(() => client.state === 'closed');"
            "return [await waits, client.closeCode, client.log.states.at(-1)];"
        )
    assert told == [{"refused": 4401, "said": "the server turned the client away with 4401"}, 4401, "closed 4401"]
    assert sayings.offered == [f"netra.v1, bearer.t{number}" for number in range(11)]


@real_time
async def test_a_newer_token_does_not_replace_the_function_that_gets_tokens(tab):
    async with a_page_with(tab, Sayings(([hello()], None), ([hello()], None))) as (page, uri):
        told = await page.run(
            f"let asked = 0; window.client = watch('{uri}', async () => `t${{asked++}}`);"
            "await until(() => client.state === 'open'); client.authenticate('newer'); client.close(); client.connect();"
            "await until(() => client.state === 'open'); return asked;"
        )
    assert told == 2


@real_time
async def test_pauses_grow_with_failures_restart_at_a_hello_and_are_long_for_a_replaced_tab(tab):
    connections = [([], 1013), ([], 1013), ([], 1013), ([hello()], 1012), ([hello()], 4410), ([hello()], None)]
    async with a_page_with(tab, Sayings(*connections)) as (page, uri):
        pauses = await page.run(
            "const real = window.setTimeout, pauses = [];"
            "window.setTimeout = (call, pause) => { pauses.push(pause); return real(call, pause === 25_000 ? pause : 1); };"
            f"window.client = watch('{uri}', 't', {{ random: () => 0.5 }});"
            "await until(() => pauses.some((pause) => pause > 10_000 && pause < 25_000) && client.state === 'open');"
            "window.setTimeout = real; return pauses;"
        )
    drawn = [pause for pause in pauses if pause not in (5, 25_000)]
    assert drawn == [25, 50, 100, 25, 20_025]


@real_time
async def test_both_clients_stay_away_after_the_same_codes(tab):
    async with a_page_with(tab, Sayings()) as (page, _):
        codes = await page.run(
            "return [...Array(4000).keys()].map((one) => one + 1000).filter((code) => module.isTerminal(code))"
        )
    assert codes == [code for code in range(1000, 5000) if is_terminal(code)]
    assert {1009, 4400, 4401, 4403, 4409, 4422, 4429, 4477} <= set(codes)
    assert not {1000, 1001, 1006, 1011, 1012, 1013, 4008, 4408, 4410} & set(codes)


@real_time
async def test_a_wrong_address_and_a_closed_client_raise_errors_at_once(tab):
    async with a_page_with(tab, Sayings()) as (page, uri):
        told = await page.run(
            "const wrong = (() => { try { new module.AgentClient('ws://[') } catch (error) { return error.name } })();"
            f"const idle = new module.AgentClient('{uri}');"
            "return [wrong, await ended(idle.execute('x'))];"
        )
    assert told == ["TypeError", {"refused": "closed", "said": "the client is closed; call connect() first"}]


@real_time
async def test_the_example_page_asks_and_shows_the_answer(tab):
    tokens, port = TokenAuthenticator(), a_free_port()
    files = partial(QuietFiles, directory=Path(__file__).parents[2] / "examples")
    with ThreadingHTTPServer(("127.0.0.1", 0), files) as web:
        serving = asyncio.create_task(asyncio.to_thread(web.serve_forever))
        home = f"http://127.0.0.1:{web.server_port}"
        async with a_server(port, tokens, origins=[home]) as server:
            await asyncio.to_thread(tab.open, f"{home}/chat.html")
            given = {"server": server.uri, "token": tokens.issue("alice"), "question": "2"}
            shown = await Page(tab).run(
                f"const form = document.querySelector('form'), given = {json.dumps(given)};"
                "for (const [name, value] of Object.entries(given)) form.elements[name].value = value;"
                "form.requestSubmit(); while (!document.querySelector('article')?.textContent.includes('done'))"
                "  await new Promise((go) => setTimeout(go, 10));"
                "return document.querySelector('article').innerText + document.querySelector('[role=status]').innerText;"
            )
        web.shutdown()
        await serving
    assert "completed" in shown
    assert '"done"' in shown
    assert shown.endswith("open")
