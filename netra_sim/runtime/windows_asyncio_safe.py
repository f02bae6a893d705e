"""The decorator `windows_asyncio_safe`, and the plan's class over the same functions."""

import asyncio
import builtins
import dis
import inspect
import types
from collections.abc import Callable
from typing import Any, TypeVar

from netra_sim.runtime.timeouts import WindowsSafeTimeoutContext
from netra_sim.runtime.waits import (
    windows_safe_gather,
    windows_safe_progressive_delay,
    windows_safe_sleep,
    windows_safe_wait_for,
)

F = TypeVar("F", bound=Callable[..., Any])

_REPLACEMENTS: dict[Any, Any] = {
    asyncio.sleep: windows_safe_sleep,
    asyncio.wait_for: windows_safe_wait_for,
    asyncio.gather: windows_safe_gather,
}


class _SafeAsyncio(types.ModuleType):
    """What the name of the asyncio module means inside a decorated function."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)


_safe_asyncio = _SafeAsyncio("asyncio", asyncio.__doc__)
for _stock, _safe in _REPLACEMENTS.items():
    setattr(_safe_asyncio, _stock.__name__, _safe)
_REPLACEMENTS[asyncio] = _safe_asyncio


def _replaced(value: Any) -> Any:
    try:
        return _REPLACEMENTS.get(value, value)
    except TypeError:  # unhashable
        return value


class _GlobalsView(dict[str, Any]):
    """The live globals of a module, with asyncio's three functions replaced wherever a name leads to them.

    The interpreter reads global names through ``__missing__``, since this is not exactly a dict, so a name that the
    module binds later is seen too. ``__name__`` and ``__builtins__`` it reads directly.
    """

    def __init__(self, module_globals: dict[str, Any]) -> None:
        super().__init__(__name__=module_globals.get("__name__"), __builtins__=_BuiltinsView(module_globals))
        self.module_globals = module_globals

    def __missing__(self, name: str) -> Any:
        return _replaced(self.module_globals[name])


class _BuiltinsView(dict[str, Any]):
    """Builtins that import the replacements, and find the module's globals for bodies of nested classes."""

    def __init__(self, module_globals: dict[str, Any]) -> None:
        def import_module(
            name: str, _globals: Any = None, _locals: Any = None, fromlist: tuple[str, ...] = (), level: int = 0
        ) -> Any:
            return _replaced(builtins.__import__(name, module_globals, None, fromlist, level))

        super().__init__(__import__=import_module)
        self._module_globals = module_globals

    def __missing__(self, name: str) -> Any:
        if name in self._module_globals:
            return _replaced(self._module_globals[name])
        try:
            return getattr(builtins, name)
        except AttributeError:
            raise KeyError(name) from None


def windows_asyncio_safe(function: F) -> F:
    """Make `asyncio.sleep`, `wait_for` and `gather` the Windows-safe ones inside one function, and nowhere else.

    It takes coroutine functions and async generator functions: plain ones, methods, class and static methods, closures.
    It does not matter how the function's body gets at the three: ``import asyncio``, ``import asyncio as aio``,
    ``from asyncio import sleep``, at module level, in an enclosing function or in the body itself. Functions and lambdas
    defined in the body are part of it; functions that it calls are not.

    The result is a new function of the same code that looks its global names up through a view of its module's globals.
    asyncio itself is left alone: another task, at the same time, in the same module, sees it as it is. Looking a
    global name up costs more than in an undecorated function.

    Raises:
        TypeError: it is no asynchronous function, or it assigns a global variable (``global x``), which would bypass the
            view.
    """
    if isinstance(function, classmethod | staticmethod):
        return type(function)(windows_asyncio_safe(function.__func__))
    if not (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)) or not isinstance(
        function, types.FunctionType
    ):
        raise TypeError(
            f"windows_asyncio_safe takes an `async def` function or async generator, and was given {function!r}"
        )
    if isinstance(function.__globals__, _GlobalsView):
        return function
    _refuse_global_statements(function.__code__)
    safe = types.FunctionType(
        function.__code__,
        _GlobalsView(function.__globals__),
        function.__name__,
        function.__defaults__,
        tuple(_replaced_cell(cell) for cell in function.__closure__ or ()),
    )
    for attribute in ("__kwdefaults__", "__annotations__", "__qualname__", "__module__", "__doc__", "__type_params__"):
        if hasattr(function, attribute):
            setattr(safe, attribute, getattr(function, attribute))
    safe.__dict__.update(function.__dict__)
    return safe  # type: ignore[return-value]


def _replaced_cell(cell: types.CellType) -> types.CellType:
    try:
        value = cell.cell_contents
    except ValueError:  # not bound yet, as the function's own name at the time of its decoration
        return cell
    safe = _replaced(value)
    return cell if safe is value else types.CellType(safe)


def _refuse_global_statements(code: types.CodeType) -> None:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            raise TypeError(
                f"{code.co_qualname} assigns the global variable {instruction.argval!r}, which windows_asyncio_safe does "
                "not support; move the assignment into a function of its own"
            )
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _refuse_global_statements(constant)


class WindowsAsyncioSafePatterns:
    """The Windows-safe functions as one object, for code that is handed its patterns."""

    safe_sleep = staticmethod(windows_safe_sleep)
    safe_wait_for = staticmethod(windows_safe_wait_for)
    safe_gather = staticmethod(windows_safe_gather)
    safe_progressive_delay = staticmethod(windows_safe_progressive_delay)

    def create_safe_timeout_context(self, timeout: float | None, *, enforce: bool = False) -> WindowsSafeTimeoutContext:
        """A context with a deadline ``timeout`` seconds after it is entered; see `WindowsSafeTimeoutContext`."""
        return WindowsSafeTimeoutContext(timeout, enforce=enforce)
