"""What the clients of a load run do. All of it is drawn from the seed before anything starts."""

import math
import random
from collections.abc import Iterator

import msgspec

from netra_sim.factory import UserExecutionContext, run_id_of

MOST_USERS = 2_000
"""The most clients of one load run: one process can serve them on an ordinary machine."""

_STEPS = 10
"""Steps of a run, one after the other: the default pipeline has five stages of agents that think and use a tool."""

_ROOM = 2.0
_PAUSE = 0.5
"""A pair of runs gets `_ROOM` times its longest duration and so many seconds, before the next pair may begin."""

_CUT_AT = (1, 12)
"""A connection is cut when this many of the 20 events of its user's first run have arrived: the run is under way."""


class PlannedRequest(msgspec.Struct, frozen=True):
    """One request.

    Attributes:
        user_id: asks.
        request_id: the user's name for the request.
        thread_id: the conversation. The two requests of a pair are in two.
        due: seconds from the beginning of the window.
    """

    user_id: str
    request_id: str
    thread_id: str
    due: float

    @property
    def run_id(self) -> str:
        """The run that the request makes."""
        return run_id_of(self.user_id, self.request_id)


class PlannedUser(msgspec.Struct, frozen=True):
    """One client.

    Attributes:
        user_id: the user.
        requests: in the order in which they are due.
        cut_after: the connection is cut once, when so many events of the first run have arrived; None for never.
    """

    user_id: str
    requests: tuple[PlannedRequest, ...]
    cut_after: int | None


class Load(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the clients of a load run do.

    A user asks in pairs: the second request of a pair is due within one ``step`` of the first, in another thread, so that
    both runs are under way at once. Each pair has its own slot of the window and, on a machine that keeps up, ends within
    it: a user never has more than two runs at once, as many as the factory's default limits allow. Requests are due
    whether or not earlier ones have been answered, so a machine that does not keep up shows as latency and refusals.

    Attributes:
        users: how many, each with one connection; at most `MOST_USERS`.
        runs_per_user: requests of each user.
        window: seconds over which the requests are due.
        step: longest time of an agent's step, in seconds; each is drawn uniformly from 0 on.
        disconnects: share of users whose connection is cut once, without a closing handshake, while their first run is
            under way. The client then reconnects and resumes.
        seed: of the draws. What it fixes is the plan: a real run's timing is the machine's.

    Raises:
        ValueError: a number is out of its range, or the window is too short for a user's runs.
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
        """All that the clients do."""
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
        # Not padded to one width: one user's name is the beginning of another's, as among real users.
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
    """How long the agents' steps take: each drawn uniformly, by its run's and its own name.

    Attributes:
        longest: the longest step, in seconds.
        seed: of the draws.
    """

    longest: float
    seed: int

    def seconds(self, context: UserExecutionContext, step: str) -> float:
        """See `netra_sim.factory.Timing`."""
        return random.Random(f"{self.seed}/{context.run_id}/{step}").uniform(0, self.longest)
