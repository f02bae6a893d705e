"""The plan of a load run: what its clients do, drawn from the seed before the load run starts."""

import math
import random
from collections.abc import Iterator

import msgspec

from netra_sim.factory import UserExecutionContext, run_id_of

MOST_USERS = 2_000
"""The maximum number of clients of one load run, which one process can serve on an ordinary machine."""

_STEPS = 10
"""Consecutive steps of a run: the default pipeline has five stages of agents that each think and use a tool."""

_ROOM = 2.0
_PAUSE = 0.5
"""A pair of runs gets `_ROOM` times its longest duration plus `_PAUSE` seconds before the next pair begins."""

_CUT_AT = (1, 12)
"""The bounds of the event number, of the 20 events of the user's first run, after which a connection is cut."""


class PlannedRequest(msgspec.Struct, frozen=True):
    """One request.

    Attributes:
        user_id: the user who sends it.
        request_id: the user's id of the request.
        thread_id: the conversation; the two requests of a pair have different ones.
        due: seconds from the beginning of the window.
    """

    user_id: str
    request_id: str
    thread_id: str
    due: float

    @property
    def run_id(self) -> str:
        """The id of the run that the request starts."""
        return run_id_of(self.user_id, self.request_id)


class PlannedUser(msgspec.Struct, frozen=True):
    """One client.

    Attributes:
        user_id: the user.
        requests: the requests, in the order of their due times.
        cut_after: the number of events of the first run after which the connection is cut once; None for never.
    """

    user_id: str
    requests: tuple[PlannedRequest, ...]
    cut_after: int | None


class Load(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the clients of a load run do.

    A user sends requests in pairs: the second request of a pair is due within one ``step`` of the first, in another thread,
    so both runs are live at the same time. Each pair has a slot of the window and, on a machine that keeps up, ends within
    it. So a user never has more than two live runs, which is the default limit of the factory. Requests are due whether or
    not earlier ones have been answered, so a machine that does not keep up shows as latency and refusals.

    Attributes:
        users: the number of users, each with one connection; at most `MOST_USERS`.
        runs_per_user: requests of each user.
        window: seconds over which the requests are due.
        step: the longest duration of an agent's step, in seconds; each is drawn uniformly, from 0 up to this.
        disconnects: the share of users with a connection that is cut once, without a closing handshake, during their first
            run. The client then reconnects and resumes.
        seed: determines the plan; the timing of a load run also depends on the machine.

    Raises:
        ValueError: a number is out of range, or the window is too short for the runs of a user.
    """

    users: int = 50
    runs_per_user: int = 1
    window: float = 2.0
    step: float = 0.04
    disconnects: float = 0.1
    seed: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.users <= MOST_USERS:
            raise ValueError(f"users must be at least 1 and at most {MOST_USERS:,}, and is {self.users:,}")
        if self.runs_per_user < 1:
            raise ValueError(f"runs_per_user must be at least 1, and is {self.runs_per_user}")
        for name in ("window", "step"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be a number of seconds, at least 0, and is {getattr(self, name):g}")
        if not 0 <= self.disconnects <= 1:
            raise ValueError(f"disconnects must be a share, from 0 to 1, and is {self.disconnects:g}")
        if self._pairs > 1 and self.window < (needed := self._pairs * self._slot_needed):
            raise ValueError(
                f"{self.runs_per_user} runs of one user take a window of at least {needed:g} s, and it has {self.window:g} "
                "s: more would be under way at once than the factory allows; lengthen the window, or take fewer runs"
            )

    def planned(self) -> tuple[PlannedUser, ...]:
        """The requests of every user."""
        count = math.ceil(round(self.users * self.disconnects, 6))  # 7 % of 100 are 7, not 7.000000000000001.
        cut = set(random.Random(f"{self.seed}/cut").sample(range(self.users), count))
        return tuple(self._user(number, is_cut=number in cut) for number in range(self.users))

    @property
    def _pairs(self) -> int:
        return math.ceil(self.runs_per_user / 2)

    @property
    def _slot_needed(self) -> float:
        return _ROOM * (_STEPS + 1) * self.step + _PAUSE

    def _user(self, number: int, *, is_cut: bool) -> PlannedUser:
        # Not padded: the name of one user may be the prefix of another, as among real users.
        user_id = f"user-{number}"
        draw = random.Random(f"{self.seed}/{user_id}")
        requests = tuple(
            PlannedRequest(user_id, str(index), f"{user_id}-thread-{index % 2}", due)
            for index, due in enumerate(self._due_times(draw))
        )
        return PlannedUser(user_id, requests, draw.randint(*_CUT_AT) if is_cut else None)

    def _due_times(self, draw: random.Random) -> Iterator[float]:
        slot = self.window / self._pairs
        spread = slot if self._pairs == 1 else slot - self._slot_needed
        for pair in range(self._pairs):
            first = pair * slot + draw.uniform(0, spread)
            yield from (first, first + draw.uniform(0, self.step))[: self.runs_per_user - 2 * pair]


class UniformTiming(msgspec.Struct, frozen=True):
    """The durations of the agents' steps, each drawn uniformly by the names of its run and step.

    Attributes:
        longest: the longest duration, in seconds.
        seed: determines the draws.
    """

    longest: float
    seed: int

    def seconds(self, context: UserExecutionContext, step: str) -> float:
        """See `netra_sim.factory.Timing`."""
        return random.Random(f"{self.seed}/{context.run_id}/{step}").uniform(0, self.longest)
