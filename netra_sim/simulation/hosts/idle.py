"""A proxy on the way that forgets connections over which nothing goes."""

from typing import TYPE_CHECKING

from netra_sim.simulation.hosts.endpoint import Endpoint
from netra_sim.simulation.hosts.kernel_timer import KernelTimer
from netra_sim.simulation.hosts.links import LineConditions

if TYPE_CHECKING:
    from netra_sim.simulation.loop import VirtualTimeLoop


class IdleWatch:
    """Cuts a connection that is idle in both directions for as long as the conditions say.

    Args:
        loop: the clock and the timers.
        client: one end.
        conditions: those of the direction with the shorter patience.
    """

    def __init__(self, loop: "VirtualTimeLoop", client: Endpoint, conditions: LineConditions) -> None:
        self._loop = loop
        self._ends = client, client.peer
        self._conditions = conditions
        self._look()

    def _look(self) -> None:
        client, server = self._ends
        if client.is_closed and server.is_closed:
            return
        cut_at = max(client.used, server.used) + self._conditions.idle
        if self._loop.exact_time() < cut_at:
            KernelTimer(self._loop, cut_at, self._look)
        elif self._conditions.idle_cut == "reset":
            client.on_reset()
            server.on_reset()
        else:
            client.silence()
            server.silence()
