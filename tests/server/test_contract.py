"""docs/protocol.md, message by message, over every carrier."""

import asyncio
import json

import pytest
from carriers import memory, over_asgi, over_websockets, simulated

from netra_sim.bridge import BridgeLimits, IntegrationPolicy
from netra_sim.factory import EngineLimits
from netra_sim.server import ServerLimits

CARRIERS = [
    memory,
    simulated,
    pytest.param(over_websockets, marks=pytest.mark.real_time),
    pytest.param(over_asgi, marks=pytest.mark.real_time),
]
pytestmark = pytest.mark.parametrize("carrier", CARRIERS)

ASK = {"type": "execute_agent", "message": "How can I cut my costs?"}
EVENTS = ("agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed", "agent_error")
FINAL = EVENTS[-2:]


class Waits:
    """An agent that thinks once and then waits for some seconds, or until it is cancelled."""

    name = "waits"

    def __init__(self, seconds=1000.0):
        self.seconds = seconds

    async def run(self, session):
        session.think("waiting")
        await asyncio.sleep(self.seconds)
        return "done"


def waiting(_):
    return [[Waits()]]


async def test_a_request_is_answered_event_by_event(carrier):
    async with carrier() as place:
        client = await place.connect()
        hello = await client.resume()
        assert (hello["user_id"], hello["runs"], hello["epoch"]) == ("alice", [], place.bridge.epoch)
        await client.say(ASK | {"request_id": "q"})
        events = [await client.hear(*EVENTS)]
        while events[-1]["type"] not in FINAL:
            events.append(await client.hear(*EVENTS))
        assert [event["seq"] for event in events] == list(range(len(events)))
        assert {event["run_id"] for event in events} == {"alice.q"}
        assert {event["type"] for event in events} == set(EVENTS) - {"agent_error"}


async def test_a_client_that_comes_back_gets_what_it_missed_and_nothing_twice(carrier):
    async with carrier(pipeline=lambda _: [[Waits(0.3)]]) as place:
        first = await place.connect()
        hello = await first.resume()
        await first.say(ASK | {"request_id": "q"})
        assert (await first.hear("agent_started"))["seq"] == 0
        await first.cut()
        second = await place.connect()
        again = await second.resume(hello["epoch"], {"alice.q": 0})
        assert [run["run_id"] for run in again["runs"]] == ["alice.q"]
        assert [(await second.hear(*EVENTS))["seq"] for _ in range(2)] == [1, 2]


async def test_resume_may_be_sent_again_and_replays_the_missing_events(carrier):
    async with carrier() as place:
        client = await place.connect()
        hello = await client.resume()
        await client.say(ASK | {"request_id": "q"})
        last = (await client.hear("agent_completed"))["seq"]
        assert (await client.resume(hello["epoch"], {"alice.q": last - 2}))["runs"][0]["next_seq"] == last + 1
        assert [(await client.hear(*EVENTS))["seq"] for _ in range(2)] == [last - 1, last]


async def test_another_users_run_gets_the_answer_for_a_run_that_does_not_exist(carrier):
    async with carrier(pipeline=waiting) as place:
        victim, attacker = await place.connect("victim"), await place.connect("attacker")
        await victim.resume()
        await victim.say(ASK | {"request_id": "q"})
        await victim.hear("agent_thinking")
        await attacker.resume(place.bridge.epoch, {"victim.q": 0, "victim.r": 0})
        theirs, nothing = await attacker.hear("gap"), await attacker.hear("gap")
        assert {**theirs, "run_id": ""} == {**nothing, "run_id": ""}
        assert (theirs["status"], theirs["missed_to"]) == ("unknown", -1)
        for run_id in ("victim.q", "victim.r"):
            await attacker.say({"type": "cancel", "run_id": run_id})
            assert (await attacker.hear())["code"] == "unknown_run"
        assert place.factory.live_engines("victim") == 1


async def test_a_client_of_a_restarted_server_learns_that_its_run_is_lost(carrier):
    async with carrier() as place:
        client = await place.connect()
        await client.resume("another epoch", {"alice.q": 3})
        gap = await client.hear("gap")
        assert (gap["reason"], gap["status"], gap["missed_from"]) == ("epoch", "lost", 4)
        assert "restarted" in gap["detail"]


