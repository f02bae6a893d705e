"""`Tab`: what a simulated user has of a browser tab, whatever carries its messages; it records what it reads."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

from netra_sim.protocol import AgentCompleted, AgentError, Reading, Refused
from netra_sim.randomness import key
from netra_sim.recording import how_answered
from netra_sim.simulation.client_environment import ClientEnvironment
from netra_sim.simulation.faults import Message

PING_INTERVAL, PING_TIMEOUT = 20.0, 20.0
"""Seconds between two keepalive pings of either side, and until an unanswered ping ends a connection; as in `websockets`."""


class Tab(ABC):
    """One tab of one user.

    Args:
        environment: the simulation around it.
        user_id: the user.
        tab: the number of the tab among those of the user.
        on_run_ended: called with the number of the tab and the id of the run, for each end of a run that arrives.
        on_refused: called with each refusal that arrives, and the id of its connection.
    """

    def __init__(
        self,
        environment: ClientEnvironment,
        user_id: str,
        tab: int,
        on_run_ended: Callable[[int, str], None],
        on_refused: Callable[[Refused, str], None],
    ) -> None:
        self._user_id = user_id
        self._environment = environment
        self._tab = tab
        self._stream = key(environment.seed, "network", user_id, tab)
        self._on_run_ended = on_run_ended
        self._on_refused = on_refused

    @abstractmethod
    def open(self) -> None:
        """Open the tab: it connects, and reconnects until it is closed."""

    @abstractmethod
    def close(self) -> None:
        """Close the tab for good."""

    @abstractmethod
    async def send(self, message: Message) -> None:
        """Send a message to the server, and again on the next connection if it was lost with the connection."""

    @abstractmethod
    async def connection_after(self, connection_id: str) -> None:
        """Wait until another connection has replaced this one."""

    @abstractmethod
    def adapt(self) -> None:
        """Apply the active faults to the tab's connection."""

    @abstractmethod
    def cut(self) -> bool:
        """Lose the connection, and notice it at once. Return False if there is none."""

    @abstractmethod
    def end_token(self) -> bool:
        """Let the token end that the tab has connected with. Return False if it has no connection."""

    @abstractmethod
    def log_out(self) -> None:
        """Let the server end the tab's connection for good, and drop what is on its way."""

    @property
    @abstractmethod
    def connection_id(self) -> str:
        """The name of the latest connection; "" before the first one."""

    @abstractmethod
    def outlast_stall(self, began: float, ended: float) -> None:
        """Give up the connection if a ping went unanswered for too long while the server's loop was blocked."""

    def read(self, frame: bytes, reading: Reading, connection_id: str) -> None:
        """Record a frame that arrived, and tell the user about the end or the refusal of a run."""
        self._environment.recorder.read(connection_id, self._user_id, frame, reading)
        message = reading.message
        if isinstance(message, AgentCompleted) and reading.is_new:
            expected = self._environment.right_answer(self._user_id, message.run_id)
            how = how_answered(message.final_response, expected)
            self._environment.recorder.answered(message.run_id, self._user_id, *how)
        if isinstance(message, AgentCompleted | AgentError):
            self._on_run_ended(self._tab, message.run_id)
        elif isinstance(message, Refused):
            self._on_refused(message, connection_id)


def next_ping(attached_at: float, after: float) -> float:
    """When the next keepalive ping is due on a connection, in seconds.

    Args:
        attached_at: when the connection began.
        after: the time from which on to look.
    """
    number = max(1, math.ceil((after - attached_at) / PING_INTERVAL))
    return attached_at + number * PING_INTERVAL
