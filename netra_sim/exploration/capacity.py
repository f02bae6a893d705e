"""`find_capacity`: how many users a scenario can have until a figure exceeds its bound, and what gives out then."""

from collections.abc import Callable, Sequence
from contextlib import closing
from math import comb

import msgspec
import numpy as np

from netra_sim.checks import ResourceUse, SteadyState, resource_use, which_saturates
from netra_sim.exploration.bounds import Bound, BoundError, Figure
from netra_sim.exploration.pool import in_order
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.simulation import Closed, Cpu, Poisson, Replay, Resources, Scenario, simulate

LEAST_SEEDS = 5
"""The fewest seeds that can say something with `CONFIDENCE`."""

CONFIDENCE = 0.95
"""The confidence with which most runs keep the bound."""

MOST_USERS = 1_000_000


class Point(msgspec.Struct, frozen=True):
    """One number of users that was tried.

    Attributes:
        users: the number.
        figures: one of each seed.
        uses: how each resource was used, on average over the seeds.
        holds: whether enough seeds keep the bound.
        kept: how many seeds keep the bound.
    """

    users: int
    figures: tuple[Figure, ...]
    uses: tuple[ResourceUse, ...]
    kept: int
    holds: bool


class Capacity(msgspec.Struct, frozen=True):
    """The outcome of `find_capacity`.

    Attributes:
        scenario: the scenario.
        bound: the bound.
        seeds: how many seeds each number of users was tried with.
        points: the numbers of users that were tried, ascending.
    """

    scenario: Scenario
    bound: Bound
    seeds: int
    points: tuple[Point, ...]

    @property
    def last_that_holds(self) -> Point | None:
        """The capacity: the largest number of users below every one that fails; None if the smallest one fails."""
        return next((point for point in reversed(self.points) if point.holds), None)

    @property
    def first_that_fails(self) -> Point | None:
        """The smallest number of users that fails; None if all hold."""
        return next((point for point in self.points if not point.holds), None)

    @property
    def gave_out(self) -> str:
        """Which resource gave out where the bound first fails, in a sentence; at the most users, if it never does."""
        point = self.first_that_fails or self.points[-1]
        return f"with {point.users:,} users {which_saturates(point.uses)}"


def find_capacity(
    scenario: Scenario,
    bound: Bound,
    *,
    seeds: int = LEAST_SEEDS,
    lowest: int = 1,
    highest: int = MOST_USERS,
    precision: float = 0.02,
    jobs: int | None = None,
    factory_class: type[ExecutionEngineFactory] = ExecutionEngineFactory,
    on_trial: Callable[[], None] = lambda: None,
    on_users: Callable[[int], None] = lambda _: None,
) -> Capacity:
    """Double the users until the bound fails, then bisect between the last number that holds and the first that fails.

    A number of users holds if so many seeds keep the bound that most runs do, with `CONFIDENCE`: see `seeds_needed`. All
    numbers are tried with the same seeds, so that two of them differ by their users only. The search takes for granted that
    more users never help.

    If requests are independent of each other, warm-up and drain are left out: see `netra_sim.checks.steady_state`. A burst
    and a ramp have no steady state, and all of them counts.

    Args:
        scenario: the scenario; its own number of users does not count.
        bound: the bound.
        seeds: seeds 1 to so many for each number of users.
        lowest: the smallest number of users to try.
        highest: the largest number of users to try.
        precision: the search ends when both numbers differ by this share, or by one user.
        jobs: processes; all cores by default.
        factory_class: makes the engines.
        on_trial: called after every simulation.
        on_users: called with each number of users before it is tried.

    Raises:
        BoundError: the scenario does not limit the resource of the bound, or its requests do not depend on its users.
        ValueError: there are fewer than `LEAST_SEEDS` seeds, or ``lowest`` exceeds ``highest``.
    """
    if seeds < LEAST_SEEDS or not 1 <= lowest <= highest:
        raise ValueError(f"capacity takes at least {LEAST_SEEDS} seeds, and from 1 user on, ascending")
    scenario = _measurable(scenario, bound)
    points: dict[int, Point] = {}

    def holds(users: int) -> bool:
        on_users(users)
        tried = msgspec.structs.replace(scenario, users=users)
        calls = [(tried, seed, bound, factory_class) for seed in range(1, seeds + 1)]
        outcomes = []
        with closing(in_order(_trial, calls, jobs)) as trials:
            for outcome in trials:
                outcomes.append(outcome)
                on_trial()
        points[users] = _point(users, bound, outcomes)
        return points[users].holds

    good, bad = 0, lowest
    while holds(bad):
        good = bad
        if bad == highest:
            return _capacity(scenario, bound, seeds, points)
        bad = min(2 * bad, highest)
    while good and bad - good > max(1, int(good * precision)):
        middle = (good + bad) // 2
        good, bad = (middle, bad) if holds(middle) else (good, middle)
    return _capacity(scenario, bound, seeds, points)


