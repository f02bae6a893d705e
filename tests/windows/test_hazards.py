"""Each known hazard of asyncio on Windows: how often the stock and the safe functions fail, on each platform."""

import asyncio
import sys

import pytest
from coarse_clock import TICK, CoarseClockLoop

from netra_sim import AgentWebSocketBridge, ExecutionEngineFactory
from netra_sim.defects import WAITS, measure_hazards, time_waits
from netra_sim.runtime import new_event_loop, run
from netra_sim.server import AgentServer, TokenAuthenticator

pytestmark = pytest.mark.real_time
HAS_COARSE_CLOCK = sys.platform == "win32" and sys.version_info < (3, 13)
EARLY = {f"early {name}" for name in WAITS}


@pytest.fixture(scope="module")
def hazards():
    return {hazard.name: hazard for hazard in measure_hazards(waits=12)}


def test_the_safe_functions_have_no_hazard(hazards):
    assert {name: hazard.safe for name, hazard in hazards.items()} == dict.fromkeys(hazards, 0)


def test_stock_waits_are_early_where_the_clock_is_coarse_and_only_there(hazards):
    early = {name for name in EARLY if hazards[name].stock}
    assert early == (EARLY if HAS_COARSE_CLOCK else set())


@pytest.mark.skipif(sys.platform == "win32", reason="a loop there has the clock that it has")
@pytest.mark.parametrize("name", WAITS)
def test_on_a_loop_with_windows_clock_stock_waits_are_early_and_safe_ones_are_not(name):
    stock, safe = (time_waits(function, 20, 1, CoarseClockLoop) for function in WAITS[name])
    assert min(stock) < 0 <= min(safe)
    assert sorted(safe)[len(safe) // 2] < TICK


def test_a_stock_listener_dies_on_windows_and_nowhere_else(hazards):
    lost = hazards["dead listener"].stock
    assert lost == (hazards["dead listener"].tried if sys.platform == "win32" else 0)


def test_a_stock_wait_loses_cancellations_before_python_3_12(hazards):
    swallowed = hazards["swallowed cancellation"]
    assert swallowed.stock == (swallowed.tried if sys.version_info < (3, 12) else 0)


def test_transports_that_a_stock_loop_leaves_open_fail_on_windows_only(hazards):
    assert bool(hazards["transports left open"].stock) == (sys.platform == "win32")


@pytest.mark.skipif(sys.platform != "win32", reason="the Proactor is Windows' own")
def test_the_loop_is_a_proactor():
    loop = new_event_loop()
    loop.close()
    assert "ProactorEventLoop" in [one.__name__ for one in type(loop).__mro__]


@pytest.mark.skipif(sys.platform != "win32", reason="only Windows' own loop stops listening")
async def test_a_server_on_the_stock_windows_loop_logs_a_warning(caplog):
    for loop_factory, warnings in ((asyncio.ProactorEventLoop, 1), (new_event_loop, 0)):
        caplog.clear()
        await asyncio.to_thread(run, serve_nobody(), loop_factory=loop_factory)
        assert sum("stops listening" in record.message for record in caplog.records) == warnings


async def serve_nobody():
    bridge = AgentWebSocketBridge()
    factory = ExecutionEngineFactory(websocket_bridge=bridge)
    async with AgentServer(bridge=bridge, execution_factory=factory, authenticator=TokenAuthenticator()):
        pass
