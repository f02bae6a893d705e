"""`WireUser`: a simulated user whose tabs are real clients."""

from netra_sim.factory import run_id_of
from netra_sim.simulation.faults import Message
from netra_sim.simulation.tab import Tab
from netra_sim.simulation.user import SimulatedUser
from netra_sim.simulation.wire.client import WireTab
from netra_sim.simulation.wire.environment import WireEnvironment


class WireUser(SimulatedUser):
    """One user from the first connection to the last answer; see `SimulatedUser`."""

    _environment: WireEnvironment

    def __init__(self, number: int, environment: WireEnvironment) -> None:
        super().__init__(number, environment)
        self._due: dict[str, float] = {}

    def new_tab(self, number: int) -> Tab:
        """See `SimulatedUser`."""
        reports = self._ended, self._refused, self._sent_again
        return WireTab(self._environment, self.user_id, number, *reports)

    def _record_request(self, run_id: str, due: float, message: Message) -> None:
        self._due[run_id] = due
        super()._record_request(run_id, due, message)

    def _sent_again(self, message: Message) -> None:
        """Record one more request: a server that has been restarted carries it out, whether or not the old one did."""
        run_id = run_id_of(self.user_id, message["request_id"])
        self._environment.recorder.requested(run_id, self.user_id, self._due[run_id], message["thread_id"])
