"""Names of a package that are imported when they are first used."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def on_first_use(package: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package (PEP 562) that imports a name from its module when somebody first asks for it.

    So a command or a process of a pool loads pandas, pyarrow or a server only if it uses them.

    Args:
        package: the name of the package.
        places: for each name the module that defines it, inside the package.
    """

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        # Not kept in the package: a seeded defect may have replaced it for a while.
        return getattr(import_module(f"{package}.{places[name]}"), name)

    return get
