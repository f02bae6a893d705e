"""Conformance checks: they call the runtime directly, for claims that no History can decide."""

import asyncio
from collections.abc import Awaitable, Callable

from netra_sim.bridge import AgentWebSocketBridge
from netra_sim.checks import CheckResult, Finding
from netra_sim.defects.lab_conformance import (
    cursors_of_another_epoch_count_for_nothing,
    every_draw_depends_on_the_seed_and_the_user,
    every_user_asks_as_often_as_planned,
    requests_are_timed_from_when_they_were_due,
    the_digest_covers_every_column,
)
from netra_sim.exceptions import ContextError, FactoryError
from netra_sim.factory import ExecutionEngineFactory, create_user_execution_context
from netra_sim.runtime import (
    WindowsAsyncioSafePatterns,
    exact_clock,
    windows_asyncio_safe,
    windows_safe_gather,
    windows_safe_sleep,
    windows_safe_wait_for,
)
from netra_sim.simulation import run_virtual

Case = Callable[[], Awaitable[bool]]


def windows_layer() -> CheckResult:
    """Check the Windows-safe layer on a clock that ticks 64 times a second."""

    async def waits_for_each_other() -> bool:
        barrier = asyncio.Barrier(10)
        await windows_safe_gather(*(barrier.wait() for _ in range(10)))
        return True

    async def wakes_at_once() -> bool:
        loop = asyncio.get_running_loop()
        clock, done = exact_clock(loop), loop.create_future()
        began = clock()
        loop.call_later(0.1, done.set_result, "answer")
        return await windows_safe_wait_for(done, 30.0) == "answer" and clock() - began < 0.12

    async def never_sleeps_too_short() -> bool:
        clock = exact_clock(asyncio.get_running_loop())
        began = clock()
        await windows_safe_sleep(0.05)
        return clock() - began >= 0.05

    async def patches_nothing() -> bool:
        stock = asyncio.sleep

        @windows_asyncio_safe
        async def decorated() -> bool:
            await asyncio.sleep(0.1)
            return asyncio.sleep is windows_safe_sleep

        async def undecorated() -> bool:
            return asyncio.sleep is stock and await asyncio.sleep(0, result=1) == 1

        return all(await asyncio.gather(decorated(), undecorated(), decorated()))

    async def tells_the_time_left() -> bool:
        async with WindowsAsyncioSafePatterns().create_safe_timeout_context(timeout=1.0) as context:
            while not context.check_timeout():
                await windows_safe_sleep(0.3)
            return context.is_timed_out

    async def cancels_what_it_waits_for() -> bool:
        ended: list[str] = []

        async def waits() -> None:
            try:
                await windows_safe_sleep(1.0)
            finally:
                ended.append("cancelled")

        waiting = asyncio.create_task(windows_safe_wait_for(waits(), 2.0))
        await windows_safe_sleep(0.1)
        waiting.cancel()
        await asyncio.wait([waiting])
        return waiting.cancelled() and ended == ["cancelled"]

    return _conformance(
        "windows-layer",
        "Does the Windows-safe layer wait, wake, gather and time out as it should, without patching asyncio?",
        waits_for_each_other,
        wakes_at_once,
        never_sleeps_too_short,
        patches_nothing,
        tells_the_time_left,
        cancels_what_it_waits_for,
    )


def bridge_integration() -> CheckResult:
    """Check that the bridge reports success when its back end works, and failure when it does not."""

    async def integrates() -> bool:
        bridge = AgentWebSocketBridge()
        result = await bridge.ensure_integration()
        await bridge.shutdown()
        return result.success

    async def admits_failure() -> bool:
        async def is_down() -> None:
            raise ConnectionError("down")

        bridge = AgentWebSocketBridge(backends={"database": is_down})
        result = await bridge.ensure_integration()
        await bridge.shutdown()
        return not result.success and "database" in result.error

    question = "Does the bridge integrate, and admit it when it cannot?"
    return _conformance("bridge-integration", question, integrates, admits_failure)


def factory_needs_bridge() -> CheckResult:
    """Check that a factory requires a bridge."""

    async def accepts_a_bridge() -> bool:
        return ExecutionEngineFactory(websocket_bridge=AgentWebSocketBridge()).live_engines() == 0

    async def refuses_nothing() -> bool:
        try:
            ExecutionEngineFactory(websocket_bridge=None)  # type: ignore[arg-type]
        except FactoryError:
            return True
        return False

    return _conformance(
        "factory-needs-bridge", "Is there no factory without a bridge?", accepts_a_bridge, refuses_nothing
    )


def real_ids() -> CheckResult:
    """Check that contexts refuse placeholders as user ids (incident B3)."""

    async def takes_a_real_one() -> bool:
        return (await create_user_execution_context("alice", None, {})).user_id == "alice"

    async def refuses_placeholders() -> bool:
        for user_id in ("registry", "system", "None", "", " alice"):
            try:
                await create_user_execution_context(user_id, None, {})
            except ContextError:
                continue
            return False
        return True

    return _conformance("real-ids", "Are placeholders refused as user ids?", takes_a_real_one, refuses_placeholders)


def epochs() -> CheckResult:
    """Check a client that reconnects to a server with another memory of runs."""
    question = "Does a client that comes back to another server's memory get everything from the start?"
    return _conformance("epochs", question, cursors_of_another_epoch_count_for_nothing)


def lab() -> CheckResult:
    """Check the lab itself: its plan, its draws, its clock and its digest."""
    return _conformance(
        "lab",
        "Does the lab make every planned request, draw everything from the seed, time from due, and hash every column?",
        the_digest_covers_every_column,
        every_user_asks_as_often_as_planned,
        requests_are_timed_from_when_they_were_due,
        every_draw_depends_on_the_seed_and_the_user,
    )


def conformance_checks() -> list[CheckResult]:
    """All conformance checks."""
    return [
        windows_layer(),
        bridge_integration(),
        factory_needs_bridge(),
        real_ids(),
        epochs(),
        lab(),
    ]


def _conformance(name: str, question: str, *cases: Case) -> CheckResult:
    findings = []
    for case in cases:
        words = case.__name__.replace("_", " ")
        try:
            if not run_virtual(_await(case), tick=1 / 64, time_limit=60.0):
                findings.append(Finding(message=f"the case {words!r} failed"))
        except Exception as error:
            findings.append(Finding(message=f"the case {words!r} broke: {type(error).__name__}: {error}"))
    return CheckResult(
        check=name,
        question=question,
        looked_at=len(cases),
        unit="conformance_checks",
        found=len(findings),
        findings=tuple(findings),
    )


async def _await(case: Case) -> bool:
    return await case()
