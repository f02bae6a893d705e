"""OpenTelemetry spans, where its API is installed; without it nothing is done."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

trace: Any = None
with suppress(ImportError):  # the API is optional
    trace = importlib.import_module("opentelemetry.trace")


@contextmanager
def span(name: str, **attributes: str) -> Iterator[dict[str, str]]:
    """A span around a block.

    Args:
        name: what the block does.
        attributes: what is known before it.

    Returns:
        As a context: a dict, to which the block adds what it finds out. All go into the span as ``netra.<name>``.
    """
    if trace is None:
        yield attributes
        return
    with trace.get_tracer("netra_sim.server").start_as_current_span(name) as current:
        try:
            yield attributes
        finally:
            current.set_attributes({f"netra.{key}": value for key, value in attributes.items()})
