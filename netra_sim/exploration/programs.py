"""Runs a coroutine function once in virtual time, in a planned order, and says how it failed, if it did."""

import asyncio
import importlib.util
import inspect
import random
import sys
import traceback
import weakref
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from netra_sim.exceptions import NetraSimError
from netra_sim.exploration.plans import Plan
from netra_sim.randomness import key
from netra_sim.runtime import run
from netra_sim.simulation import DeadlockError, VirtualTimeLimitError
from netra_sim.simulation.escapes import ENTROPY, UNSEEDED, Escape, watching_escapes
from netra_sim.simulation.schedule_log import ScheduleLog
from netra_sim.simulation.virtual_time import new_virtual_loop

Main = Callable[[], Coroutine[Any, Any, object]]

TIME_LIMIT = 86_400.0
"""Virtual seconds after which a run that has not ended fails."""

SPIN_LIMIT = 100_000
"""Steps without any progress of virtual time after which a run fails."""


class ProgramError(NetraSimError, ValueError):
    """What was named as a program is no coroutine function without arguments, or cannot be imported."""


class ProgramRun(NamedTuple):
    """How one run of a program ended.

    Attributes:
        kind: "" if it did not fail; else "exception", "unhandled" for an error that asyncio would only log, such as that of
            a task that nobody awaited, "deadlock", "time limit" or "spinning".
        error: the type and the message, in one line.
        place: the innermost line of the program that the error passed.
        traceback: as Python prints it, without the frames of the loop.
        steps: how many steps the loop ran.
        trail: a hash of the order of the marked operations, or of the tasks' steps if none is marked.
        escapes: what it took from outside the simulation.
    """

    kind: str
    error: str
    place: str
    traceback: str
    steps: int
    trail: int
    escapes: tuple[Escape, ...] = ()

    @property
    def failure(self) -> tuple[str, str, str]:
        """What makes two failures the same."""
        return self.kind, self.error.partition(":")[0], self.place


class Program(NamedTuple):
    """A coroutine function without arguments, or where to find it.

    Attributes:
        target: ``path/to/file.py:function``, or "" if the function is given.
        function: the function, or None if a target is given.
    """

    target: str
    function: Main | None = None

    def load(self) -> Main:
        """The function.

        Raises:
            ProgramError: it does not exist, or is no coroutine function without arguments.
        """
        function = self.function if self.function is not None else _imported(self.target)
        if not inspect.iscoroutinefunction(function) or _needs_arguments(function):
            name = self.target or getattr(function, "__qualname__", repr(function))
            raise ProgramError(
                f"{name} is no `async def` function without arguments; explore runs it as `await main()`"
            )
        return function


def _needs_arguments(function: Main) -> bool:
    return any(
        one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
        for one in inspect.signature(function).parameters.values()
    )


def program_of(function: Main) -> Program:
    """A function as a program, with the file where another process finds it, if it can be found by its name."""
    if not inspect.isfunction(function):
        return Program("", function)
    module = sys.modules.get(function.__module__)
    is_found = module is not None and getattr(module, function.__qualname__, None) is function
    file = getattr(module, "__file__", None)
    return Program(f"{file}:{function.__qualname__}" if is_found and file else "", function)


def _imported(target: str) -> Any:
    path, colon, name = target.rpartition(":")
    file = Path(path)
    if not colon or not file.is_file():
        raise ProgramError(f"a program is FILE.py:FUNCTION, and this is {target!r}; there is no such file")
    module = sys.modules.get(file.stem)
    if module is None or Path(getattr(module, "__file__", None) or "").resolve() != file.resolve():
        sys.path.insert(0, str(file.resolve().parent))  # as `python file.py` does
        spec = importlib.util.spec_from_file_location(file.stem, file)
        if spec is None or spec.loader is None:
            raise ProgramError(f"{path} is no Python file")
        module = sys.modules[file.stem] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a module runs any code when it is imported
            del sys.modules[file.stem]
            raise ProgramError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    try:
        return getattr(module, name)
    except AttributeError:
        raise ProgramError(f"{path} has no function {name}") from None


