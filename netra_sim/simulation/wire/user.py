"""`WireUser`: a simulated user whose tabs are real clients."""

from netra_sim.simulation.tab import Tab
from netra_sim.simulation.user import SimulatedUser
from netra_sim.simulation.wire.client import WireTab
from netra_sim.simulation.wire.environment import WireEnvironment


class WireUser(SimulatedUser):
    """One user from the first connection to the last answer; see `SimulatedUser`."""

    _environment: WireEnvironment

    def __init__(self, number: int, environment: WireEnvironment) -> None:
        super().__init__(number, environment)

    def new_tab(self, number: int) -> Tab:
        """See `SimulatedUser`."""
        return WireTab(self._environment, self.user_id, number, self._ended, self._refused)
