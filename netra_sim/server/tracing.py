"""OpenTelemetry spans, if its API is installed."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

trace: Any = None
with suppress(ImportError):  # the API is optional
    trace = importlib.import_module("opentelemetry.trace")


@contextmanager
def span(name: str, **attributes: str) -> Iterator[dict[str, str]]:
    """Open a span around a block; without OpenTelemetry this does nothing.

    Args:
        name: the name of the span.
        attributes: the attributes that are known before the block.

    Returns:
        A context that gives a dict of attributes, to which the block can add. The span gets each as ``netra.<name>``.
    """
    if trace is None:
        yield attributes
        return
    with trace.get_tracer("netra_sim.server").start_as_current_span(name) as current:
        try:
            yield attributes
        finally:
            current.set_attributes({f"netra.{key}": value for key, value in attributes.items()})