@pytest.mark.parametrize("by", ["request_id", "run_id"])
async def test_a_user_can_cancel_a_run_and_no_other_run_ends(carrier, by):
    async with carrier(pipeline=waiting) as place:
        client = await place.connect()
        await client.resume()
        for name in ("keep", "stop"):
            await client.say(ASK | {"request_id": name})
            await client.hear("agent_thinking")
        await client.say({"type": "cancel", by: "stop" if by == "request_id" else "alice.stop"})
        end = await client.hear(*FINAL)
        assert (end["run_id"], end["type"], end["error"]) == ("alice.stop", "agent_error", "cancelled")
        await client.say({"type": "cancel", by: "stop" if by == "request_id" else "alice.stop"})
        assert (await client.hear("refused"))["code"] == "unknown_run"
        assert [engine.context.run_id for engine in place.factory.engines] == ["alice.keep"]


async def test_a_request_can_be_cancelled_right_after_it_is_sent(carrier):
    async with carrier(pipeline=waiting) as place:
        client = await place.connect()
        await client.resume()
        await client.say(ASK | {"request_id": "q"})
        await client.say({"type": "cancel", "request_id": "q"})
        end = await client.hear("refused", *FINAL)
        assert end.get("error") == "cancelled" or end.get("code") == "cancelled"


async def test_a_ping_comes_back_with_its_id(carrier):
    async with carrier() as place:
        client = await place.connect()
        await client.resume()
        await client.say({"type": "ping", "id": "17"})
        await client.say({"type": "ping"})
        assert [await client.hear(), await client.hear()] == [{"type": "pong", "id": "17"}, {"type": "pong"}]


async def test_a_newer_token_lets_the_connection_outlive_the_old_one(carrier):
    async with carrier() as place:
        client = await place.connect(lifetime=2.0)
        await client.resume()
        await client.say({"type": "authenticate", "token": place.tokens.issue("alice", 3600)})
        assert (await client.hear("authenticated"))["user_id"] == "alice"
        await asyncio.sleep(2.5)
        await client.say({"type": "ping"})
        assert await client.hear() == {"type": "pong"}


async def test_an_expired_token_closes_its_connection_and_the_run_goes_on(carrier):
    async with carrier(pipeline=waiting) as place:
        client = await place.connect(lifetime=2.0)
        await client.resume()
        await client.say(ASK)
        await client.hear("agent_thinking")
        assert await client.closed() == 4401
        assert place.factory.live_engines("alice") == 1


async def test_a_token_of_another_user_changes_nothing_on_an_open_connection(carrier):
    async with carrier() as place:
        client = await place.connect()
        await client.resume()
        for token, code in [(place.tokens.issue("bob"), "forbidden"), ("nonsense", "unauthenticated")]:
            await client.say({"type": "authenticate", "token": token})
            assert (await client.hear())["code"] == code
        await client.say(ASK | {"request_id": "q"})
        assert (await client.hear("agent_started"))["user_id"] == "alice"


async def test_revoking_a_user_closes_all_connections_of_this_user_only(carrier):
    async with carrier() as place:
        alices, bob = [await place.connect(), await place.connect()], await place.connect("bob")
        old = place.tokens.issue("alice")
        for client in (*alices, bob):
            await client.resume()
        assert place.service.revoke_user("alice") == 2
        assert [await client.closed() for client in alices] == [4401, 4401]
        await bob.say({"type": "ping"})
        assert (await bob.hear())["type"] == "pong"
        await asyncio.sleep(0.01)
        back = await place.connect()  # with a token issued after the revocation
        await back.resume()
        await back.say({"type": "authenticate", "token": old})
        assert (await back.hear())["code"] == "unauthenticated"


async def test_one_token_can_be_revoked_alone(carrier):
    async with carrier() as place:
        token = place.tokens.issue("alice")
        one, other = await place.connect(token=token), await place.connect()
        for client in (one, other):
            await client.resume()
        proved = await place.tokens.authenticate_token(token)
        assert place.service.revoke_token(proved.token_id) == 1
        assert await one.closed() == 4401
        await other.say({"type": "authenticate", "token": token})
        assert (await other.hear())["code"] == "unauthenticated"


