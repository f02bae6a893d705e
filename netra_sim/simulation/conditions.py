"""What the faults of a scenario make of the world, and whom each of them has hit."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from netra_sim.simulation.diagnosis import blaming
from netra_sim.simulation.faults import ClockJump, Fault, Line, LineFault
from netra_sim.simulation.randomness import key, uniform

F = TypeVar("F", bound=Fault)


class Injection(Generic[F]):
    """One fault of a scenario.

    Args:
        fault: which.
        seed: decides whom it hits.

    Attributes:
        is_on: whether it has begun and has not ended.
        has_ended: whether it has ended.
        hit: the users, runs or messages that it has hit so far.
    """

    __slots__ = ("__weakref__", "_seed", "fault", "has_ended", "hit", "is_on")

    def __init__(self, fault: F, seed: int) -> None:
        self.fault = fault
        self.is_on = False
        self.has_ended = False
        self.hit: set[str] = set()
        self._seed = seed

    def is_for(self, name: str) -> bool:
        """Whether it hits the user, run or message of this name; drawn by name, independent of everything else."""
        fault = self.fault
        return fault.share >= 1.0 or uniform(key(self._seed, "fault", fault.name, fault.at, name)) < fault.share

    def strikes(self, name: str) -> bool:
        """Whether it is on and hits this name, which then counts as hit."""
        if self.is_on and self.is_for(name):
            self.hit.add(name)
            return True
        return False


class Conditions:
    """What everybody meets who asks, connects or works now.

    Nothing is set by one fault and reset by another: a condition is computed from all faults that are on, whenever somebody
    meets it. So faults add up however they overlap, and a condition ends with the last of its causes.

    Args:
        faults: of the scenario.
        seed: decides whom they hit.

    Attributes:
        injections: the faults, in the scenario's order.
    """

    def __init__(self, faults: Sequence[Fault], seed: int) -> None:
        self.injections = [Injection(fault, seed) for fault in faults]

    def injections_of(self, fault: Fault) -> list[Injection[Fault]]:
        """The injections of this very fault, which a scenario may name more than once; others may equal it."""
        return [one for one in self.injections if one.fault is fault]

    def of(self, kind: type[F]) -> list[Injection[F]]:
        """The faults of a kind, on or not."""
        return [one for one in self.injections if isinstance(one.fault, kind)]  # type: ignore[misc]

    def on(self, kind: type[F], name: str) -> list[F]:
        """The faults of a kind that are on and hit this name, which then counts as hit by each of them."""
        return [one.fault for one in self.of(kind) if one.strikes(name)]

    def on_for_all(self, kind: type[F]) -> list[F]:
        """The faults of a kind that are on, whomever they hit."""
        return [one.fault for one in self.of(kind) if one.is_on]

    def line(self, user_id: str) -> Line:
        """What a user's connections are like, now that one of them is there or is being made."""
        line = Line()
        for fault in self.on(LineFault, user_id):
            with blaming(f"fault {fault.name}"):
                fault.affect(line)
        return line

    @property
    def clock_offset(self) -> float:
        """Seconds by which the wall clock is wrong."""
        return sum(fault.seconds for fault in self.on_for_all(ClockJump))
