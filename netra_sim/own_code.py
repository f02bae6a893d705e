"""Code of one's own, named by its place as MODULE:NAME: agents, checks, faults, services and client protocols."""

import hashlib
import inspect
import os
import re
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, TypeVar

from netra_sim.exceptions import NetraSimError
from netra_sim.near_names import did_you_mean

T = TypeVar("T")

MODULES = "NETRA_SIM_MODULES"
"""The environment variable that names more folders with modules, separated as in PATH."""

_PLACE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*\Z")


class OwnCodeError(NetraSimError, ValueError):
    """What a place MODULE:NAME names cannot be used; the message says where it was named, and why not."""


def own_class(place: str, base: type[T], where: str, keywords: Sequence[str] = ()) -> type[T]:
    """The class at a place.

    Args:
        place: such as "mine:Factory".
        base: the class that it derives from.
        where: what names it, for errors, such as "factory".
        keywords: the arguments with which it will be called.

    Raises:
        OwnCodeError: the place has no such class, it cannot be called so, or its module cannot be imported.
    """
    found = _imported(place, where)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise OwnCodeError(f"{where} is {place!r}, which is no subclass of {_public(base)}")
    if keywords:
        try:
            inspect.signature(found).bind(**dict.fromkeys(keywords))
        except TypeError as error:
            raise OwnCodeError(
                f"{where} is {place!r}, which cannot be made: {error}; it is called with {', '.join(keywords)} by name, so "
                "let __init__ take **settings, and hand them to super().__init__(**settings)"
            ) from error
    return found


def own_object(place: str, kind: type[T], where: str) -> T:
    """The object of a class at a place; for the arguments and the errors see `own_class`."""
    found = _imported(place, where)
    if not isinstance(found, kind):
        raise OwnCodeError(f"{where} is {place!r}, which is no {_public(kind)}, but {found!r}")
    return found


def module_folders() -> list[str]:
    """The folders besides those of Python in which modules of one's own are found: first the working directory."""
    return [str(Path.cwd()), *filter(None, os.environ.get(MODULES, "").split(os.pathsep))]


def code_digest(places: Iterable[str], folders: Sequence[str] = ()) -> str:
    """A digest of the source of places: of the whole package, or of all modules beside a module; "" without places.

    Args:
        places: such as "mine:Factory".
        folders: where modules are, besides `module_folders` and the folders of Python.
    """
    digest = hashlib.sha256()
    tops = sorted({place.partition(":")[0].partition(".")[0] for place in places})
    for top in tops:
        found = PathFinder.find_spec(top, [*folders, *module_folders(), *sys.path])
        if found is None or found.origin is None:
            continue
        folder = Path(found.origin).parent
        for path in sorted(folder.rglob("*.py") if found.submodule_search_locations else folder.glob("*.py")):
            digest.update(f"{top}/{path.relative_to(folder)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest() if tops else ""


def _imported(place: str, where: str) -> Any:
    if not _PLACE.match(place):
        raise OwnCodeError(f"{where} is {place!r}; code of your own is MODULE:NAME, such as mine:Factory")
    module, _, name = place.partition(":")
    folders = module_folders()
    # In front, as with `python -m`; for good, as worker processes look where this one looks.
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise _broken(place, where, error) from error
        looked = " or ".join(folders)
        raise OwnCodeError(
            f"{where} is {place!r}, and there is no module {error.name} in {looked}, nor an installed one; "
            f"run the command in the folder with the module, or name the folder in {MODULES}"
        ) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module runs any code when it is imported
        raise _broken(place, where, error) from error
    try:
        return getattr(found, name)
    except AttributeError:
        hint = did_you_mean(name, vars(found))
        raise OwnCodeError(
            f"{where} is {place!r}, and the module {module} has no {name}{hint and '; '}{hint}"
        ) from None


def _public(kind: type) -> str:
    """The name of a class as users import it: from its room."""
    return ".".join([*kind.__module__.split(".")[:2], kind.__name__])


def _broken(place: str, where: str, error: BaseException) -> OwnCodeError:
    return OwnCodeError(f"{where} is {place!r}, which cannot be imported: {type(error).__name__}: {error}")