async def test_the_newest_connection_replaces_the_one_least_recently_heard_from(carrier):
    async with carrier(bridge_limits=BridgeLimits(connections_per_user=3)) as place:
        clients = [await place.connect() for _ in range(3)]
        for client in clients:
            await client.resume()
        await asyncio.sleep(0.02)
        for client in (clients[0], clients[2]):
            await client.say({"type": "ping"})
            await client.hear("pong")
        newest, bob = await place.connect(), await place.connect("bob")
        await newest.resume()
        await bob.resume()
        assert await clients[1].closed() == 4410
        await newest.say(ASK)
        for client in (clients[0], clients[2], newest):
            await client.hear("agent_completed")


async def test_a_silent_socket_is_closed(carrier):
    async with carrier(limits=ServerLimits(resume_seconds=0.05)) as place:
        client = await place.connect()
        assert await client.closed() == 4408


@pytest.mark.parametrize(
    "first",
    ['{"type": "execute_agent", "message": "hi"}', "nonsense", "[]", b'{"type":"resume","epoch":"\xff"}', '{"type":"ping"}'],
)  # fmt: skip
async def test_a_first_message_other_than_resume_closes_the_connection(carrier, first):
    async with carrier() as place:
        client = await place.connect()
        await client.say(first)
        assert await client.closed() == 4400


NONSENSE = {
    "{": "malformed",
    "": "malformed",
    "[" * 50_000: "malformed",
    "17": "malformed",
    '{"type": "execute_agent", "message": NaN}': "malformed",
    '{"type": "execute_agent", "message": 1e999}': "malformed",
    '{"type": "execute_agent", "message": "\\ud800"}': "malformed",
    '{"type": "execute_agent", "message": ' + "9" * 60_000 + "}": "malformed",
    '{"type": "execute_agent"}': "malformed",
    '{"type": "execute_agent", "message": "x", "request_id": "a.b"}': "malformed",
    '{"type": "cancel"}': "malformed",
    '{"type": "cancel", "request_id": "a", "run_id": "b"}': "malformed",
    '{"type": "cancel", "request_id": 1}': "malformed",
    '{"type": "resume", "cursors": [1]}': "malformed",
    '{"type": "ping", "id": "' + "x" * 65 + '"}': "malformed",
    '{"type": "authenticate"}': "malformed",
    '{"type": "stop_generation"}': "unknown_type",
    '{"type": 7}': "unknown_type",
    "{}": "unknown_type",
    b'"\xff"': "malformed",
    b'{"type": "ping", "id": "\xff"}': "malformed",
}


@pytest.mark.parametrize("nonsense", NONSENSE, ids=lambda text: str(text)[:60])
async def test_an_unreadable_message_is_refused_and_the_connection_stays(carrier, nonsense, caplog):
    async with carrier() as place:
        client = await place.connect()
        await client.resume()
        await client.say(nonsense)
        answer = await client.hear()
        assert (answer["type"], answer["code"]) == ("refused", NONSENSE[nonsense])
        await client.say({"type": "ping"})
        assert await client.hear() == {"type": "pong"}
    assert not [record for record in caplog.records if record.exc_info]


async def test_the_tenth_unreadable_message_in_a_row_closes_and_nine_do_not(carrier):
    async with carrier(limits=ServerLimits(message_burst=100)) as place:
        client = await place.connect()
        await client.resume()
        for _ in range(2):
            for _ in range(9):
                await client.say({"type": "zz"})
            await client.say({"type": "ping"})
            await client.hear("pong")
        for _ in range(10):
            await client.say({"type": "zz"})
        assert await client.closed() == 4422


async def test_a_burst_passes_and_a_flood_is_refused_and_then_closed(carrier):
    async with carrier(limits=ServerLimits(messages_per_second=0.001, message_burst=5)) as place:
        client = await place.connect()
        await client.resume()
        for number in range(15):
            await client.say({"type": "ping", "id": str(number)})
        answers = [await client.hear() for _ in range(14)]  # the close may overtake the fifteenth
        assert [answer["type"] for answer in answers] == ["pong"] * 5 + ["refused"] * 9
        assert {answer.get("code") for answer in answers[5:]} == {"rate_limited"}
        assert await client.closed() == 4429


