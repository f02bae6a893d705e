"""Which faults of a scenario are active, what they change for a user, and which users, runs or messages each has hit."""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from netra_sim.randomness import key, uniform
from netra_sim.simulation.diagnosis import blaming
from netra_sim.simulation.faults import ClockJump, Fault, Line, LineFault

F = TypeVar("F", bound=Fault)


class Injection(Generic[F]):
    """One fault of a scenario.

    Args:
        fault: the fault.
        seed: determines which users, runs or messages it hits.

    Attributes:
        is_on: whether it has begun and has not ended.
        has_ended: whether it has ended.
        hit: the users, runs or messages that it has hit so far.
        striking: the users that it strikes at present, if it strikes each at times of its own; None if it does not.
    """

    __slots__ = ("__weakref__", "_seed", "fault", "has_ended", "hit", "is_on", "striking")

    def __init__(self, fault: F, seed: int) -> None:
        self.fault = fault
        self.is_on = False
        self.has_ended = False
        self.hit: set[str] = set()
        self.striking: set[str] | None = set() if fault.has_own_times else None
        self._seed = seed

    def is_for(self, name: str) -> bool:
        """Whether it hits the user, run or message of this name; the draw depends on the name and the seed only."""
        fault = self.fault
        return fault.share >= 1.0 or uniform(key(self._seed, "fault", fault.name, fault.at, name)) < fault.share

    def times_of(self, name: str) -> list[tuple[float, float]]:
        """When it strikes a user, and when it lets go, within its duration; only if it has its own times for each."""
        fault = self.fault
        stream, over = key(self._seed, "times", fault.name, fault.at, name), fault.at + fault.lasts
        return [(begins, min(ends, over)) for begins, ends in fault.times_of(stream)]

    def strikes(self, name: str) -> bool:
        """Whether it is on and hits this name now; if so, the name is added to `hit`."""
        if self.is_on and self.is_for(name) and (self.striking is None or name in self.striking):
            self.hit.add(name)
            return True
        return False


class FaultState:
    """The faults of a scenario, on or not.

    No fault sets a value that another one resets: what a user meets is computed from all active faults at that moment. So
    overlapping faults add up, and a condition ends with the last fault that causes it.

    Args:
        faults: the faults of the scenario.
        seed: determines which users, runs or messages they hit.

    Attributes:
        injections: the faults, in the order of the scenario.
    """

    def __init__(self, faults: Sequence[Fault], seed: int) -> None:
        self.injections = tuple(Injection(fault, seed) for fault in faults)
        self._of: dict[type[Fault], list[Injection[Any]]] = {}

    def injections_of(self, fault: Fault) -> list[Injection[Fault]]:
        """The injections of this object, which a scenario may list twice; other faults may be equal to it."""
        return [one for one in self.injections if one.fault is fault]

    def of(self, kind: type[F]) -> Sequence[Injection[F]]:
        """The faults of a kind, on or not."""
        found = self._of.get(kind)
        if found is None:
            found = self._of[kind] = [one for one in self.injections if isinstance(one.fault, kind)]
        return found

    def on(self, kind: type[F], name: str) -> list[F]:
        """The active faults of a kind that hit this name; the name is added to the `Injection.hit` of each."""
        return [one.fault for one in self.of(kind) if one.strikes(name)]

    def on_for_all(self, kind: type[F]) -> list[F]:
        """The active faults of a kind, whatever their share."""
        return [one.fault for one in self.of(kind) if one.is_on]

    def line(self, user_id: str) -> Line:
        """The present state of a user's connections; counts the faults that act on them as hits."""
        line = Line()
        for fault in self.on(LineFault, user_id):
            with blaming(f"fault {fault.name}"):
                fault.affect(line)
        return line

    @property
    def clock_offset(self) -> float:
        """The error of the wall clock, in seconds."""
        return sum(one.fault.seconds for one in self.of(ClockJump) if one.is_on)
