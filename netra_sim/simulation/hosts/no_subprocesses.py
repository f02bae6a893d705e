"""The part of a loop that refuses to start a process, at the line that asks for it."""

import asyncio
import sys
from typing import Any


class NoSubprocesses(asyncio.BaseEventLoop):
    """A loop whose `subprocess_exec` and `subprocess_shell` meet the register of boundary calls."""

    async def _make_subprocess_transport(
        self, protocol: asyncio.BaseProtocol, args: Any, *settings: Any, **named: Any
    ) -> Any:
        """Raise the audit event of `subprocess.Popen`, which `BoundaryWatch` answers; then refuse.

        Raises:
            NotImplementedError: nobody watches the boundary.
        """
        sys.audit("subprocess.Popen", args, args, None, None)
        raise NotImplementedError("a simulated host starts no processes")
