"""Which engines one process compares for shared state, worked out from when the engines of all shards were live."""

import numpy as np

from netra_sim.history import Kind
from netra_sim.recording import ENGINES_AT_AN_OPENING, ENGINES_PER_COMPARISON, opening_after
from netra_sim.simulation.shards.merging import Users
from netra_sim.simulation.shards.shard import Comparisons
from netra_sim.simulation.world import first_to_look_at


def comparisons_of_one_process(users: Users, sample_times: np.ndarray, seed: int) -> tuple[Comparisons, list[int]]:
    """The comparisons that one process makes, and the users whose engines they need, in order.

    Args:
        users: the rows of all users.
        sample_times: the times of the samples, in seconds; a sample comes before what users do at its instant.
        seed: of the simulation.
    """
    history = users.history
    rows = np.flatnonzero(np.isin(history.numbers["kind"], (Kind.SCOPE_OPENED, Kind.SCOPE_CLOSED)))
    sampled_before = np.searchsorted(sample_times, history.numbers["time"][rows], "right")
    is_opening = history.numbers["kind"][rows] == Kind.SCOPE_OPENED
    runs, turns = history.codes["run"][rows], users.turns[rows]
    live: dict[int, int] = {}  # the user of each live engine, by the code of its run, oldest first
    at_opening: dict[str, list[str]] = {}
    at_sample: dict[int, list[str]] = {}
    needed: set[int] = set()
    openings, next_look, samples = 0, 1, 0

    def names(chosen: list[int]) -> list[str]:
        needed.update(live[run] for run in chosen)
        return [history.tables["run"][run] for run in chosen]

    def sample() -> None:
        first = first_to_look_at(seed, samples, len(live))
        at_sample[samples] = names(list(live)[first : first + ENGINES_PER_COMPARISON])

    for run, turn, opens, sampled in zip(
        runs.tolist(), turns.tolist(), is_opening.tolist(), sampled_before.tolist(), strict=True
    ):
        while samples < sampled:
            samples += 1
            sample()
        if not opens:
            live.pop(run, None)
            continue
        live[run] = turn
        openings += 1
        if openings >= next_look:
            next_look = opening_after(openings)
            latest = list(live)[: -ENGINES_AT_AN_OPENING - 1 : -1]
            at_opening[history.tables["run"][run]] = names(latest)
    while samples < len(sample_times):
        samples += 1
        sample()
    return Comparisons(at_opening, at_sample), sorted(needed)
