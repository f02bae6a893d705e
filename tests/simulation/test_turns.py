"""In fifo order, users who act at the same instant act one after the other, each until nothing more follows."""

import asyncio
import contextvars

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netra_sim.runtime import run
from netra_sim.simulation.turns import TURN, TurnsLoop


def acting(delays_of_users):
    """The users in the order of their steps, each of whom acts three times after each of their delays."""
    done = []

    async def act(user, delay):
        await asyncio.sleep(delay)
        for _ in range(3):
            done.append((asyncio.get_running_loop().time(), user))
            await asyncio.sleep(0)

    def start(user, delay):
        context = contextvars.copy_context()
        context.run(TURN.set, user)
        return context.run(asyncio.create_task, act(user, delay))

    async def all_act():
        await asyncio.gather(*(start(user, delay) for user, delays in delays_of_users for delay in delays))

    run(all_act(), loop_factory=TurnsLoop)
    return done


DELAYS = st.lists(st.sampled_from([0.5, 1.0, 1.5]), max_size=3)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.integers(0, 9), DELAYS, max_size=6).map(lambda one: list(one.items())))
def test_users_of_one_instant_take_turns_in_the_order_of_their_numbers(delays_of_users):
    done = acting(delays_of_users)
    assert done == sorted(done)
    assert len(done) == sum(3 * len(delays) for _, delays in delays_of_users)


def test_ten_thousand_users_of_one_instant_all_have_a_turn():
    done = acting([(user, [1.0]) for user in reversed(range(10_000))])
    assert [user for _, user in done] == [user for user in range(10_000) for _ in range(3)]


def test_the_server_has_its_turn_before_the_users():
    done = []

    async def serve():
        loop = asyncio.get_running_loop()
        loop.call_in_turn(2, done.append, "user 2")
        loop.call_in_turn(1, done.append, "user 1")
        await asyncio.sleep(0)
        done.append("server")
        await asyncio.sleep(1)

    run(serve(), loop_factory=TurnsLoop)
    assert done == ["server", "user 1", "user 2"]
