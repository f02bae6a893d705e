"""The users of a scenario load a real server, on real sockets, and what they experience is checked."""

import asyncio

import pytest
from small_server import SSE, running
from websockets.asyncio.server import serve

from netra_sim.checks import check, request_latencies
from netra_sim.driving import load_scenario
from netra_sim.history import CONTROL_LATENCY, DRIVER_LATENESS, History, Kind
from netra_sim.loading import TargetError
from netra_sim.loading.targets import target_of
from netra_sim.simulation import Scenario, ScenarioError
from netra_sim.simulation.workload import due_times

pytestmark = pytest.mark.real_time


def scenario(*, times=(0.0, 0.1, 0.2), **fields):
    plain = {"users": 3, "client": SSE, "workload": {"arrivals": {"kind": "replay", "times": list(times)}}}
    return Scenario.from_mapping(plain | fields)


def samples(history, gauge):
    rows = history.frame(Kind.SAMPLE)
    return rows["value"][rows["detail"] == gauge]


def states(history):
    return {one.check: one.state for one in check(history)}


async def test_users_send_each_request_when_the_scenario_says_and_the_checks_judge_what_they_get(tmp_path):
    one = Scenario.from_mapping({"users": 4, "client": SSE, "workload": {"window": 0.3, "runs_per_user": 2}})
    answers = []
    async with running() as server:
        history = await load_scenario(one, 7, url=server.url, on_answer=lambda: answers.append(1))
    asked = history.frame(Kind.REQUESTED)
    begins = asked["due"].min() - min(min(due_times(one.workload, 7, user, 4)) for user in range(4))
    for user in range(4):
        dues = sorted(asked["due"][asked["user"] == f"user-{user}"] - begins)
        assert dues == pytest.approx(list(due_times(one.workload, 7, user, 4)), abs=1e-6)
    found = states(History.load(history.save(tmp_path / "history.parquet")))
    assert found["every-run-ends"] == found["content-isolation"] == found["tokens"] == "passed"
    assert len(answers) == len(samples(history, DRIVER_LATENESS)) == 8
    assert len(samples(history, CONTROL_LATENCY))
    assert (history.meta["source"], history.meta["url"]) == ("system", server.url)


async def test_a_stall_of_the_server_is_in_the_latency_of_every_request_that_was_due_meanwhile():
    times = [number / 10 for number in range(10)]
    one = scenario(times=times, users=1)  # one user, who does not wait for answers either
    async with running(stalls=[1.0]) as server:
        history = await load_scenario(one, url=server.url)
    asked = history.frame(Kind.REQUESTED).sort_values("due")
    latencies = request_latencies(history, keep="last").set_index("run")["latency"]
    first = asked["due"].iloc[0]
    for run_id, due in zip(asked["run"], asked["due"], strict=True):
        assert latencies[run_id] >= 1.0 - (due - first)
    assert len(latencies) == 10


async def test_requests_in_a_closed_loop_wait_for_each_other():
    workload = {"arrivals": {"kind": "closed", "think": {"kind": "constant", "seconds": 0.01}}, "runs_per_user": 3}
    async with running(pause=0.02) as server:
        history = await load_scenario(scenario(users=2, workload=workload), url=server.url)
    rows = history.frame(Kind.REQUESTED, Kind.RECEIVED)
    mine = rows[rows["user"] == "user-0"]
    assert len(mine[mine["kind"] == Kind.REQUESTED]) == 3
    assert mine["run"].ne(mine["run"].shift()).sum() == 3  # no event of one run between those of another


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://backend.example:8000", "--allow backend.example"),
        ("http://192.0.2.7", "--allow 192.0.2.7"),
        ("ftp://127.0.0.1", "is like http://127.0.0.1:8000"),
        ("127.0.0.1:8000", "is like http://127.0.0.1:8000"),
        ("http://127.0.0.1:99999", "is no URL"),
        ("http://me:secret@127.0.0.1", "no user, no query"),
        ("http://127.0.0.1/?a=b", "no user, no query"),
    ],
)
async def test_a_url_that_must_not_or_cannot_be_loaded_is_refused(url, expected):
    with pytest.raises(TargetError, match=expected):
        await load_scenario(scenario(), url=url)


def test_an_allowed_host_and_this_machine_may_be_loaded():
    for url in ("http://localhost", "http://127.3.2.1", "http://[::1]:80/"):
        assert (target_of(url).port, target_of(url).path) == (80, "")
    target = target_of("wss://Backend.Example/api/", ["backend.example"])
    assert (target.host, target.port, target.tls, target.path) == ("backend.example", 443, True, "/api")


async def test_a_redirect_to_another_host_is_not_followed():
    async with running(redirect="http://backend.example/") as server:
        history = await load_scenario(scenario(), url=server.url)
    assert history.frame(Kind.REFUSED)["detail"].tolist() == ["http 302"] * 3
    client = {"kind": "websocket-json", "end": {"path": "type", "values": ["done"]}}
    async with serve(lambda socket: None, "127.0.0.1", 0, process_request=to_elsewhere) as sockets:
        url = f"ws://127.0.0.1:{next(iter(sockets.sockets)).getsockname()[1]}"
        history = await load_scenario(scenario(client=client), url=url)
    refused = history.frame(Kind.CONNECT_REFUSED)["detail"]
    assert len(refused)
    assert refused.str.contains("the way leads to backend.example, which the load run is not allowed").all()


def to_elsewhere(connection, request):
    response = connection.respond(302, "")
    response.headers["Location"] = "ws://backend.example/"
    return response


@pytest.mark.parametrize(("host", "allow", "is_refused"), [("192.0.2.1", (), True), ("127.0.0.1", (), False)])
async def test_a_client_that_goes_elsewhere_is_refused(host, allow, is_refused):
    client = {"kind": "their_clients:Elsewhere", "host": host}
    history = await load_scenario(scenario(client=client), url="http://127.0.0.1:9", allow=allow)
    refused = history.frame(Kind.CONNECT_REFUSED)["detail"]
    assert len(refused) == 3
    assert refused.str.contains("not allowed to connect to").all() == is_refused


async def test_requests_to_a_server_that_does_not_listen_are_recorded_without_an_end():
    history = await load_scenario(scenario(), url="http://127.0.0.1:9")
    assert len(history.frame(Kind.REQUESTED)) == len(history.frame(Kind.CONNECT_REFUSED)) == 3
    assert states(history)["completion"] == "failed"


async def test_a_user_gives_up_when_patience_ends():
    one = scenario(times=[0.0], users=1, workload={"arrivals": {"kind": "burst", "at": 0.0}, "patience": 0.2})
    async with running(pause=30.0) as server:
        async with asyncio.timeout(20):
            history = await load_scenario(one, url=server.url)
        assert len(history.frame(Kind.REQUESTED)) == 1
        assert not len(history.frame(Kind.RECEIVED))


async def test_what_real_sockets_or_one_process_cannot_do_is_refused_before_anything_starts():
    for kind in ("dead-socket", "deploy", "clock-jump"):
        with pytest.raises(ScenarioError, match=f"the fault {kind} cannot be caused on real sockets"):
            await load_scenario(scenario(faults=[{"kind": kind}]), url="http://127.0.0.1:9")
    with pytest.raises(ScenarioError, match="at most 2,000 real clients"):
        await load_scenario(scenario(users=2001), url="http://127.0.0.1:9")
    with pytest.raises(ScenarioError, match="how users talk to the system"):
        await load_scenario(Scenario(), url="http://127.0.0.1:9")
