"""Samples out of the Prometheus text format."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

_SAMPLE: Final = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def total(text: str, name: str, labels: Mapping[str, str]) -> float:
    """The sum of the samples that have all these labels; 0 without any."""
    return sum(v for found, v in _samples(text, name) if labels.items() <= found.items())


def by_label(text: str, name: str, label: str) -> Mapping[str, float]:
    """Sums of samples by the value of one label."""
    sums: Counter[str] = Counter()
    for labels, value in _samples(text, name):
        sums[labels.get(label, "")] += value  # type: ignore[assignment]
    return dict(sums)


def _samples(text: str, name: str) -> Iterator[tuple[dict[str, str], float]]:
    for line in text.splitlines():
        match = _SAMPLE.match(line)
        if match is not None and match[1] == name:
            yield dict(_LABEL.findall(match[2] or "")), float(match[3])
