"""Every family of metrics of one process, and what a scrape reads; several processes may share.

prometheus_client's multiprocess mode keeps the numbers in files that any process can sum. It is
chosen for a whole process by an environment variable that is read when the package is imported, so
`share_metrics` comes before, in the first of the processes; those that it starts inherit it.
"""

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_ATTEMPTS: Final = 3


def share_metrics(directory: Path) -> None:
    """Count in files of this directory, in this process and those it starts from now on.

    The directory is empty and stays until all of them have ended.
    """
    os.environ[_VARIABLE] = str(directory)


def process_died(directory: Path, pid: int) -> None:
    """Forget what a process that ended was measuring; what it counted stays counted."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(pid, str(directory))  # type: ignore[no-untyped-call]


class MetricFamilies:
    """Families by name on one registry; a family is made by whoever asks for it first."""

    def __init__(self, shared_files: Path | None = None) -> None:
        """With `shared_files`, what was given to `share_metrics`, samples are the sums over all
        processes, with those that ended. Raises RuntimeError when it was not given in time.
        """
        from prometheus_client import CollectorRegistry, disable_created_metrics, values

        disable_created_metrics()  # type: ignore[no-untyped-call]
        shares = getattr(values.ValueClass, "_multiprocess", False)
        if shared_files is not None and (not shares or os.environ[_VARIABLE] != str(shared_files)):
            raise RuntimeError("share_metrics comes before the first import of prometheus_client")
        if shared_files is not None:
            # Else every number asks the kernel for the process's id, in case of a fork.
            pid = os.getpid()
            values.ValueClass = values.MultiProcessValue(lambda: pid)  # type: ignore
        self._shared_files = shared_files
        self._families: dict[str, Any] = {}
        self._own = CollectorRegistry()

    @property
    def registry(self) -> "CollectorRegistry":
        """Where the samples can be read."""
        from prometheus_client import CollectorRegistry
        from prometheus_client.multiprocess import MultiProcessCollector

        if self._shared_files is None:
            return self._own
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self._shared_files))  # type: ignore[no-untyped-call]
        return registry

    def render(self) -> bytes:
        """The Prometheus text format."""
        from prometheus_client import generate_latest

        for attempt in range(_ATTEMPTS):
            try:
                return generate_latest(self.registry)
            except struct.error:  # a process that starts has made its file and not yet filled it
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError

    def counter(self, name: str, text: str, labels: Sequence[str]) -> "Counter":
        """The counter of that name, without `_total`."""
        from prometheus_client import Counter

        made: Counter = self._family(name, lambda: Counter(name, text, labels, registry=self._own))
        return made

    def gauge(self, name: str, text: str, labels: Sequence[str]) -> "Gauge":
        """The gauge of that name: the sum over the processes that live."""
        from prometheus_client import Gauge

        made: Gauge = self._family(
            name,
            lambda: Gauge(name, text, labels, registry=self._own, multiprocess_mode="livesum"),
        )
        return made

    def histogram(
        self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float]
    ) -> "Histogram":
        """The histogram of that name."""
        from prometheus_client import Histogram

        made: Histogram = self._family(
            name, lambda: Histogram(name, text, labels, registry=self._own, buckets=bounds)
        )
        return made

    def _family(self, name: str, make: Any) -> Any:
        if name not in self._families:
            self._families[name] = make()
        return self._families[name]
