"""What Prometheus reads at /metrics. All of it is counted in the front, one process for all."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

#: Seconds; pages take tenths of seconds, a queue of them tens.
_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 30, 60)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The service's metrics; names start with ``ppocr_``."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests", "Requests answered", "module", "code")
        self.errors = self._counter("errors", "Requests that failed, by kind", "kind")
        self.duration = self._histogram(
            "request_seconds", "From a request's head to its answer", "module"
        )
        self.stages = self._histogram("stage_seconds", "Work on a request, by stage", "stage")
        self.images = self._counter("images", "Images read", "module")
        self.lines = self._counter("lines", "Lines of text answered", "module")
        self.body_bytes = self._counter("received_bytes", "Bytes of request bodies received")
        self.waiting = self._gauge("queue_requests", "Requests waiting for a worker")
        self.working = self._gauge("working_requests", "Requests workers are busy with")
        self.buffered = self._gauge("buffered_bytes", "Bytes of request bodies held")
        self.connections = self._gauge("connections", "Clients connected")
        self.ready = self._gauge("ready", "1 when requests are answered")
        self._gauge("start_time_seconds", "Unix time of the service's start").set_to_current_time()
        self.workers = self._gauge("workers", "Workers that are ready")
        self.memory = self._gauge("worker_memory_bytes", "Resident memory of a worker", "pid")
        self.device = self._gauge("device_info", "Where a module's models run", "module", "device")
        self.restarts = self._counter("worker_restarts", "Workers replaced, by reason", "reason")
        for reason in ("recycled", "lost", "memory"):
            self.restarts.labels(reason)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"ppocr_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"ppocr_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"ppocr_{name}", text, labels, buckets=_BUCKETS, registry=self.registry)

    def text(self) -> bytes:
        """The exposition."""
        page: bytes = generate_latest(self.registry)
        return page
