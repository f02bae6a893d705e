"""When each user's requests are due."""

from collections.abc import Iterator

from netra_sim.randomness import key, uniform
from netra_sim.simulation.scenario import Burst, Closed, Poisson, Ramp, Replay, Workload


def due_times(workload: Workload, seed: int, user: int, users: int) -> Iterator[float]:
    """The times, in seconds and in order, at which an open-loop user's requests are due.

    They do not depend on how fast the system answers, so a latency that counts from them includes all waiting (no
    coordinated omission). A closed-loop user has no due times.
    """
    arrivals = workload.arrivals
    if isinstance(arrivals, Replay):
        return iter(sorted(arrivals.times[user::users]))
    stream = key(seed, "arrival", user)
    draws = (uniform(stream, number) for number in range(workload.runs_per_user))
    match arrivals:
        case Poisson():
            times = (draw * workload.window for draw in draws)
        case Burst(at, width):
            times = (at + draw * width for draw in draws)
        case Ramp():
            times = (draw**0.5 * workload.window for draw in draws)
        case Closed():
            times = (0.0 for _ in ())
    return iter(sorted(round(time, 6) for time in times))
