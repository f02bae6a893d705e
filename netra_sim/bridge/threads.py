"""`ThreadOwners`: remembers which user owns each thread. The first user of a thread owns it."""

from collections import OrderedDict

from netra_sim.exceptions import ThreadOwnerError


class ThreadOwners:
    """Remembers the owner of each thread with a kept run, and of the most recently used other threads.

    A thread with a kept run is never forgotten. Each user has a limit for the other threads, so a user who uses many threads
    pushes out their own threads first.

    Args:
        per_user: the most threads without a kept run, for each user; the least recently used is forgotten.
        total: the same for all users together.
    """

    def __init__(self, per_user: int, total: int) -> None:
        self._per_user = per_user
        self._total = total
        self._owner: dict[str, str] = {}
        self._runs: dict[str, int] = {}
        self._unused: OrderedDict[str, None] = OrderedDict()
        self._unused_of: dict[str, OrderedDict[str, None]] = {}

    def __len__(self) -> int:
        return len(self._owner)

    def claim(self, thread_id: str, user_id: str) -> None:
        """Check that the user owns the thread; a thread without an owner becomes the user's.

        Raises:
            ThreadOwnerError: the thread belongs to another user.
        """
        if self._owner.setdefault(thread_id, user_id) != user_id:
            raise ThreadOwnerError(thread_id)
        if thread_id not in self._runs:
            self._put_last(thread_id)

    def begin(self, thread_id: str, user_id: str) -> None:
        """Count a kept run on the thread, so that the owner stays known; a thread without an owner becomes the user's."""
        self._owner.setdefault(thread_id, user_id)
        self._runs[thread_id] = self._runs.get(thread_id, 0) + 1
        if thread_id in self._unused:
            self._take_out(thread_id)

    def end(self, thread_id: str) -> None:
        """Count one kept run less on the thread."""
        self._runs[thread_id] -= 1
        if not self._runs[thread_id]:
            del self._runs[thread_id]
            self._put_last(thread_id)

    def _put_last(self, thread_id: str) -> None:
        own = self._unused_of.setdefault(self._owner[thread_id], OrderedDict())
        for order in (own, self._unused):
            order[thread_id] = None
            order.move_to_end(thread_id)
        if len(own) > self._per_user:
            self._forget(next(iter(own)))
        elif len(self._unused) > self._total:
            self._forget(next(iter(self._unused)))

    def _forget(self, thread_id: str) -> None:
        self._take_out(thread_id)
        del self._owner[thread_id]

    def _take_out(self, thread_id: str) -> None:
        del self._unused[thread_id]
        user_id = self._owner[thread_id]
        own = self._unused_of[user_id]
        del own[thread_id]
        if not own:
            del self._unused_of[user_id]