def run_program(
    main: Main,
    plan: Plan,
    seed: int,
    *,
    time_limit: float = TIME_LIMIT,
    spin_limit: int = SPIN_LIMIT,
    log: ScheduleLog | None = None,
    clocks: bool = False,
) -> ProgramRun:
    """Run a program once.

    It fails with any exception out of ``main``, with an error that asyncio would only log (an exception of a task that
    nobody awaited, or of a callback), a deadlock, or a limit. `random` is seeded, so that a seed repeats.

    Args:
        main: makes all its state itself: what a module keeps from run to run is no part of the seed.
        plan: the order and the step cost.
        seed: determines what the plan leaves open, and `random`.
        time_limit: virtual seconds after which the run fails.
        spin_limit: steps without any progress of virtual time after which the run fails.
        log: is told of every step.
        clocks: also see reads of clocks and entropy, which makes the run several times slower; see `watching_escapes`.
    """
    loop = new_virtual_loop(
        seed=key(seed, "order"),
        order="holds:" if plan.order == "fifo" else plan.order,  # the same order, with a trail
        step_cost=plan.step_cost,
        time_limit=time_limit,
        spin_limit=spin_limit,
        log=log,
    )
    loop.trail = 0
    logged: list[BaseException] = []
    loop.set_exception_handler(
        lambda _, context: logged.append(context["exception"]) if "exception" in context else None
    )
    make_task, made = loop.create_task, weakref.WeakSet[Any]()

    def create_task(coroutine: Coroutine[Any, Any, Any], **settings: Any) -> Any:
        task = make_task(coroutine, **settings)
        made.add(task)
        return task

    loop.create_task = create_task  # type: ignore[method-assign, assignment]
    error: BaseException | None = None
    with _seeded(seed), watching_escapes(clocks=clocks) as watch:
        try:
            run(main(), loop_factory=lambda: loop)
        except KeyboardInterrupt:
            raise
        except BaseException as raised:
            error = raised
    del loop.create_task
    is_unhandled = error is None
    if error is None:
        logged += [task.exception() for task in sorted(made, key=hash) if getattr(task, "_log_traceback", False)]
        error = logged[0] if logged else None
    described = ("", "", "", "") if error is None else _described(error, is_unhandled)
    escapes = tuple(escape for escape in watch.escapes if not _is_seeded(escape))
    return ProgramRun(*described, loop.steps, loop.marks or loop.trail or 0, escapes)


def _is_seeded(escape: Escape) -> bool:
    """Whether it is a draw from the `random` that every run of a program seeds."""
    return escape.what == ENTROPY and escape.how.startswith("random.") and escape.how != UNSEEDED


def _described(error: BaseException, is_unhandled: bool) -> tuple[str, str, str, str]:
    """The first four fields of an `ProgramRun`."""
    kind = "unhandled" if is_unhandled else "exception"
    if isinstance(error, DeadlockError):
        kind = "deadlock"
    elif isinstance(error, VirtualTimeLimitError):
        kind = error.how
    summary = "".join(traceback.format_exception_only(error)).strip().partition("\n")[0]
    if isinstance(error, DeadlockError | VirtualTimeLimitError):
        summary = f"{type(error).__name__}: {error.summary}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_of_the_loop(frame.filename)]
    place = f"{own[-1].filename}:{own[-1].lineno}" if own else ""
    lines = [
        "Traceback (most recent call last):\n",
        *traceback.format_list(own),
        *traceback.format_exception_only(error),
    ]
    return kind, summary, place, "".join(lines)


def _is_of_the_loop(file: str) -> bool:
    return file.startswith((_ASYNCIO, _NETRA_SIM))


_ASYNCIO = str(Path(asyncio.__file__).parent)
_NETRA_SIM = str(Path(__file__).parents[1])


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed `random` for a program, and restore it."""
    state = random.getstate()
    random.seed(key(seed, "program"))
    try:
        yield
    finally:
        random.setstate(state)
