"""The metrics of the server, for Prometheus."""

from collections.abc import Iterator
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from netra_sim.bridge import AgentWebSocketBridge, IntegrationState
from netra_sim.factory import ExecutionEngineFactory

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_RUN_SECONDS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600)


class MeasuredServer(Protocol):
    """What the metrics read at each scrape.

    Attributes:
        bridge: carries the events.
        factory: makes the engines.
        sockets: the number of open sockets.
        unready_sockets: the number of these that have not sent ``resume``.
    """

    bridge: AgentWebSocketBridge
    factory: ExecutionEngineFactory
    sockets: int
    unready_sockets: int

    @property
    def is_ready(self) -> bool:
        """Whether new runs can begin."""


class ServerMetrics(Collector):
    """Counts what the server does, in a separate registry. It reads the counters of the bridge at each scrape."""

    def __init__(self, server: MeasuredServer) -> None:
        self._server = server
        self._registry = CollectorRegistry()
        self._messages = self._counter("netra_messages", "Messages of clients that could be read.", "type")
        self._refused = self._counter("netra_refused_messages", "Messages that were refused.", "code")
        self._closed = self._counter("netra_closed_connections", "Connections that ended, by close code.", "code")
        self._runs = Histogram(
            "netra_run_seconds", "How long runs took.", ["status"], buckets=_RUN_SECONDS, registry=self._registry
        )
        self._registry.register(self)

    def message(self, kind: str) -> None:
        """Count a message of this type."""
        self._messages.labels(kind).inc()

    def refused(self, code: str) -> None:
        """Count a refusal; the code "run" stands for a run that could not begin."""
        self._refused.labels(code).inc()

    def closed(self, code: int) -> None:
        """Count an ended connection. Codes that a client invents share one label."""
        known = 1000 <= code <= 1015 or 4000 <= code <= 4499
        self._closed.labels(str(code) if known else "other").inc()

    def ran(self, status: str, seconds: float) -> None:
        """Count an ended run and its duration in seconds."""
        self._runs.labels(status).observe(seconds)

    def text(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The counters and gauges of the bridge and the service; see `prometheus_client.registry.Collector`."""
        server = self._server
        now = server.bridge.metrics()
        yield _gauge("netra_ready", "1 while new runs can begin.", server.is_ready)
        yield _gauge("netra_bridge_active", "1 while the bridge is integrated.", now.state is IntegrationState.ACTIVE)
        yield _gauge("netra_sockets", "Open sockets.", server.sockets)
        yield _gauge("netra_unready_sockets", "Sockets that have not said resume.", server.unready_sockets)
        yield _gauge("netra_connections", "Connections that get events.", now.live_connections)
        yield _gauge("netra_live_runs", "Runs that execute.", server.factory.live_engines())
        yield _gauge("netra_kept_runs", "Runs that can be replayed, live or ended.", now.kept_runs)
        yield _gauge("netra_replay_bytes", "Bytes kept for replay.", now.replay_bytes)
        yield _gauge("netra_unsent_bytes", "Bytes that clients have not taken.", now.unsent_bytes)
        counts = now.counters
        for name in counts.__struct_fields__:
            yield CounterMetricFamily(f"netra_bridge_{name}", "See Counters of the bridge.", getattr(counts, name))
        yield CounterMetricFamily("netra_probes", "Health checks of the bridge.", now.probes)
        yield CounterMetricFamily("netra_failed_probes", "Health checks that failed.", now.failed_probes)

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering this collector does not read the bridge, which may not be ready."""
        return []

    def _counter(self, name: str, text: str, label: str) -> Counter:
        return Counter(name, text, [label], registry=self._registry)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, float(value))
