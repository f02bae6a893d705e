"""The decorator `windows_asyncio_safe`, and the plan's class over the same functions."""

import asyncio
import inspect
import types
from collections.abc import Callable
from typing import Any, TypeVar

from netra_sim.runtime.reads import is_rewritten, rewrite_reads
from netra_sim.runtime.timeouts import WindowsSafeTimeoutContext
from netra_sim.runtime.waits import (
    windows_safe_gather,
    windows_safe_progressive_delay,
    windows_safe_sleep,
    windows_safe_wait_for,
)

F = TypeVar("F", bound=Callable[..., Any])

_SLEEP, _WAIT_FOR, _GATHER = asyncio.sleep, asyncio.wait_for, asyncio.gather


class _Safe:
    """``_safe[value]`` is what a decorated function gets where it reads a value."""

    def __getitem__(self, value: Any) -> Any:
        # By identity: a comparison would run code of the value's.
        if value is _SLEEP:
            return windows_safe_sleep
        if value is _WAIT_FOR:
            return windows_safe_wait_for
        if value is _GATHER:
            return windows_safe_gather
        return value

    def __reduce__(self) -> str:
        return "_safe"


_safe = _Safe()


def windows_asyncio_safe(function: F) -> F:
    """Make `asyncio.sleep`, `wait_for` and `gather` the Windows-safe ones inside one function, and nowhere else.

    It takes coroutine functions and async generator functions: plain ones, methods, class and static methods, closures.
    The result is a new function of the same code, except that what it reads is looked at: wherever a global name, a
    variable of an enclosing function, an import or an attribute gives one of the three functions, the body gets the safe
    one. So ``import asyncio``, ``import asyncio as aio``, ``from asyncio import sleep``, ``asyncio.tasks.sleep`` and a class
    attribute all work, at module level, in an enclosing function or in the body; defaults of parameters too. Names are read
    when the body reads them, so a global that is bound later or patched by a test is seen. Functions, lambdas and classes
    defined in the body are part of it; functions that it calls are not.

    asyncio and the module are left alone: another task, at the same time, in the same module, sees them as they are. The
    function can be pickled by reference, and by value with cloudpickle where netra_sim is installed.

    It does not see a function that comes in any other way: as an argument, as an item of a list or of ``globals()``, as the
    result of `getattr`, inside a `functools.partial` that was made elsewhere, or in code that the body gives to `eval` or
    `exec`. A read costs about as much more as a call of a small function, and decorating costs some milliseconds.

    Raises:
        TypeError: it is no asynchronous function.
    """
    if isinstance(function, classmethod | staticmethod):
        return type(function)(windows_asyncio_safe(function.__func__))
    if not (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)) or not isinstance(
        function, types.FunctionType
    ):
        raise TypeError(
            f"windows_asyncio_safe takes an `async def` function or async generator, and was given {function!r}"
        )
    if is_rewritten(function.__code__, _safe):
        return function
    code = rewrite_reads(function.__code__, _safe)
    safe = types.FunctionType(code, function.__globals__, function.__name__, None, function.__closure__)
    if function.__defaults__ is not None:
        safe.__defaults__ = tuple(_safe[value] for value in function.__defaults__)
    if function.__kwdefaults__ is not None:
        safe.__kwdefaults__ = {name: _safe[value] for name, value in function.__kwdefaults__.items()}
    for attribute in ("__annotations__", "__qualname__", "__module__", "__doc__", "__type_params__"):
        if hasattr(function, attribute):
            setattr(safe, attribute, getattr(function, attribute))
    safe.__dict__.update(function.__dict__)
    return safe  # type: ignore[return-value]


class WindowsAsyncioSafePatterns:
    """The Windows-safe functions as one object, for code that is handed its patterns."""

    safe_sleep = staticmethod(windows_safe_sleep)
    safe_wait_for = staticmethod(windows_safe_wait_for)
    safe_gather = staticmethod(windows_safe_gather)
    safe_progressive_delay = staticmethod(windows_safe_progressive_delay)

    def create_safe_timeout_context(self, timeout: float | None, *, enforce: bool = False) -> WindowsSafeTimeoutContext:
        """A context with a deadline ``timeout`` seconds after it is entered; see `WindowsSafeTimeoutContext`."""
        return WindowsSafeTimeoutContext(timeout, enforce=enforce)
