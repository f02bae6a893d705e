"""Latencies are judged over connections, less those of the lines, with a control, and only with enough values."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from story import EVENTS, Story, result_of

from netra_sim import Scenario, check, simulate
from netra_sim.checks.statistics import is_beyond_chance, nearest_rank
from netra_sim.defects.planted.histories import users
from netra_sim.history import CONTROL_LATENCY, EventObjectives, History
from netra_sim.simulation import ScenarioError


def latency_of(story, **objectives):
    return result_of(story.end(), "latency", **objectives)


def one_slow(among, delay=0.4):
    story = Story().run(delay=delay)
    for number in range(among - 1):
        story.run(f"user-{number}", f"user-{number}.1")
    return story


@given(st.lists(st.floats(0, 10), min_size=1, max_size=400), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_quantiles_are_by_nearest_rank(values, share):
    assert nearest_rank(np.array(values), share) == np.quantile(values, share, method="inverted_cdf")


def test_the_number_of_late_values_beyond_chance():
    assert [is_beyond_chance(late, 1) for late in (0, 1)] == [False, False]
    assert [is_beyond_chance(late, 2) for late in (0, 1, 2)] == [False, False, True]
    assert [is_beyond_chance(late, 5) for late in (1, 2)] == [False, True]
    assert [is_beyond_chance(late, 100) for late in (5, 9, 10)] == [False, False, True]


@given(st.integers(1, 60), st.data())
def test_the_chance_agrees_with_the_binomial_distribution(of, data):
    late = data.draw(st.integers(0, of))
    exact = sum(math.comb(of, k) * 0.05**k * 0.95 ** (of - k) for k in range(late, of + 1))
    if abs(exact - 0.05) > 1e-9:
        assert is_beyond_chance(late, of) == (exact < 0.05)


@pytest.mark.parametrize("of", [10_000, 10_000_000])
def test_with_many_values_the_share_decides(of):
    assert is_beyond_chance(of, of)
    assert is_beyond_chance(of * 7 // 100, of)
    assert not is_beyond_chance(of // 20, of)
    assert not is_beyond_chance(of // 20 + 1, of)


@pytest.mark.parametrize("among", [1, 2, 5, 15])
def test_one_slow_line_among_few_is_no_finding_and_no_proof(among):
    result = latency_of(one_slow(among))
    assert result.state == "inconclusive"
    assert "chance, or one slow line, explains as much" in result.inconclusive
    assert f"on 1 of {among} connections" in result.inconclusive


def test_one_slow_line_among_many_changes_nothing():
    assert latency_of(one_slow(30)).state == "passed"


@pytest.mark.parametrize("count", [2, 5, 20])
def test_a_server_that_is_late_for_everyone_is_found_among_few(count):
    result = latency_of(users(count, delay=0.2))
    assert result.state == "failed"
    mean, *slowest = (finding.message for finding in result.findings)
    expected = "delivery of events: mean is 200.0 ms, 100.0 ms over the objective of 100.0 ms"
    assert mean.startswith(f"{expected}; {5 * count} of {5 * count} took longer")
    assert slowest[0].endswith(" took 200.0 ms")


def test_chance_explains_six_late_events_of_a_hundred_even_on_six_connections():
    story = Story()
    for number in range(20):
        story.run(f"user-{number}", f"user-{number}.1", EVENTS[:1], delay=0.3 if number < 6 else 0.01)
        story.run(f"user-{number}", f"user-{number}.2", EVENTS[:4])
    result = latency_of(story, first_event_p95=9.0)
    assert result.findings == ()
    assert "6 of 100 took longer, and too many of them on 6 of 20 connections: chance" in result.inconclusive


def test_the_latency_of_the_line_is_subtracted():
    story = Story()
    for number in range(20):
        story.recorder.attached(f"user-{number}/0", f"user-{number}", "tab", 0.35)
        story.run(f"user-{number}", f"user-{number}.1", delay=0.4)
    result = latency_of(story)
    assert result.state == "passed"
    assert result.measured["delivery of events, p95"].value == pytest.approx(0.05)
    assert result.measured["first event of a request, p95"].value == pytest.approx(0.2)


def test_too_few_values_or_connections_prove_nothing():
    result = latency_of(users(3))
    assert result.state == "inconclusive"
    assert "delivery of events: p95 needs 20 values on 5 connections, and has 15 on 3" in result.inconclusive
    assert result.minimum == "20 values on 5 connections for each objective, 100 for a p99"


def test_without_connection_names_each_user_counts_as_one():
    story = Story()
    for number in range(20):
        user = f"user-{number}"
        story.recorder.requested(f"{user}.1", user, story.now)
        for seq, event in enumerate(EVENTS):
            story.recorder.published(f"{user}.1", user, event, seq)
            story.now += 0.2
            story.recorder.received("", user, f"{user}.1", event, seq, subject=user, timestamp=story.now)
    assert "on 20 of 20 connections" in latency_of(story).findings[0].message


@pytest.mark.parametrize(("delay", "state"), [(0.05, "passed"), (0.4, "inconclusive"), (2.0, "failed")])
def test_on_a_busy_machine_the_latency_of_a_bare_echo_is_added_to_the_objective(delay, state):
    story = users(20, delay=delay)
    for _ in range(20):
        story.recorder.sample(CONTROL_LATENCY, 0.5)
    result = latency_of(story)
    assert result.state == state
    expected = (
        "the machine was busy: a bare echo took p95 500.0 ms at the same time (delivery of events: mean is 400.0 ms"
    )
    assert result.inconclusive.startswith(expected) is (state == "inconclusive")


def test_a_fast_echo_excuses_nothing():
    story = users(20, delay=0.12)
    for _ in range(20):
        story.recorder.sample(CONTROL_LATENCY, 0.04)
    assert latency_of(story).state == "failed"


def test_a_busy_machine_is_the_first_reason_only_if_it_is_the_only_one():
    story = users(10, delay=0.4)
    for _ in range(20):
        story.recorder.sample(CONTROL_LATENCY, 0.5)
    reason = latency_of(story).inconclusive
    assert not reason.startswith("the machine was busy")
    assert "the machine was busy" in reason


@pytest.mark.parametrize("over", [1e-9, 9e-7])
def test_a_figure_equal_to_its_objective_meets_it(over):
    assert latency_of(users(20, delay=0.1 + over)).findings == ()


@pytest.mark.parametrize(("over", "expected"), [(1e-5, "100.010 ms, 0.010 ms over"), (0.05, "150.0 ms, 50.0 ms over")])
def test_a_small_excess_is_shown_with_enough_digits(over, expected):
    assert expected in latency_of(users(20, delay=0.1 + over)).findings[0].message


def test_requests_without_a_final_event_are_counted():
    story = users(20)
    story.run("late", "late.1", EVENTS[:3])
    measured = latency_of(story).measured
    assert measured["requests without an end"].value == 1
    assert measured["last event of a request, p95"].value < 3.0


def test_latencies_from_clocks_that_disagree_are_inconclusive():
    result = latency_of(users(20, delay=-0.4))
    assert result.state == "inconclusive"
    assert result.inconclusive.startswith("100 events were received before what caused them")


@pytest.mark.parametrize("count", [2, 5, 20])
@pytest.mark.parametrize("seed", range(5))
def test_the_clean_runtime_passes_with_any_lines(count, seed):
    history = simulate(Scenario(users=count).with_settings({"network.latency.median": 0.2}), seed)
    assert {result.check for result in check(history) if result.state == "failed"} == set()


def test_a_slow_server_with_five_users_is_found():
    scenario = Scenario(users=5).with_settings({"network.jitter": {"kind": "uniform", "low": 0.2, "high": 0.3}})
    assert result_of(simulate(scenario, 1), "latency").state == "failed"


# Other figures than the p95, and the events of one type.


def with_late(count, *, late, delay=1.0, connections=20):
    """So many events, on several connections in turn, of which some are late."""
    story = Story()
    for number in range(count):
        user = f"user-{number % connections}"
        story.run(user, f"{user}.{number}", EVENTS[:1], delay=delay if number < late else 0.01)
    return story


LENIENT = {"delivery_mean": 9.0, "delivery_p95": 9.0, "first_event_p95": 9.0}


@pytest.mark.parametrize(
    ("figure", "late", "state"),
    [
        ("p50", 100, "passed"), ("p50", 105, "inconclusive"), ("p50", 130, "failed"),
        ("p99", 2, "passed"), ("p99", 3, "inconclusive"), ("p99", 8, "failed"),
        ("max", 0, "passed"), ("max", 1, "failed"),
    ],
)  # fmt: skip
def test_each_figure_is_missed_only_beyond_chance_and_the_longest_by_one_event(figure, late, state):
    result = latency_of(with_late(200, late=late), **LENIENT, **{f"delivery_{figure}": 0.1})
    assert result.state == state
    measured = result.measured[f"delivery of events, {figure}"]
    assert measured.bound == 0.1
    assert (measured.value > 0.1) == (state != "passed")
    if state == "failed":
        assert f"delivery of events: {figure} is 1000.0 ms, 900.0 ms over" in result.findings[0].message


def test_a_p99_needs_a_hundred_values():
    few, enough = (latency_of(with_late(count, late=0), **LENIENT, delivery_p99=0.1) for count in (99, 100))
    assert "delivery of events: p99 needs 100 values on 5 connections, and has 99 on 20" in few.inconclusive
    assert enough.state == "passed"


def test_one_slow_line_explains_a_p50_that_is_too_high():
    story = Story()
    for number in range(30):
        story.run("user-0", f"user-0.{number}", EVENTS[:1], delay=1.0)
    for number in range(1, 20):
        story.run(f"user-{number}", f"user-{number}.1", EVENTS[:1], delay=0.01)
    result = latency_of(story, **LENIENT, delivery_p50=0.1)
    assert result.state == "inconclusive"
    assert "too many of them on 1 of 20 connections: chance, or one slow line" in result.inconclusive


def test_a_p50_is_missed_only_if_more_than_half_of_the_connections_are_slow():
    def state(slow):
        story = Story()
        for number in range(20):
            for run in range(30 if number < slow else 10):  # of the others, 3 of 10 events are late
                late = number < slow or run < 3
                story.run(f"user-{number}", f"user-{number}.{run}", EVENTS[:1], delay=1.0 if late else 0.01)
        return latency_of(story, **LENIENT, delivery_p50=0.1).state

    assert [state(slow) for slow in (8, 18)] == ["inconclusive", "failed"]


@pytest.mark.parametrize("measure", ["first_event", "response"])
@pytest.mark.parametrize("figure", ["p50", "p95", "max"])
def test_requests_have_the_same_figures(measure, figure):
    story = users(20, delay=0.05)
    tight, loose = (latency_of(story, **{f"{measure}_{figure}": bound}) for bound in (0.01, 60.0))
    name = f"{'last' if measure == 'response' else 'first'} event of a request, {figure}"
    assert (tight.state, loose.state) == ("failed", "passed")
    assert (tight.measured[name].bound, loose.measured[name].bound) == (0.01, 60.0)


def test_an_objective_for_one_type_judges_the_events_of_that_type_only():
    events = {"tool_completed": EventObjectives(delivery_p95=0.1), "agent_started": EventObjectives(delivery_max=0.1)}
    story = Story()
    for number in range(20):
        user = f"user-{number}"
        story.run(user, f"{user}.1", EVENTS[:3])
        story.run(user, f"{user}.2", EVENTS, delay=0.3)
    assert latency_of(story, **LENIENT).state == "passed"
    result = latency_of(story, **LENIENT, events=events)
    missed = [finding.message.partition(" is ")[0] for finding in result.findings if " is " in finding.message]
    assert missed == ["delivery of tool_completed: p95", "delivery of agent_started: max"]
    assert all(finding.event in ("", "tool_completed", "agent_started") for finding in result.findings)


def test_an_objective_for_a_type_without_an_event_is_not_judged_and_names_a_near_one():
    result = latency_of(users(20), events={"tool_complete": EventObjectives(delivery_p95=0.1)})
    assert result.state == "inconclusive"
    assert "no event of type tool_complete was delivered" in result.inconclusive
    assert "did you mean tool_completed?" in result.inconclusive


def test_a_pause_has_quantiles_and_a_longest_one():
    story = users(20)
    passed, failed = (result_of(story.end(), "silence", silence_p95=bound) for bound in (5.0, 0.1))
    assert (passed.state, failed.state) == ("passed", "failed")
    assert failed.findings[0].message.startswith("pauses: p95 is ")
    assert (failed.measured["pauses, p95"].bound, failed.measured["longest pause"].bound) == (0.1, 90.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objectives.delivry_p95": 1.0}, "objectives: there is no field delivry_p95; did you mean delivery_p95"),
        ({"objectives.response_p99": 0}, "objectives.response_p99: .*; it had 0"),
        (
            {"objectives.events": {"agent_started": {}, "tool_completed": {"delivry_p95": 0.2}}},
            "objectives.events.tool_completed: there is no field delivry_p95; did you mean delivery_p95",
        ),
        ({"objectives.events.tool_completed.delivery_p95": "fast"}, "tool_completed.delivery_p95: .*; it had 'fast'"),
    ],
)
def test_a_wrong_objective_is_refused_with_a_near_name(settings, message):
    with pytest.raises(ScenarioError, match=message):
        Scenario().with_settings(settings)


def test_the_objective_of_a_type_can_be_set_by_its_path(tmp_path):
    chosen = Scenario().with_settings({"objectives.events.tool_completed.delivery_p95": 0.2}).objectives
    assert chosen.events == {"tool_completed": EventObjectives(delivery_p95=0.2)}
    assert (
        History.load(simulate(Scenario(users=2, objectives=chosen)).save(tmp_path / "h.parquet")).objectives() == chosen
    )
