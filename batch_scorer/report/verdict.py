"""How a run ended and what its operator should do, in words."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from batch_scorer.report.change import SOME, changes
from batch_scorer.report.words import index, percent, plural, whole
from batch_scorer.run_manifest import RunManifest

_FEWER: Final = 0.5
_MORE: Final = 2.0
_REJECTED: Final = 0.01


@dataclass(frozen=True, slots=True)
class Verdict:
    """`what` happened, what `to_do` now (empty for nothing), and what to look at anyway."""

    complete: bool
    what: str
    to_do: str
    notes: tuple[str, ...]


def verdict(manifest: RunManifest, previous: RunManifest | None) -> Verdict:
    """Of a run, compared with the one before it if there is one."""
    notes = tuple(_notes(manifest, previous))
    if manifest.outcome == "complete":
        return Verdict(True, _scored(manifest), "", notes)
    what = f"{manifest.failure or 'The run failed'}. {_scored(manifest)}"
    return Verdict(False, what[:1].upper() + what[1:], _to_do(manifest), notes)


def _scored(manifest: RunManifest) -> str:
    totals = manifest.totals
    if not totals.received:
        return "The input has no records."
    if not totals.rejected:
        return f"All {whole(totals.received)} records were scored."
    return (
        f"{whole(totals.scored)} of {whole(totals.received)} records were scored and "
        f"{whole(totals.rejected)} rejected ({percent(totals.rejected, totals.received)})."
    )


def _to_do(manifest: RunManifest) -> str:
    again = (
        f"then run the same command again with run id {manifest.run_id}: it does what is missing "
        "and what has changed."
    )
    if any(report.error is not None for report in manifest.inputs):
        return f"Repair the files that are listed below as failed, {again}"
    return (
        "Look at the rejections below: a reason that most rows share is a column or a model that "
        f"does not fit. Repair the input, {again}"
    )


def _notes(manifest: RunManifest, previous: RunManifest | None) -> Iterator[str]:
    totals = manifest.totals
    empty = sum(not report.received and report.error is None for report in manifest.inputs)
    if empty and totals.received:
        yield f"{plural(empty, 'file')} without any record."
    if previous is None:
        return
    before = previous.totals
    if before.received and not _FEWER <= totals.received / before.received <= _MORE:
        yield (
            f"{plural(totals.received, 'record')} came; the run before had "
            f"{whole(before.received)}."
        )
    share, share_before = _rejected_share(manifest), _rejected_share(previous)
    if share > max(_REJECTED, 2 * share_before):
        yield (
            f"{percent(totals.rejected, totals.received)} of the records were rejected, "
            f"{percent(before.rejected, before.received)} in the run before."
        )
    if manifest.model.digest != previous.model.digest:
        was, now = previous.model, manifest.model
        yield (
            f"The model is version {now.version}, digest {now.digest[:12]}; in the run before it "
            f"was version {was.version}, digest {was.digest[:12]}."
        )
    for name, found in changes(previous, manifest).items():
        if found.moved and found.extent is not None and found.stability is not None:
            yield (
                f"{found.extent.capitalize()} in {name}: stability index "
                f"{index(found.stability)}, where less than {SOME} is steady."
            )


def _rejected_share(manifest: RunManifest) -> float:
    totals = manifest.totals
    return totals.rejected / totals.received if totals.received else 0.0
