"""Reference histories of other systems: chats drawn from a number, with something wrong in most.

They are to the checks of foreign histories what `reference_history` is to the others.
"""

from collections.abc import Callable
from math import nan
from random import Random

from netra_sim.history import SECRETS_GIVEN, History, IsolatedBy, Kind, Objectives, foreign_meta
from netra_sim.recording import Recorder

_ROOMS = ("lobby", "kitchen")
_EVENTS = ("TEXT_MESSAGE_CONTENT", "STATE_SNAPSHOT", "RAW")
_OPTIONAL = (
    *(Kind.OUT_OF_ORDER, Kind.FIRST_CONTENT, Kind.ANSWERED, Kind.REPEATED, Kind.MISSING),
    *(Kind.WORKED, Kind.DISCLOSED, Kind.STUCK, Kind.LOOP_ERROR, Kind.LEFT_OVER),
)


def foreign_reference(number: int) -> tuple[History, Objectives]:
    """The reference history of a number, and its objectives; the same on every platform."""
    chat = _Chat(Random(f"foreign reference history {number}"))
    return chat.history(), chat.objectives()


class _Chat:
    """One chat: users ask one after the other, each on a connection of its own or on one for all of the user's runs."""

    def __init__(self, draw: Random) -> None:
        self._draw = draw
        self._now = 0.0
        self._recorder = Recorder(lambda: self._now)
        self._wrong = draw.choice((0.0, 0.02, 0.1, 0.3))
        self._isolated_by: IsolatedBy = draw.choice(("run", "thread", "room"))
        self._is_kept = draw.random() < 0.5
        self._asked: list[tuple[str, str]] = []
        self._is_numbered = draw.random() < 0.3
        self._numbers: dict[str, int] = {}
        self._pause = draw.choice((0.05, 0.3, 2.0))

    def history(self) -> History:
        """Draw the users and their runs, and write them."""
        draw, users = self._draw, [f"u{number}" for number in range(self._draw.choice((1, 2, 3, 24)))]
        for number in range(draw.choice((1, 2, 4))):
            for user in users:
                self._run(user, f"{user}.{number}", users)
        if self._happens(0.7):
            self._recorder.sample(SECRETS_GIVEN, draw.choice((0, 1, 3)))
        if self._happens(0.5):
            self._recorder.left_over("tasks", int(self._goes_wrong()))
        self._now += draw.choice((0.5, 4.0, 60.0))
        self._recorder.fault_began("model")
        self._recorder.fault_ended("model", draw.choice((nan, 0, 2)))
        kinds = [kind for kind in _OPTIONAL if self._happens(0.8)]
        meta = foreign_meta(*kinds, isolated_by=self._isolated_by, names_runs=self._happens(0.5))
        return self._recorder.finish(meta)

    def objectives(self) -> Objectives:
        """The default objectives, or drawn ones."""
        draw = self._draw.choice
        if self._happens(0.5):
            return Objectives()
        return Objectives(
            completed=draw((0.3, 0.9, 0.99)),
            refused=draw((0.01, 0.2, 1.0)),
            first_content_p95=draw((0.1, 1.0, 10.0)),
            work_after_leaving=draw((0.5, 2.0, 20.0)),
        )

    def _happens(self, share: float) -> bool:
        return self._draw.random() < share

    def _goes_wrong(self) -> bool:
        return self._happens(self._wrong)

    def _run(self, user: str, run: str, users: list[str]) -> None:
        draw, recorder = self._draw, self._recorder
        connection = user if self._is_kept else run
        thread = draw.choice(_ROOMS) if self._isolated_by == "room" else draw.choice((f"{user}-thread", run))
        recorder.requested(run, user, self._now, thread)
        self._asked.append((user, run))
        self._now += 0.02
        if not self._is_kept or run.endswith(".0"):
            if self._goes_wrong():
                recorder.connect_refused(user, "refused")
                return
            recorder.attached(connection, user, connection, draw.choice((nan, 0.01)), draw.choice(("", thread)))
            recorder.connected(connection, user)
        if self._goes_wrong():
            recorder.refused(run, user, "http 503")
            return
        self._received(connection, user, run, "RUN_STARTED", "")
        tokens, leaves = draw.choice((4, 12, 40)), self._happens(0.3)
        read = draw.randrange(tokens) if leaves else tokens
        for number in range(read):
            self._token(connection, user, run, number, users)
        if leaves:
            recorder.left(connection, user, run, is_lost=self._happens(0.3))
            for number in range(read, read + draw.choice((0, 1, 10, 50))):
                self._work(user, run, number)
        elif not self._goes_wrong():
            end = "agent_error" if self._goes_wrong() else "agent_completed"
            self._received(connection, user, run, end, "")
            recorder.answered(run, user, "truncated" if self._goes_wrong() else "complete", tokens=tokens)
        if not self._is_kept or self._goes_wrong():
            recorder.disconnected(connection, user, draw.choice((1000, 1006)), "gone")

    def _token(self, connection: str, user: str, run: str, number: int, users: list[str]) -> None:
        draw, recorder = self._draw, self._recorder
        self._work(user, run, number)
        event = draw.choice(_EVENTS)
        if number == 0:
            recorder.first_content(connection, user, run, event)
        subject = user if not self._happens(self._wrong / 5) else draw.choice((*users, ""))
        self._received(connection, user, run, event, subject)
        other = draw.choice(self._asked)[1]
        odd: list[Callable[[], None]] = [
            lambda: recorder.other_run(connection, user, run, event, other),
            lambda: recorder.repeated(connection, user, run, event, number),
            lambda: recorder.missing(connection, user, run, number + 1, number + draw.choice((1, 3))),
            lambda: recorder.disclosed(connection, user, run, event, "an exception's text"),
            lambda: recorder.out_of_order(connection, user, run, event, "no message is open"),
        ]
        for one in odd:
            if self._happens(self._wrong / 30):
                one()

    def _work(self, user: str, run: str, number: int) -> None:
        self._now += self._draw.choice((0.0, self._pause, self._pause))
        self._recorder.worked(run, user, number, "model")

    def _received(self, connection: str, user: str, run: str, event: str, subject: str) -> None:
        self._now += self._draw.choice((0.0, 0.01, 0.05))
        thread = "another-thread" if self._happens(self._wrong / 10) else ""
        run = run if not self._happens(self._wrong / 30) else self._draw.choice((self._draw.choice(self._asked)[1], ""))
        seq = -1
        if self._is_numbered:
            seq = max(
                0, self._numbers.get(run, 0) + (self._draw.choice((-1, 1)) if self._happens(self._wrong / 10) else 0)
            )
            self._numbers[run] = seq + 1
        self._recorder.received(connection, user, run, event, seq, subject=subject, timestamp=nan, thread_id=thread)
