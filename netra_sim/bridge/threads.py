"""Whose a thread is: the user's who used it first, for as long as the bridge knows of it."""

from collections import OrderedDict

from netra_sim.exceptions import ThreadOwnerError


class ThreadOwners:
    """Remembers the owner of every thread in use, and of as many others as its bounds allow.

    A thread of which a run is kept is never forgotten. Of the others each user keeps those that the user has used last, so
    that nobody can have another user's thread forgotten by using many.

    Args:
        per_user: threads remembered of one user.
        total: threads remembered in all; the one that was not used for longest goes first.
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
        """The user wants to use the thread; it is this user's from now on if it was nobody's.

        Raises:
            ThreadOwnerError: it is another user's.
        """
        if self._owner.setdefault(thread_id, user_id) != user_id:
            raise ThreadOwnerError(thread_id)
        if thread_id not in self._runs:
            self._put_last(thread_id)

    def begin(self, thread_id: str, user_id: str) -> None:
        """A run on the thread is kept, so that its owner stays known; a thread of nobody's becomes the run's user's."""
        self._owner.setdefault(thread_id, user_id)
        self._runs[thread_id] = self._runs.get(thread_id, 0) + 1
        if thread_id in self._unused:
            self._take_out(thread_id)

    def end(self, thread_id: str) -> None:
        """A run on the thread is no longer kept."""
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
