"""nest-asyncio as an explicit choice for notebooks, and the protection of measurements from it.

Prefer `netra_sim.run`, or a plain ``await`` in the cell. nest-asyncio has costs that its effect does not show:

* with ipykernel 7 and JupyterLab's "Run All", cells behind one that calls ``asyncio.run`` are lost without a word;
* tasks that are left when ``asyncio.run`` returns live on in the kernel's loop, and so leak into the next cell;
* it replaces the C classes of tasks and futures in the whole process, for good: timers run at about half their speed.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

_measurements = 0


def nest_asyncio_enabled() -> bool:
    """Whether nest-asyncio, or its successor nest-asyncio2, has patched asyncio in this process, whoever applied it."""
    return bool(getattr(asyncio, "_nest_patched", False) or getattr(asyncio, "_nest_asyncio2", False))


def enable_nest_asyncio() -> None:
    """Apply nest-asyncio to this process, which cannot be undone; this module's docstring lists the costs.

    Raises:
        RuntimeError: something is being measured now.
    """
    if _measurements:
        raise RuntimeError(
            "nest-asyncio would falsify the measurement that is under way; enable it before or after, or use netra_sim.run"
        )
    import nest_asyncio

    nest_asyncio.apply()


@contextmanager
def measuring() -> Iterator[None]:
    """Mark a stretch of code whose timings count; nest-asyncio is refused within it.

    Raises:
        RuntimeError: nest-asyncio is already applied, and every latency would be its as well.
    """
    global _measurements
    if nest_asyncio_enabled():
        raise RuntimeError(
            "nest-asyncio is applied in this process and slows its timers; restart the kernel to measure"
        )
    _measurements += 1
    try:
        yield
    finally:
        _measurements -= 1
