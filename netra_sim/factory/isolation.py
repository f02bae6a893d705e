"""Finds mutable objects that the engines of two users can both reach, through which one user's data can reach the other."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from netra_sim.factory.engine import UserExecutionEngine
from netra_sim.factory.module_state import ModuleState
from netra_sim.factory.reach import Path, Reach, Walks, in_words


class SharedObject(msgspec.Struct, frozen=True):
    """A mutable object that the engines of two users can both reach.

    Attributes:
        user_id: one user.
        other_user_id: the other user.
        type_name: the type of the object.
        path: the types on the path from the first user's engine to the object.
    """

    user_id: str
    other_user_id: str
    type_name: str
    path: str


class _UsersReach(NamedTuple):
    user_id: str
    reach: Reach


class SharedStateProbe:
    """Looks repeatedly for state that users share, and so detects changes between two looks.

    It keeps the objects that the agents of the newest engine can reach. So it also compares engines that never live at the
    same time. `forget` drops these objects.
    """

    def __init__(self) -> None:
        self._module_state = ModuleState()
        self._kept: _UsersReach | None = None
        self._walks = Walks()

    @property
    def kept_user(self) -> str | None:
        """The user of the engine that `look_at_opening` saw last; None after `forget`."""
        return self._kept.user_id if self._kept else None

    def look_at_opening(self, engines: Sequence[UserExecutionEngine]) -> list[SharedObject]:
        """Do the same as `look`, and compare the first engine, which has not begun its run, with the kept objects."""
        kept, made = self._kept, engines[0]
        self._walks.begin()
        self._kept = _UsersReach(made.context.user_id, self._walks.reach(made.agents, "agents"))
        return self._look(engines, () if kept is None else (kept,))

    def forget(self) -> None:
        """Drop the kept objects."""
        self._kept = None
        self._walks = Walks()

    def look(self, engines: Sequence[UserExecutionEngine]) -> list[SharedObject]:
        """Find what the engines of two different users can both reach and change.

        These are the `shared_mutable_objects`, and the module globals that their agents' functions use and that have changed
        since an earlier look.
        """
        self._walks.begin()
        return self._look(engines, ())

    def _look(self, engines: Sequence[UserExecutionEngine], earlier: Sequence[_UsersReach]) -> list[SharedObject]:
        if not self._may_share(engines, earlier):
            return []
        reached = [*earlier, *(_UsersReach(one.context.user_id, self._walks.reach(one, "engine")) for one in engines)]
        found = _reached_by_two(reached)
        users: dict[str, str] = {}
        for user_id, (_, classes) in reached:
            for place in self._module_state.changed(classes):
                first = users.setdefault(str(place), user_id)
                if first != user_id:
                    found.append(SharedObject(first, user_id, "module global", str(place)))
        return found

    def _may_share(self, engines: Sequence[UserExecutionEngine], earlier: Sequence[_UsersReach]) -> bool:
        """Whether a closer look is needed. Most looks find nothing, and this costs a fraction of them."""
        owned: dict[str, list[object]] = {}
        classes: set[type] = set()
        for user_id, reach in earlier:
            owned.setdefault(user_id, []).extend(value for value, _ in reach.objects)
            classes.update(reach.classes)
        for engine in engines:
            owned.setdefault(engine.context.user_id, []).append(engine)
        glance = self._walks.glance(owned.values())
        changed = list(self._module_state.changed(classes.union(glance.classes)))
        return glance.may_share or bool(changed)


def shared_mutable_objects(engines: Iterable[UserExecutionEngine]) -> list[SharedObject]:
    """Find every mutable object that the engines of two different users can both reach.

    It compares identities while it holds all objects, so that no id can be reused meanwhile (incident F9). Containers that
    are attributes of the class of an agent or a tool count as reachable. It does not look into modules, event loops, loggers
    and the bridge, which are shared by design.
    """
    walks = Walks()
    return _reached_by_two(_UsersReach(one.context.user_id, walks.reach(one, "engine")) for one in engines)


def _reached_by_two(reached: Iterable[_UsersReach]) -> list[SharedObject]:
    found: dict[int, tuple[object, str, Path]] = {}
    shared: list[SharedObject] = []
    for user_id, reach in reached:
        for value, path in reach.objects:
            holder = found.setdefault(id(value), (value, user_id, path))
            if holder[1] != user_id:
                shared.append(SharedObject(holder[1], user_id, type(value).__qualname__, in_words(holder[2])))
    return shared
