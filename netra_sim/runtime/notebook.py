"""Applies nest-asyncio in notebooks on request only, and keeps it out of measurements.

Prefer `netra_sim.run`, or a plain ``await`` in the cell. nest-asyncio has hidden costs:

* with ipykernel 7 and JupyterLab's "Run All", the cells after one that calls ``asyncio.run`` silently do not run;
* tasks that are left when ``asyncio.run`` returns stay in the kernel's loop, and so leak into the next cell;
* it permanently replaces the C classes of tasks and futures in the whole process: timers run at about half their speed.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

_measurements = 0


def nest_asyncio_enabled() -> bool:
    """Whether any code has applied nest-asyncio, or its successor nest-asyncio2, in this process."""
    return bool(getattr(asyncio, "_nest_patched", False) or getattr(asyncio, "_nest_asyncio2", False))


def enable_nest_asyncio() -> None:
    """Apply nest-asyncio to this process. This cannot be undone; the module's docstring lists the costs.

    Raises:
        RuntimeError: a measurement is in progress.
    """
    if _measurements:
        raise RuntimeError(
            "nest-asyncio would falsify the measurement that is under way; enable it before or after, or use netra_sim.run"
        )
    import nest_asyncio

    nest_asyncio.apply()


@contextmanager
def measuring() -> Iterator[None]:
    """Mark a block as a measurement: inside it, `enable_nest_asyncio` raises an error.

    Raises:
        RuntimeError: nest-asyncio is already applied and would distort every measured time.
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
