"""Runs `async def` tests in virtual time, or in real time if marked `real_time`, on two clocks if `both_clocks` is set.

All processes of a test run share a cache folder that is empty at its start: they simulate the detection matrix once, and
reuse nothing of an earlier run.
"""

import asyncio
import inspect
import os
import shutil
import signal
import sys
import tempfile
from contextlib import suppress

import pytest
from coarse_clock import CoarseClockLoop

from netra_sim.runtime import new_event_loop
from netra_sim.simulation.loop import VirtualTimeLoop

with suppress(ModuleNotFoundError):  # the plan's tests also run from a wheel, without Hypothesis
    import hypothesis

    hypothesis.settings.register_profile("any machine", deadline=None)  # timings belong in benchmarks
    hypothesis.settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    # A background job of a shell ignores Ctrl+C, and some tests send it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):  # workers of pytest-xdist inherit the variable
        folder = tempfile.mkdtemp(prefix="netra-tests-")
        os.environ["NETRA_SIM_CACHE"] = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.hookimpl(optionalhook=True)  # the plan's tests also run without pytest-xdist
def pytest_xdist_auto_num_workers() -> int:
    """Half as many workers again as there are cores: many tests wait for real time, sockets and processes."""
    return (os.cpu_count() or 1) * 3 // 2


LONGEST = (
    "test_docs.py",
    "test_report.py",
    "test_installs.py",
    "test_site_broken.py",
    "test_backends.py",
    "test_verdict.py",
    "test_self_proofs.py",
    "test_defects.py",
    "test_gate_recipe.py",
    "test_local_system.py",
    "test_explorer_in_jupyterlab.py",
    "test_pytest_plugin.py",
)
"""The files that take longest begin first, so that all workers end together.

`test_self_proofs.py` and `test_defects.py` reuse simulations that `test_report.py` makes, and so begin later.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


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
