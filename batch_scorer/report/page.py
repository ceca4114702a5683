"""The report of a run: one page of HTML with no script, no other file and no network."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from batch_scorer.report import words
from batch_scorer.report.files import chosen_files, slowest_file
from batch_scorer.report.histogram import HEIGHT, WIDTH
from batch_scorer.report.meanings import meaning
from batch_scorer.report.outputs import shown_outputs
from batch_scorer.report.verdict import verdict
from batch_scorer.run_manifest import RunManifest

if TYPE_CHECKING:
    from jinja2 import Template

REPORT: Final = "report.html"
"""Its name in the run's directory."""


@dataclass(frozen=True, slots=True)
class _Rejection:
    """One code: how many records, and what it means."""

    code: str
    meaning: str
    count: int
    share: str
    before: str


def render(
    manifest: RunManifest, previous: RunManifest | None = None, location: str | None = None
) -> bytes:
    """The page as UTF-8, compared with the run before; the same input gives the same bytes.

    `location` is where the run lies, for people. What is unbounded in a manifest is cut, and
    everything is escaped.
    """
    outputs = shown_outputs(manifest, previous)
    page = _template().render(
        run=manifest,
        before=previous,
        location=location,
        verdict=verdict(manifest, previous),
        outputs=outputs,
        has_outside=any(bar.outside for o in outputs if o.drawing for bar in o.drawing.bars),
        rejections=_rejections(manifest, previous),
        files=chosen_files(manifest.inputs),
        slowest=slowest_file(manifest.inputs),
        failed=sum(report.error is not None for report in manifest.inputs),
        bytes_read=sum(report.size for report in manifest.inputs),
        drawing=(WIDTH, HEIGHT),
        time=_time,
        **{name: getattr(words, name) for name in _WORDS},
    )
    return page.encode()


_WORDS: Final = ("duration", "percent", "plural", "shortened", "size", "whole")


def _rejections(manifest: RunManifest, previous: RunManifest | None) -> list[_Rejection]:
    before = previous.rejections if previous is not None else {}
    codes = dict.fromkeys([*manifest.rejections, *before])
    return [
        _Rejection(
            code=code,
            meaning=meaning(code),
            count=manifest.rejections.get(code, 0),
            share=words.percent(manifest.rejections.get(code, 0), manifest.totals.received),
            before="" if previous is None else words.whole(before.get(code, 0)),
        )
        for code in codes
    ]


def _time(text: str) -> str:
    """A time of the manifest for people."""
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


@lru_cache(maxsize=1)
def _template() -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")
