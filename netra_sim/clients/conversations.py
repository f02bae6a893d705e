"""`Conversations`: the requests of one user, each in a thread in which nothing else is under way."""

from collections.abc import Iterator
from contextlib import contextmanager

from netra_sim.clients.protocol import Request
from netra_sim.factory import run_id_of
from netra_sim.recording import marked_question


class Conversations:
    """Makes the requests of one user. A thread has one run at a time: a request during another run gets another thread.

    Args:
        number: of the user, from 0.
        users: how many users there are; the next one's thread is the one that this user may try to read.
    """

    def __init__(self, number: int, users: int) -> None:
        self.user_id = f"user-{number}"
        self._other = f"user-{(number + 1) % users}-thread-1"
        self._requests = 0
        self._in_use: set[int] = set()

    @contextmanager
    def request(self, due: float) -> Iterator[Request]:
        """The next request, which is under way until the block ends."""
        self._requests += 1
        thread = next(number for number in range(1, self._requests + 1) if number not in self._in_use)
        self._in_use.add(thread)
        run_id = run_id_of(self.user_id, str(self._requests))
        try:
            yield Request(
                user_id=self.user_id,
                run_id=run_id,
                thread_id=f"{self.user_id}-thread-{thread}",
                text=marked_question(self.user_id, run_id),
                due=due,
                other_thread_id=self._other,
            )
        finally:
            self._in_use.discard(thread)
