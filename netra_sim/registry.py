"""`Registry`: the objects of one kind by name, those of this package and those that other packages add."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from operator import attrgetter
from typing import TypeVar

from netra_sim.exceptions import NetraSimError

T = TypeVar("T")


class PluginError(NetraSimError):
    """An installed package names an object in an entry point that cannot be used."""


class Registry(Mapping[str, T]):
    """Objects of one kind by name. This package's own come first, then those of other packages by name.

    Another package adds an object with an entry point (PyPA, "Entry points specification") in its metadata::

        [project.entry-points."netra_sim.checks"]
        their-check = "their_package.checks:THEIR_CHECK"

    Other packages are imported when the registry is first read, and not before.

    Args:
        group: the group of the entry points.
        own: this package's objects.
        kind: the class of the objects.
        name_of: the name of an object.

    Raises:
        ValueError: two of this package's objects have the same name.
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
        except AttributeError:  # a class, where the objects are classes, and of another base
            pass
        raise PluginError(f"{_where(point)} names {one!r}, which is no {self._kind.__name__} that {self.group} takes")


def _where(point: EntryPoint) -> str:
    package = point.dist.name if point.dist else "a package"
    return f"the entry point {point.name} = {point.value} of {package} in the group {point.group}"
