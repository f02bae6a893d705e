"""Describes an error that no code handled and that reached the exception handler of an event loop."""

import re
from collections.abc import Mapping
from typing import Any

_PROCESS_DEPENDENT = re.compile(r" at 0x[0-9a-f]+|(?<=Task)-\d+")
_MAX_LENGTH = 300


def describe_loop_error(context: Mapping[str, Any]) -> tuple[str, str]:
    """The type of the error ("" if there is no exception), and a text with its source, the same in every process.

    Args:
        context: what asyncio passes to the exception handler of a loop.
    """
    error, task, handle = (context.get(name) for name in ("exception", "task", "handle"))
    what = (
        "Exception in a callback" if handle is not None else str(context.get("message", "Unhandled error")).lstrip("_")
    )
    if handle is None and task is None:
        task = context.get("future")
    source = getattr(handle, "_callback", None) if task is None else getattr(task, "get_coro", lambda: None)()
    where = getattr(source, "__qualname__", "")
    parts = [what, where, "" if error is None else f"{type(error).__name__}: {error}"]
    text = without_addresses(": ".join(part for part in parts if part))
    return "" if error is None else type(error).__name__, text[:_MAX_LENGTH]


def without_addresses(text: str) -> str:
    """A text without memory addresses and the numbers of unnamed tasks, which differ between processes."""
    return _PROCESS_DEPENDENT.sub("", text)
