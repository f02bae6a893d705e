"""Windows-safe waits, timeouts and event loops for asyncio, with the same behaviour on every platform."""

from typing import TYPE_CHECKING

from netra_sim.lazy import on_first_use

if TYPE_CHECKING:
    from netra_sim.runtime.alarms import exact_clock
    from netra_sim.runtime.decorator import WindowsAsyncioSafePatterns, windows_asyncio_safe
    from netra_sim.runtime.event_loop import is_fragile, new_event_loop, run
    from netra_sim.runtime.notebook import enable_nest_asyncio, measuring, nest_asyncio_enabled
    from netra_sim.runtime.stopping import on_stop_signal, stopped_like_ctrl_c
    from netra_sim.runtime.timeouts import WindowsSafeTimeoutContext
    from netra_sim.runtime.waits import (
        windows_safe_gather,
        windows_safe_progressive_delay,
        windows_safe_sleep,
        windows_safe_wait_for,
    )

__all__ = [
    "WindowsAsyncioSafePatterns",
    "WindowsSafeTimeoutContext",
    "enable_nest_asyncio",
    "exact_clock",
    "is_fragile",
    "measuring",
    "nest_asyncio_enabled",
    "new_event_loop",
    "on_stop_signal",
    "run",
    "stopped_like_ctrl_c",
    "windows_asyncio_safe",
    "windows_safe_gather",
    "windows_safe_progressive_delay",
    "windows_safe_sleep",
    "windows_safe_wait_for",
]

__getattr__ = on_first_use(
    __name__,
    {
        "WindowsAsyncioSafePatterns": "decorator",
        "WindowsSafeTimeoutContext": "timeouts",
        "enable_nest_asyncio": "notebook",
        "exact_clock": "alarms",
        "is_fragile": "event_loop",
        "measuring": "notebook",
        "nest_asyncio_enabled": "notebook",
        "new_event_loop": "event_loop",
        "on_stop_signal": "stopping",
        "run": "event_loop",
        "stopped_like_ctrl_c": "stopping",
        "windows_asyncio_safe": "decorator",
        "windows_safe_gather": "waits",
        "windows_safe_progressive_delay": "waits",
        "windows_safe_sleep": "waits",
        "windows_safe_wait_for": "waits",
    },
)
