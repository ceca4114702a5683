"""What the worker tells Prometheus."""

from prometheus_client import CollectorRegistry, Gauge, generate_latest


class MonitorMetrics:
    """Two gauges, labelled with the model and its version."""

    def __init__(self, model: str, version: str) -> None:
        """Registers on a registry of its own."""
        self._registry = CollectorRegistry()
        labels = ("model", "version")
        self._lag = Gauge(
            "trilane_window_lag_seconds",
            "Age of the end of the oldest closed window that has no report yet; 0 when none.",
            labels,
            registry=self._registry,
        ).labels(model, version)
        self._drifted = Gauge(
            "trilane_drift_features",
            "Features that drifted in the latest reported window.",
            labels,
            registry=self._registry,
        ).labels(model, version)

    def lag(self, seconds: float) -> None:
        """Set how far behind the worker is."""
        self._lag.set(seconds)

    def drifted(self, features: int) -> None:
        """Set the number of features that drifted."""
        self._drifted.set(features)

    def render(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self._registry)
