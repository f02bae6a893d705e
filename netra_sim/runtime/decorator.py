"""The decorator `windows_asyncio_safe`, and `WindowsAsyncioSafePatterns`, which has the same functions as methods."""

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
    """``_safe[value]`` is what a decorated function gets when it reads ``value``."""

    def __getitem__(self, value: Any) -> Any:
        # By identity: a comparison would run the value's own code.
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
    """Replace `asyncio.sleep`, `wait_for` and `gather` with the Windows-safe functions inside one function, nowhere else.

    It takes coroutine functions and async generator functions, including methods, class and static methods, and closures. It
    returns a new function with the same code, in which every read is checked: where a global name, a variable of an
    enclosing function, an import or an attribute gives one of the three functions, the body gets the safe one. So ``import
    asyncio``, ``import asyncio as aio``, ``from asyncio import sleep``, ``asyncio.tasks.sleep`` and a class attribute all
    work, at module level, in an enclosing function or in the body, and as defaults of parameters. The check takes place at
    each read, so it sees a global that is bound later or patched by a test. It covers functions, lambdas and classes defined
    in the body, but not the functions that the body calls.

    asyncio and the module do not change: another task in the same module, at the same time, sees the stock functions. The
    new function can be pickled by reference, and by value with cloudpickle if netra_sim is installed.

    The decorator misses a function that comes in another way: as an argument, as an item of a list or of ``globals()``, as
    the result of `getattr`, inside a `functools.partial` made elsewhere, or in code that the body passes to `eval` or
    `exec`. Each checked read takes about as long as a call of a small function, and decorating takes some milliseconds.

    Raises:
        TypeError: ``function`` is not an asynchronous function.
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
    """The Windows-safe functions as methods of one object, for code that takes them as an argument."""

    safe_sleep = staticmethod(windows_safe_sleep)
    safe_wait_for = staticmethod(windows_safe_wait_for)
    safe_gather = staticmethod(windows_safe_gather)
    safe_progressive_delay = staticmethod(windows_safe_progressive_delay)

    def create_safe_timeout_context(self, timeout: float | None, *, enforce: bool = False) -> WindowsSafeTimeoutContext:
        """A context with a deadline ``timeout`` seconds after it is entered; see `WindowsSafeTimeoutContext`."""
        return WindowsSafeTimeoutContext(timeout, enforce=enforce)
