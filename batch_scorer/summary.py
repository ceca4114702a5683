"""What a run says at its end, on stdout."""

from collections.abc import Iterator
from typing import Final

from adapters.storage import Storage
from batch_scorer.distribution import Distribution
from batch_scorer.report import REPORT, Change, changes
from batch_scorer.report.files import slowest_file
from batch_scorer.report.quantiles import quantile
from batch_scorer.report.words import decimals, duration, fixed, index, percent, shortened, signed
from batch_scorer.run_manifest import RunManifest, run_directory

_MOST_CODES: Final = 5
_MOST_FAILED: Final = 5
_MOST_OUTPUTS: Final = 5
_MOST_VALUES: Final = 5


def summarize(manifest: RunManifest, output: Storage, previous: RunManifest | None = None) -> str:
    """Some ten lines for people, without values of records; no storage is asked."""
    totals, model = manifest.totals, manifest.model
    counts = f"{totals.received:,} received, {totals.scored:,} scored, {totals.rejected:,} rejected"
    directory = run_directory(manifest.run_id)
    lines = [
        f"run {manifest.run_id}: {counts} in {duration(manifest.seconds)}",
        *([f"failed: {shortened(manifest.failure, 500)}"] if manifest.failure else []),
        *_rejections(manifest),
        *_scores(manifest),
        *_files(manifest),
        *([_change(manifest, previous)] if previous is not None else []),
        f"model {model.name} version {model.version} digest {model.digest[:12]}",
        f"output {output.url_of(directory)}",
        f"report {output.url_of(f'{directory}/{REPORT}')}",
    ]
    return "\n".join(lines)


def _rejections(manifest: RunManifest) -> Iterator[str]:
    codes = sorted(manifest.rejections.items(), key=lambda item: -item[1])
    if codes:
        yield "rejected: " + _listed([f"{code} {n:,}" for code, n in codes], _MOST_CODES)


def _scores(manifest: RunManifest) -> Iterator[str]:
    found = [(name, d) for name, d in manifest.distribution.items() if d.count]
    for name, distribution in found[:_MOST_OUTPUTS]:
        said = _said(distribution, manifest.bins.get(name, []))
        if said:
            yield f"{shortened(name, 40)}: {said}"
    if len(found) > _MOST_OUTPUTS:
        yield f"{len(found) - _MOST_OUTPUTS:,} more outputs: see the report"


def _said(distribution: Distribution, edges: list[float]) -> str:
    if distribution.values:
        ordered = sorted(distribution.values.items(), key=lambda item: (-item[1], item[0]))
        shares = [f"{shortened(v, 40)} {percent(n, distribution.count)}" for v, n in ordered]
        return _listed(shares, _MOST_VALUES)
    low, high = distribution.minimum, distribution.maximum
    if low is None or high is None:
        return ""
    places = decimals(max(abs(low), abs(high)))
    said = [f"mean {fixed(distribution.mean, places)}"]
    for share, words in ((0.1, "10%"), (0.5, "half"), (0.9, "90%")):
        found = quantile(distribution, edges, share)
        if found is not None:
            said.append(f"{words} below {fixed(found, places)}")
    said.append(f"from {fixed(low, places)} to {fixed(high, places)}")
    return ", ".join(said)


def _files(manifest: RunManifest) -> Iterator[str]:
    failed = [report for report in manifest.inputs if report.error is not None]
    for report in failed[:_MOST_FAILED]:
        yield f"failed file {shortened(report.file)}: {shortened(report.error or '', 300)}"
    if len(failed) > _MOST_FAILED:
        yield f"{len(failed) - _MOST_FAILED:,} more failed files: see the report"
    slowest = slowest_file(manifest.inputs)
    if slowest is not None:
        yield (
            f"{len(manifest.inputs):,} files, the slowest {shortened(slowest.file)} "
            f"with {duration(slowest.seconds)} of work"
        )


def _change(manifest: RunManifest, previous: RunManifest) -> str:
    """The first output and those that moved; the others are counted."""
    found = changes(previous, manifest)
    told = [name for place, name in enumerate(found) if not place or found[name].moved]
    said = [_moved(name, found[name], manifest.distribution[name]) for name in told]
    if len(said) > _MOST_OUTPUTS:
        said[_MOST_OUTPUTS:] = [f"{len(said) - _MOST_OUTPUTS:,} more moved"]
    steady = sum(c.extent == "steady" for name, c in found.items() if name not in told)
    if steady:
        said.append(f"{steady:,} other{'s' if steady > 1 else ''} steady")
    before = f"since run {previous.run_id} with {previous.totals.received:,} received"
    return f"{before}: {'; '.join(said)}" if said else before


def _moved(name: str, found: Change, now: Distribution) -> str:
    words = [f"{shortened(name, 40)} {found.extent or 'not compared by bins'}"]
    if found.stability is not None:
        words.append(f"stability index {index(found.stability)}")
    if found.mean is not None and now.minimum is not None and now.maximum is not None:
        places = decimals(max(abs(now.minimum), abs(now.maximum)))
        words.append(f"mean change {signed(found.mean, places)}")
    return ", ".join(words)


def _listed(texts: list[str], most: int) -> str:
    rest = len(texts) - most
    return ", ".join(texts[:most]) + (f" and {rest:,} more" if rest > 0 else "")
