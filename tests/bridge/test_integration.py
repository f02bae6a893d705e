"""The state that the bridge reports is true: incidents B5 and F12."""

import asyncio

import pytest

from netra_sim.bridge import (
    AgentWebSocketBridge,
    AuthenticatedUser,
    IntegrationPolicy,
    IntegrationState,
    MemoryTransport,
)
from netra_sim.exceptions import BridgeNotReadyError


class Backend:
    """A small back end: it answers after its delay while it is up."""

    def __init__(self, *, is_up=True, delay=0.0):
        self.is_up = is_up
        self.delay = delay
        self.asked = 0

    async def is_ready(self):
        self.asked += 1
        await asyncio.sleep(self.delay)
        if not self.is_up:
            raise ConnectionError("connection refused")


async def test_integration_is_idempotent_and_concurrent_callers_share_it():
    backend = Backend(delay=1.0)
    bridge = AgentWebSocketBridge(backends={"database": backend.is_ready})
    results = await asyncio.gather(*(bridge.ensure_integration() for _ in range(20)))
    results.append(await bridge.ensure_integration())
    assert all(result.success for result in results)
    assert bridge.last_integration_result is results[0]
    assert backend.asked == 1
    assert bridge.state is IntegrationState.ACTIVE


async def test_cancelling_one_caller_does_not_cancel_the_integration():
    bridge = AgentWebSocketBridge(backends={"database": Backend(delay=1.0).is_ready})
    impatient = asyncio.create_task(bridge.ensure_integration())
    patient = asyncio.create_task(bridge.ensure_integration())
    await asyncio.sleep(0.5)
    impatient.cancel()
    assert (await patient).success


async def test_success_is_not_reported_while_a_back_end_is_down():  # B5
    backend = Backend(is_up=False)
    bridge = AgentWebSocketBridge(backends={"database": backend.is_ready})
    result = await bridge.ensure_integration()
    assert not result.success
    assert "'database'" in result.error
    assert "connection refused" in result.error
    assert bridge.state is IntegrationState.FAILED
    backend.is_up = True
    assert (await bridge.ensure_integration()).success


async def test_a_back_end_that_never_answers_fails_after_the_probe_timeout():  # F12
    bridge = AgentWebSocketBridge(
        backends={"database": Backend(delay=1e6).is_ready}, policy=IntegrationPolicy(probe_timeout=30.0)
    )
    began = asyncio.get_running_loop().time()
    result = await bridge.ensure_integration()
    assert not result.success
    assert asyncio.get_running_loop().time() - began == pytest.approx(30.0)


async def test_a_failed_probe_degrades_the_bridge_and_a_passing_one_heals_it():
    backend = Backend()
    bridge = AgentWebSocketBridge(backends={"database": backend.is_ready})
    await bridge.ensure_integration()
    backend.is_up = False
    assert not (await bridge.check_health()).success
    assert bridge.state is IntegrationState.DEGRADED
    with pytest.raises(BridgeNotReadyError):
        bridge.open_run(user_id="alice", thread_id="t", run_id="r")
    backend.is_up = True
    assert (await bridge.check_health()).success
    assert bridge.state is IntegrationState.ACTIVE


async def test_recovery_tries_three_times_with_growing_pauses():
    backend = Backend(is_up=False)
    bridge = AgentWebSocketBridge(backends={"database": backend.is_ready})
    asyncio.get_running_loop().call_later(1.5, setattr, backend, "is_up", True)
    result = await bridge.recover()
    assert result.success
    assert backend.asked >= 2
    assert bridge.metrics().failed_probes >= 1


async def test_the_monitor_recovers_a_bridge_by_itself():
    backend = Backend()
    bridge = AgentWebSocketBridge(backends={"database": backend.is_ready})
    await bridge.ensure_integration()
    monitor = asyncio.create_task(bridge.monitor())
    backend.is_up = False
    await asyncio.sleep(70)
    assert bridge.state is IntegrationState.DEGRADED
    backend.is_up = True
    await asyncio.sleep(60)
    assert bridge.state is IntegrationState.ACTIVE
    monitor.cancel()


async def test_a_back_end_that_raises_a_cancellation_is_a_failure_and_does_not_end_the_monitor():
    async def is_ready():
        raise asyncio.CancelledError

    bridge = AgentWebSocketBridge(backends={"database": is_ready})
    monitor = asyncio.create_task(bridge.monitor())
    await asyncio.sleep(200)
    assert not monitor.done()
    result = await bridge.ensure_integration()
    assert not result.success
    assert "database" in result.error
    monitor.cancel()


async def test_probes_leave_nothing_behind_and_reach_no_user():
    bridge = AgentWebSocketBridge()
    transport = MemoryTransport()
    bridge.connect(AuthenticatedUser("alice"), transport)
    for _ in range(5):
        await bridge.check_health()
    await asyncio.sleep(0)
    held = bridge.metrics()
    assert (held.kept_runs, held.live_connections, held.replay_bytes) == (0, 1, 0)
    assert len(transport.frames) == 1  # the hello


async def test_a_shutdown_during_the_integration_ends_it():
    bridge = AgentWebSocketBridge(backends={"database": Backend(delay=1e6).is_ready})
    waiting = asyncio.create_task(bridge.ensure_integration())
    await asyncio.sleep(1)
    await bridge.shutdown()
    with pytest.raises((asyncio.CancelledError, BridgeNotReadyError)):
        await waiting
    assert bridge.state is IntegrationState.SHUT_DOWN
    with pytest.raises(BridgeNotReadyError):
        await bridge.ensure_integration()


async def test_a_health_check_that_ends_after_the_shutdown_does_not_revive_the_bridge():
    bridge = AgentWebSocketBridge(backends={"database": Backend(delay=5.0).is_ready})
    await bridge.ensure_integration()
    check = asyncio.create_task(bridge.check_health())
    await asyncio.sleep(1)
    await bridge.shutdown()
    await asyncio.wait([check])
    assert bridge.state is IntegrationState.SHUT_DOWN


async def test_a_back_end_that_swallows_its_cancellation_does_not_revive_the_bridge():
    async def stubborn():
        try:
            await asyncio.sleep(1e6)
        except asyncio.CancelledError:
            return

    bridge = AgentWebSocketBridge(backends={"database": stubborn})
    waiting = asyncio.create_task(bridge.ensure_integration())
    await asyncio.sleep(1)
    await bridge.shutdown()
    await asyncio.wait([waiting])
    assert bridge.state is IntegrationState.SHUT_DOWN


async def test_a_shutdown_raises_an_error_in_callers_that_wait_for_the_integration():
    bridge = AgentWebSocketBridge(backends={"database": Backend(delay=1e6).is_ready})
    waiting = asyncio.create_task(bridge.ensure_integration())
    await asyncio.sleep(1)
    await bridge.shutdown()
    with pytest.raises(BridgeNotReadyError):
        await waiting
