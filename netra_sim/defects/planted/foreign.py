"""Small histories of another system, as its clients and a stand-in for its model would record them."""

from collections.abc import Collection
from typing import Any, Self

from netra_sim.history import SECRETS_GIVEN, History, Kind, foreign_meta
from netra_sim.recording import Recorder

RECORDED = (
    *(Kind.OUT_OF_ORDER, Kind.FIRST_CONTENT, Kind.ANSWERED, Kind.REPEATED, Kind.MISSING),
    *(Kind.WORKED, Kind.DISCLOSED, Kind.STUCK, Kind.LOOP_ERROR),
)
"""What the clients and services of a `ForeignStory` record besides what all clients do."""

PER_TOKEN = 0.2
"""Seconds that the model takes for a token."""


class ForeignStory:
    """Writes the history of a system that answers each request by a stream on a connection of its own.

    `run` and `end` write the usual records; write any others to `recorder`. `now` is the clock, in seconds.

    Args:
        recorded: the kinds of record that are made besides those of all clients.
        settings: the other arguments of `foreign_meta`.
    """

    def __init__(self, *, recorded: Collection[Kind] = RECORDED, **settings: Any) -> None:
        self.now = 0.0
        self.recorder = Recorder(lambda: self.now)
        self._meta = foreign_meta(*recorded, **settings)

    def run(
        self,
        user: str = "alice",
        run: str = "alice.1",
        *,
        thread: str | None = None,
        tokens: int = 6,
        leaves_after: int | None = None,
        works_on: int = 0,
        made: int | None = None,
        end: str = "agent_completed",
        subject: str | None = None,
    ) -> Self:
        """Write one run: a request, a beginning, tokens one by one, and an end.

        Args:
            user: who asks.
            run: the run's id, which is also the name of the connection.
            thread: the thread or room of the request; by default one of the user's own.
            tokens: how many the answer has.
            leaves_after: after how many of them the user leaves.
            works_on: for how many tokens the model goes on after that.
            made: how many tokens the model's answer has; by default as many as the user's.
            end: the last event; "" for a stream that breaks off.
            subject: the user in the marks of the answer, if not the user.
        """
        recorder = self.recorder
        recorder.requested(run, user, self.now, f"{user}-thread" if thread is None else thread)
        self.now += 0.02
        recorder.attached(run, user, run, 0.01)
        recorder.connected(run, user)
        self._received(user, run, "RUN_STARTED")
        read = tokens if leaves_after is None else leaves_after
        for number in range(read):
            self._token(user, run, number, is_last=number + 1 == (tokens if made is None else made))
            self._received(user, run, "TEXT_MESSAGE_CONTENT", user if subject is None else subject)
            if number == 0:
                recorder.first_content(run, user, run, "TEXT_MESSAGE_CONTENT")
        for number in range(read, read if made is None else made):
            self._token(user, run, number, is_last=number + 1 == made)
        if leaves_after is not None:
            recorder.left(run, user, run)
        elif end:
            self._received(user, run, end)
            recorder.answered(run, user, "complete", tokens=tokens)
        recorder.disconnected(run, user, 1000, "")
        for number in range(read, read + works_on):
            self._token(user, run, number)
        return self

    def end(self) -> History:
        """The finished history, after half a minute in which nothing happens."""
        self.recorder.sample(SECRETS_GIVEN, 1)
        self.now += 30.0
        self.recorder.fault_began("a slow disk")
        self.now += 1.0
        self.recorder.fault_ended("a slow disk", 1)
        return self.recorder.finish(self._meta)

    def _token(self, user: str, run: str, number: int, *, is_last: bool = False) -> None:
        self.now += PER_TOKEN
        self.recorder.worked(run, user, number, "model", is_last=is_last)

    def _received(self, user: str, run: str, event: str, subject: str = "") -> None:
        self.now += 0.01
        self.recorder.received(run, user, run, event, -1, subject=subject, timestamp=float("nan"))
