"""`mark` names the operations whose order matters, for the coverage of a search."""

import asyncio
import zlib

from netra_sim.simulation.loop import VirtualTimeLoop


def mark(*operation: str | int) -> None:
    """Mark an operation, such as ``mark("take the seat", user)``; outside of a `VirtualTimeLoop` this does nothing.

    `netra_sim.exploration.explore` counts the distinct orders of marked operations that its seeds gave. Without any marks
    it counts the orders of the tasks' steps.
    """
    loop = asyncio.get_running_loop()
    if isinstance(loop, VirtualTimeLoop):
        loop.marks = hash((loop.marks, zlib.crc32(repr(operation).encode())))
