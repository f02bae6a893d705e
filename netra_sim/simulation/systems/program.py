"""Imports the program of a system afresh, so that each simulated process has module variables of its own."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module, invalidate_caches
from pathlib import Path
from typing import Any

from netra_sim.exceptions import SystemFailedError
from netra_sim.simulation.system import System


@contextmanager
def modules_of(system: System) -> Iterator[None]:
    """Put the system's folder on the path of modules; afterwards path and modules are as before."""
    folder = str(Path(system.folder).resolve())
    path, modules = sys.path[:], dict(sys.modules)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path[:] = path
        _drop(folder)
        sys.modules.update((name, module) for name, module in modules.items() if name not in sys.modules)


def load_program(system: System) -> Any:
    """Import the application or the main function of a system anew, and with it every module in the system's folder.

    Modules elsewhere, such as installed packages, are imported once: what they keep in variables, all processes share.

    Raises:
        SystemFailedError: it cannot be imported.
    """
    place = system.app or system.main
    name, _, attribute = place.partition(":")
    folder = str(Path(system.folder).resolve())
    _drop(folder)
    invalidate_caches()
    try:
        found = import_module(name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        if error.name and name.startswith(error.name):
            reason = f"there is no module {error.name!r} in {folder} or among the installed packages; give its folder"
            raise SystemFailedError(f"the system {place!r} cannot be imported: {reason}") from error
        raise SystemFailedError(f"the system {place!r} cannot be imported: {error}") from error
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise SystemFailedError(f"the system {place!r} cannot be imported: {reason}") from error
    if not callable(found):
        raise SystemFailedError(f"the system {place!r} is {found!r}, which cannot be called")
    return found


def _drop(folder: str) -> None:
    """Forget the modules in a folder, except those of installed packages and of this one."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        if not file.startswith(folder + os.sep) or name == "__main__" or name.partition(".")[0] == "netra_sim":
            continue
        if not {"site-packages", "dist-packages"} & set(Path(file).parts):
            del sys.modules[name]
