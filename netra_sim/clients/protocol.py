"""What every client protocol has: where the system is, what a user asks, and the session in which the user does so.

A protocol of your own is a class like this one, in any module on the path::

    class Telnet(ClientProtocol, frozen=True, tag="my_tests.clients:Telnet"):
        greeting: str = "HELLO"

        def session(self, target: SystemAddress, user_id: str, journal: Journal, seed: int = 0) -> Session:
            return TelnetSession(self, target, user_id, journal)

A scenario names it by ``[client] kind = "my_tests.clients:Telnet"``, and its fields are the other settings of ``[client]``.
The session talks to the system with plain asyncio (``asyncio.open_connection``, ``asyncio.sleep``), so that it runs on the
simulated network and on real sockets alike, and it tells the journal what happens. It uses no thread, no wall clock and no
randomness other than `ClientProtocol.draw`. It catches the errors of the network, and records them; any other exception is
a defect of the protocol and ends the simulation.
"""

from typing import Annotated, Protocol

import msgspec

from netra_sim.clients.journal import Journal
from netra_sim.clients.settings import ClientSettings
from netra_sim.history import IsolatedBy, Kind
from netra_sim.randomness import key, uniform

Seconds = Annotated[float, msgspec.Meta(gt=0)]

CONTENT_KINDS = frozenset({Kind.FIRST_CONTENT, Kind.ANSWERED, Kind.REPEATED, Kind.MISSING})
"""The kinds of record that a journal writes if the protocol tells which part of an event is the answer."""


class SystemAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a system listens.

    Attributes:
        host: its name or address.
        port: its port.
        tls: whether connections are encrypted.
        path: stands before the path of every request.
    """

    host: str
    port: int
    tls: bool = False
    path: str = ""

    @property
    def authority(self) -> str:
        """Host and port, as in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a user asks.

    Attributes:
        user_id: who asks.
        run_id: the run that the request starts.
        thread_id: the conversation.
        text: the question; it holds the marks of the user and the run, see `netra_sim.recording.marked_question`.
        due: when it was to be sent, in seconds of the recorder's clock.
        other_thread_id: a thread of another user, which this user names if `ClientProtocol.foreign_threads` says so.
    """

    user_id: str
    run_id: str
    thread_id: str
    text: str
    due: float
    other_thread_id: str = ""


class Session(Protocol):
    """One client of one user. Several requests may be under way at the same time."""

    async def connect(self) -> None:
        """Open the connection, if the protocol has one before the first request."""

    async def ask(self, request: Request) -> None:
        """Send a request, and return at the end of its run, or when no end can come any more.

        Cancel it to give up the wait; a connection that serves this run alone is then closed.
        """

    async def leave(self) -> None:
        """Close all connections in an orderly way."""

    def cut(self) -> None:
        """Break all connections by a reset, as a lost network does."""


class ClientProtocol(ClientSettings, frozen=True):
    """How the users of a scenario talk to the system: its settings, and how it is done."""

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of record that the clients write besides those of every client, see `netra_sim.history.foreign_meta`."""
        return frozenset({Kind.CONTROL_RECEIVED})

    @property
    def names_runs(self) -> bool:
        """Whether each event names its run; else a client takes it for one of the run that it waits for."""
        return False

    @property
    def isolated_by(self) -> IsolatedBy:
        """Whose data an answer may hold."""
        return "thread"

    def session(self, target: SystemAddress, user_id: str, journal: Journal, seed: int = 0) -> Session:
        """A client of a user.

        Args:
            target: the system.
            user_id: the user.
            journal: of the user; the session tells it everything that happens.
            seed: determines the draws.
        """
        raise NotImplementedError(f"{type(self).__name__} does not make sessions")

    def draw(self, seed: int, *names: str) -> float:
        """A number in [0, 1), determined by the seed and the names of what it is for, in whatever order draws are made."""
        return uniform(key(seed, *names))

    def leaves_after(self, seed: int, run_id: str) -> int:
        """The number of events after which the user leaves a run; 0 for never."""
        return self.leave_after if self.draw(seed, "leave", run_id) < self.leave_share else 0

    def thread_for(self, seed: int, request: Request) -> str:
        """The thread that the request names: its own, or that of another user."""
        is_foreign = self.draw(seed, "foreign thread", request.user_id) < self.foreign_threads
        return request.other_thread_id if is_foreign and request.other_thread_id else request.thread_id
