"""Runs `async def` tests in virtual time, or in real time if marked `real_time`, on two clocks if `both_clocks` is set."""

import asyncio
import inspect
import signal
import sys

import pytest
from coarse_clock import CoarseClockLoop

from netra_sim.runtime import new_event_loop
from netra_sim.simulation.loop import VirtualTimeLoop


def pytest_configure() -> None:
    # A background job of a shell ignores Ctrl+C, and some tests send it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def clock() -> None:
    """The name of the loop's clock; see `pytest_generate_tests`."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("real_time")
    if marker is None or not marker.kwargs.get("both_clocks") or not inspect.iscoroutinefunction(metafunc.function):
        return
    # On Windows a loop has the clock of the platform.
    clocks = ["fine"] if sys.platform == "win32" else ["fine", "coarse"]
    metafunc.fixturenames.append("clock")
    metafunc.parametrize("clock", clocks, indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    factory = VirtualTimeLoop
    if pyfuncitem.get_closest_marker("real_time"):
        is_coarse = getattr(pyfuncitem, "callspec", None) and pyfuncitem.callspec.params.get("clock") == "coarse"
        factory = CoarseClockLoop if is_coarse else new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(pyfuncitem.obj(**arguments))
    return True
