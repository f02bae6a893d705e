"""A machine whose clocks are virtual and whose entropy comes from a seed, for `[system] seeded = true`."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from netra_sim.simulation.hosts.clocks import virtual_clocks
from netra_sim.simulation.hosts.entropy import seeded_entropy
from netra_sim.simulation.hosts.worker_threads import WorkerThreadLoop


@contextmanager
def seeded_machine(loop: WorkerThreadLoop, seed: int, offset_of: Callable[[], float] = float) -> Generator[None]:
    """Make clocks, sleeps and entropy virtual for the code that a loop runs; see `virtual_clocks` and `seeded_entropy`.

    Args:
        loop: the loop.
        seed: determines all draws.
        offset_of: the seconds by which the wall clock of the running host is ahead.
    """
    with virtual_clocks(loop, offset_of), seeded_entropy(seed):
        yield