def seeds_needed(seeds: int) -> int:
    """How many of so many seeds must keep a bound to show, with `CONFIDENCE`, that more than half of all seeds do.

    This is the exact one-sided binomial test (a sign test): if only half of all seeds kept the bound, so many of these would
    with a probability below 1 - `CONFIDENCE`. Examples: 5 of 5, 7 of 8, 15 of 20.
    """
    ways = 0
    for kept in range(seeds, -1, -1):
        ways += comb(seeds, kept)
        if ways >= (1 - CONFIDENCE) * 2**seeds:
            return kept + 1
    return seeds + 1


def requests_per_second(scenario: Scenario, users: int) -> float | None:
    """How many requests so many users make in a second; None if that depends on the answers, or is not constant."""
    workload = scenario.workload
    is_constant = isinstance(workload.arrivals, Poisson)
    return users * workload.runs_per_user / workload.window if is_constant else None


def has_steady_state(scenario: Scenario) -> bool:
    """Whether requests come at the same rate all the time."""
    return isinstance(scenario.workload.arrivals, Poisson | Closed)


def with_cpu(scenario: Scenario) -> Scenario:
    """The scenario with the CPU as a resource, if steps take time: one process, unless the scenario names more."""
    resources = Resources() if scenario.resources is msgspec.UNSET else scenario.resources
    if not scenario.platform.step_cost or resources.cpu is not msgspec.UNSET:
        return scenario
    return msgspec.structs.replace(scenario, resources=msgspec.structs.replace(resources, cpu=Cpu(slots=1)))


def _measurable(scenario: Scenario, bound: Bound) -> Scenario:
    if isinstance(scenario.workload.arrivals, Replay):
        raise BoundError("recorded times do not depend on the number of users: give the scenario other arrivals")
    resource = bound.measure.removesuffix(" wait")
    resources = None if scenario.resources is msgspec.UNSET else scenario.resources
    if resource != bound.measure and getattr(resources, resource, msgspec.UNSET) is msgspec.UNSET:
        raise BoundError(
            f"nobody waits for {resource}, which the scenario does not limit: set resources.{resource}.slots"
        )
    return with_cpu(scenario)


def _trial(
    scenario: Scenario, seed: int, bound: Bound, factory_class: type[ExecutionEngineFactory]
) -> tuple[Figure, list[ResourceUse]]:
    history = simulate(scenario, seed, factory_class=factory_class)
    figure = bound.figure(history, is_steady=has_steady_state(scenario))
    return figure, resource_use(history, figure.part)


def _point(users: int, bound: Bound, outcomes: Sequence[tuple[Figure, list[ResourceUse]]]) -> Point:
    figures = tuple(figure for figure, _ in outcomes)
    uses = tuple(map(_on_average, zip(*(uses for _, uses in outcomes), strict=True)))
    kept = sum(figure.seconds <= bound.seconds for figure in figures)
    return Point(users, figures, uses, kept, kept >= seeds_needed(len(figures)))


def _on_average(uses: Sequence[ResourceUse]) -> ResourceUse:
    names = ("utilisation", "queue", "queue_began", "queue_ended", "wait_p95")
    means = {name: float(np.mean([getattr(use, name) for use in uses])) for name in names}
    return msgspec.structs.replace(uses[0], refused=round(np.mean([use.refused for use in uses])), **means)


def _capacity(scenario: Scenario, bound: Bound, seeds: int, points: dict[int, Point]) -> Capacity:
    return Capacity(scenario, bound, seeds, tuple(points[users] for users in sorted(points)))


def left_out(capacity: Capacity) -> str:
    """Which seconds the figures leave out, and why, in lines."""
    if not has_steady_state(capacity.scenario):
        kind = capacity.scenario.workload.arrivals.__struct_config__.tag
        return f"nothing is left out: a {kind} has no steady state"
    parts: list[SteadyState] = [
        figure.part for point in capacity.points for figure in point.figures if figure.part is not None
    ]
    few = [point.users for point in capacity.points if any(figure.part is None for figure in point.figures)]
    lines = []
    if parts:
        begins, ends = [part.begins for part in parts], [part.ends for part in parts]
        lines = [
            "left out: warm-up, as long as the longest response, at most half of the time in which requests are due: "
            f"it ends after {min(begins):.1f} to {max(begins):.1f} s",
            f"left out: drain, after the last request is due: it begins after {min(ends):.1f} to {max(ends):.1f} s",
        ]
    if few:
        lines.append(f"too few values to leave any out: with {', '.join(f'{users:,}' for users in few)} users")
    return "\n".join(lines)
