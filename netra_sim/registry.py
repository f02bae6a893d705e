"""`Registry`: all objects of one kind by name, from this package and from other installed packages."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from operator import attrgetter
from typing import TypeVar

from netra_sim.exceptions import NetraSimError

T = TypeVar("T")


class PluginError(NetraSimError):
    """An entry point of an installed package names an object that cannot be used."""


class Registry(Mapping[str, T]):
    """Objects of one kind by name: first those of this package, then those of other packages, sorted by name.

    Another package adds an object by an entry point in its metadata (PyPA, "Entry points specification")::

        [project.entry-points."netra_sim.checks"]
        their-check = "their_package.checks:THEIR_CHECK"

    The first read of the registry imports the other packages and raises `PluginError` if an object cannot be used.

    Args:
        group: the entry-point group.
        own: the objects of this package.
        kind: the class of the objects.
        name_of: returns the name of an object.

    Raises:
        ValueError: two objects of this package have the same name.
    """

    def __init__(
        self,
        group: str,
        own: Iterable[T],
        *,
        kind: type,
        name_of: Callable[[T], str] = attrgetter("name"),
    ) -> None:
        self.group = group
        self._name_of = name_of
        self._kind = kind
        self._objects: dict[str, T] = {}
        self._is_complete = False
        for one in own:
            if name_of(one) in self._objects:
                raise ValueError(f"{group} has two objects of the name {name_of(one)!r}")
            self._objects[name_of(one)] = one

    def __getitem__(self, name: str) -> T:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> dict[str, T]:
        if not self._is_complete:
            added = {}
            for point in sorted(entry_points(group=self.group), key=lambda point: point.name):
                name, one = self._load(point)
                if name in self._objects or name in added:
                    raise PluginError(f"{_where(point)}: the name {name!r} is taken; choose another")
                added[name] = one
            self._objects |= added
            self._is_complete = True
        return self._objects

    def _load(self, point: EntryPoint) -> tuple[str, T]:
        try:
            one: T = point.load()
        except Exception as error:
            raise PluginError(f"{_where(point)} cannot be imported: {type(error).__name__}: {error}") from error
        try:
            if isinstance(one, self._kind):
                return self._name_of(one), one
        except AttributeError:  # the objects are classes, and this class has no name: it lacks their base
            pass
        raise PluginError(f"{_where(point)} names {one!r}, which is no {self._kind.__name__} that {self.group} takes")


def _where(point: EntryPoint) -> str:
    package = point.dist.name if point.dist else "a package"
    return f"the entry point {point.name} = {point.value} of {package} in the group {point.group}"