async def test_a_message_that_is_too_big_closes(carrier):
    async with carrier(limits=ServerLimits(message_bytes=1000)) as place:
        client = await place.connect()
        await client.resume()
        await client.say("x" * 1001)
        assert await client.closed() == 1009


async def test_a_back_end_that_dies_is_noticed_and_runs_begin_again_once_it_is_back(carrier):
    is_up = True

    async def database():
        if not is_up:
            raise ConnectionError("the database is gone")

    policy = IntegrationPolicy(check_interval=0.05, recovery_delay=0.05, failures_before_recovery=1)
    async with carrier(backends={"database": database}, policy=policy) as place:
        client = await place.connect()
        await client.resume()
        assert place.service.is_ready
        is_up = False
        async with asyncio.timeout(5):
            while place.service.is_ready:
                await asyncio.sleep(0.01)
        await client.say(ASK | {"request_id": "q"})
        assert (await client.hear("refused"))["code"] == "not_ready"
        is_up = True
        async with asyncio.timeout(5):
            while not place.service.is_ready:
                await asyncio.sleep(0.01)
        await client.say(ASK | {"request_id": "q"})
        await client.hear("agent_completed")


async def test_a_server_that_drains_lets_live_runs_end_and_begins_no_more(carrier):
    async with carrier(pipeline=lambda _: [[Waits(0.5)]]) as place:
        client = await place.connect()
        await client.resume()
        await client.say(ASK | {"request_id": "q"})
        await client.hear("agent_thinking")
        stopping = asyncio.create_task(place.service.stop(30))
        assert (await client.hear("draining"))["seconds"] == 30
        await client.say(ASK | {"request_id": "r"})
        heard = [await client.hear("refused", *FINAL) for _ in range(2)]
        assert {one.get("code") or one["type"] for one in heard} == {"shutting_down", "agent_completed"}
        assert await client.closed() == 1012
        await stopping


async def test_a_server_that_does_not_drain_sends_the_end_of_each_run(carrier):
    async with carrier(pipeline=waiting, engine_limits=EngineLimits(agent_seconds=10_000)) as place:
        client = await place.connect()
        await client.resume()
        await client.say(ASK)
        await client.hear("agent_thinking")
        stopping = asyncio.create_task(place.service.stop(0))
        assert (await client.hear(*FINAL))["error"] == "cancelled"
        assert await client.closed() == 1012
        await stopping


async def test_all_resources_are_released_when_the_clients_are_gone(carrier):
    async with carrier() as place:
        clients = [await place.connect(user) for user in ("alice", "alice", "bob")]
        for client in clients:
            await client.resume()
        silent = await place.connect("carol")
        assert (place.service.sockets, place.service.unready_sockets) == (4, 1)
        for client in (*clients, silent):
            await client.cut()
        async with asyncio.timeout(5):
            while place.service.sockets:
                await asyncio.sleep(0.01)
        assert place.service.unready_sockets == 0
        assert place.bridge.metrics().live_connections == 0
        assert not place.service._clients


async def test_a_full_server_turns_new_sockets_away(carrier):
    async with carrier(limits=ServerLimits(connections=2, unready_connections=1)) as place:
        client = await place.connect()
        await client.resume()
        silent = await place.connect("bob")
        for user in ("carol", "dave"):
            try:
                code = await (await place.connect(user)).closed()
            except Exception as refusal:
                code = refusal.response.status_code
            assert code in (503, 1013)
        await client.say({"type": "ping"})
        assert (await client.hear())["type"] == "pong"
        await silent.resume()


async def test_invented_cursors_are_gaps_and_harm_no_user(carrier):
    async with carrier() as place:
        client = await place.connect()
        cursors = {"a": 2**64, "b": -(2**63) - 1, "c": 10**400, "d\x00\x1b": 0} | {f"r{n}": n for n in range(500)}
        await client.say(json.dumps({"type": "resume", "epoch": place.bridge.epoch, "cursors": cursors}))
        assert (await client.hear())["type"] == "hello"
        assert {(await client.hear())["run_id"] for _ in cursors} == set(cursors)
