"""The layer under another name, and aliases of the raw functions."""

import asyncio as aio
from asyncio import wait_for as limited
from functools import partial

from netra_sim.runtime import windows_asyncio_safe as safe
from netra_sim.runtime import windows_safe_sleep as pause

nap = aio.sleep
wait_five = partial(limited, timeout=5)
