"""What the code under test takes from outside the simulation, so that a seed may not repeat it."""

from collections.abc import Iterable, Sequence

import msgspec

from netra_sim.factory import ExecutionEngineFactory
from netra_sim.simulation import Scenario, simulate
from netra_sim.simulation.escapes import Escape, watching_escapes

USERS_WATCHED = 3
MOST_TOLD = 10


def escapes_of(
    scenario: Scenario, seed: int, factory_class: type[ExecutionEngineFactory] = ExecutionEngineFactory
) -> tuple[Escape, ...]:
    """What the engines of a factory take from outside in one simulation with few users; see `watching_escapes`.

    Args:
        scenario: simulated with its first users only.
        seed: of the simulation.
        factory_class: makes the engines.
    """
    users = tuple(scenario.present_users)[:USERS_WATCHED]
    few = {"users": len(users)} if len(scenario.present_users) == scenario.users else {"only_users": users}
    with watching_escapes(clocks=True) as watch:
        simulate(msgspec.structs.replace(scenario, **few), seed, factory_class=factory_class)
    return watch.escapes


def has_own_agents(scenario: Scenario, factory_class: type[ExecutionEngineFactory] = ExecutionEngineFactory) -> bool:
    """Whether agents other than those of this package run, named by the scenario or given as a class."""
    return scenario.factory is not msgspec.UNSET or factory_class is not ExecutionEngineFactory


def merged(*found: Iterable[Escape]) -> tuple[Escape, ...]:
    """The escapes of several runs, each place once, with the number of the first run that has it."""
    places: dict[tuple[str, str, str], Escape] = {}
    for escapes in found:
        for escape in escapes:
            places.setdefault((escape.where, escape.what, escape.how), escape)
    return tuple(sorted(places.values()))


def told(escapes: Sequence[Escape]) -> str:
    """The escapes in lines; "" if there are none."""
    if not escapes:
        return ""
    more = [f"and {len(escapes) - MOST_TOLD} more places"] if len(escapes) > MOST_TOLD else []
    lines = [*map(str, escapes[:MOST_TOLD]), *more]
    return "\n  ".join(("taken from outside the simulation, which no seed repeats:", *lines))
