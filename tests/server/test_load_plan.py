"""The plan of a load run: what is drawn, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim.loading import MOST_USERS, Load
from netra_sim.loading.open_files import room_for_sockets

resource = pytest.importorskip("resource")


@st.composite
def plans(draw):
    step, runs = draw(st.floats(0, 1)), draw(st.integers(1, 8))
    window = draw(st.floats(0, 10)) if runs <= 2 else draw(st.floats(100, 200))
    return Load(
        users=draw(st.integers(1, 30)),
        runs_per_user=runs,
        window=window,
        step=step,
        disconnects=draw(st.integers(0, 100)) / 100,
        seed=draw(st.integers(0, 1000)),
    )


@given(plans())
def test_a_user_has_at_most_two_live_runs_all_due_in_the_window(plan):
    longest = 10 * plan.step
    for user in plan.planned():
        due = [request.due for request in user.requests]
        assert len(due) == plan.runs_per_user
        assert 0 <= min(due) <= max(due) <= plan.window + plan.step
        assert due == sorted(due)
        assert all(later - earlier > longest for earlier, later in zip(due, due[2:], strict=False))
        assert all(later - earlier <= plan.step for earlier, later in zip(due[::2], due[1::2], strict=False))


@given(plans())
def test_a_plan_is_reproducible_and_cuts_off_its_share_of_users(plan):
    planned = plan.planned()
    assert planned == plan.planned()
    cut = [user for user in planned if user.cut_after is not None]
    assert 0 <= len(cut) - plan.users * plan.disconnects + 1e-9 < 1
    assert len({request.run_id for user in planned for request in user.requests}) == plan.users * plan.runs_per_user


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.001, 1), (0.07, 7), (1.0, 100)])
def test_the_share_of_users_who_are_cut_off_is_rounded_up(share, count):
    planned = Load(users=100, disconnects=share).planned()
    assert sum(user.cut_after is not None for user in planned) == count


def test_two_seeds_have_different_plans():
    assert Load(seed=1).planned() != Load(seed=2).planned()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"users": 0}, "at least 1 and at most 2,000"),
        ({"users": MOST_USERS + 1}, "at least 1 and at most 2,000, and is 2,001"),
        ({"runs_per_user": 0}, "at least 1"),
        ({"window": -1.0}, "window must be a number of seconds"),
        ({"window": float("nan")}, "window must be a number of seconds"),
        ({"step": float("inf")}, "step must be a number of seconds"),
        ({"disconnects": 1.1}, "from 0 to 1"),
        ({"disconnects": float("nan")}, "from 0 to 1"),
        ({"runs_per_user": 5, "window": 2.0}, "take a window of at least"),
    ],
)
def test_an_invalid_plan_is_refused(fields, expected):
    with pytest.raises(ValueError, match=expected):
        Load(**fields)


def test_the_limit_of_open_files_is_raised_and_restored():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))
    try:
        with room_for_sockets(400):
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 500
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 300
        with room_for_sockets(100):
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 300
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_machine_that_allows_too_few_open_files_is_refused(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 150))
    with (
        pytest.raises(RuntimeError, match="take 300 open files in each process, and the machine allows 150"),
        room_for_sockets(200),
    ):
        pass
