"""What keeps imports short: names that are imported when they are first used, and modules that are left out."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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


@contextmanager
def left_out(module: str) -> Iterator[None]:
    """Inside, an import of the module fails as if it was not installed, for a library that can do without it.

    If the module is loaded already, nothing changes.
    """
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]
