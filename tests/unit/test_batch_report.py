"""The report of a run: what stands on it, that it is escaped, bounded and needs nothing else."""

import re
from html.parser import HTMLParser

import msgspec
import pytest

from batch_scorer.distribution import Distribution
from batch_scorer.report import render
from batch_scorer.report.files import MOST_ROWS, chosen_files
from batch_scorer.report.meanings import MEANINGS
from batch_scorer.run_manifest import Counts, ModelReport, RunManifest
from scoring.records import RejectionCode
from tests.support.run_manifests import MODEL, distribution, input_report, run_manifest

HOSTILE = "<script>alert('x')</script>&\"'"


class _Reader(HTMLParser):
    """The elements of a page with their attributes, and its text without style."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.said: list[str] = []
        self.feed(page.decode())
        self.close()
        assert self.open == []
        self.text = re.sub(r"\s+", " ", " ".join(self.said))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.said.append(data)


def read(manifest: RunManifest, previous: RunManifest | None = None) -> _Reader:
    """The report, with every element closed."""
    return _Reader(render(manifest, previous, "abfs://out@account/run=x"))


def test_a_complete_run_alone() -> None:
    """Verdict, counts, model, figures, labels, reasons for rejections, the file, the settings."""
    text = read(run_manifest()).text
    for said in (
        "Batch run 2026-11-23",
        "Complete 1,000 of 1,002 records were scored and 2 rejected (0.2%).",
        "toy version 7",
        "Duration 12 min 5 s",
        "Records per second 1 ",
        "90th percentile",
        "outlier_score",
        "missing_field A field the model needs is absent.",
        "a.csv 1,002 1,000 2 1000 B 1.0 s",
        "alias champion",
        MODEL.digest,
        "Records in a unit 65,536",
        "Event time 2026-11-23 00:00:00 UTC",
        "abfs://out@account/run=x",
    ):
        assert said in text
    assert "before" not in text.lower()
    assert "What to do" not in text


def test_the_run_before_stands_beside_it() -> None:
    """Its counts, figures and shares, and how large the change is."""
    before = run_manifest(
        "2026-11-22",
        totals=Counts(2000, 2000, 0),
        rejections={"not_finite": 3},
        distribution=distribution(1, 20_000),
    )
    now = run_manifest(distribution=distribution(2, 20_000, shape=3.0))
    page = read(now, before)
    for said in (
        "compared with run 2026-11-22",
        "Received 1,002 2,000 before",
        "Large change · stability index",
        "Large change in score: stability index",
        "not_finite NaN or infinity where the model needs a number. 0 0.0% 3",
    ):
        assert said in page.text
    assert "then" in {attributes.get("class") for tag, attributes in page.elements}


def test_bars_are_as_high_as_their_share() -> None:
    """The highest bin fills the drawing; each bar says what it stands for."""
    counts = [0, *[0] * 18, 30, 60, 0]
    d = {"score": Distribution(90, 80.0, 0.9, 1.0, counts)}
    page = read(run_manifest(distribution=d))
    bars = [a for tag, a in page.elements if tag == "rect" and a.get("x") is not None]
    assert [float(str(a["height"])) for a in bars] == [*[0.0] * 18, 50.0, 100.0]
    assert "0.9 to 0.95: 30 records, 33.3%" in page.text


def test_a_failed_run_says_what_to_do() -> None:
    """The failed files stand first, with why; the same run id completes the run."""
    inputs = [input_report("a.csv", rejected=7), input_report("b.csv", error="b.csv is cut off")]
    failure = "1 of 2 files could not be read: b.csv"
    text = read(run_manifest(outcome="failed", failure=failure, inputs=inputs)).text
    assert "Failed 1 of 2 files could not be read: b.csv." in text
    assert "What to do: Repair the files that are listed below as failed" in text
    assert "run id 2026-11-23" in text
    assert text.index("b.csv is cut off") < text.index("a.csv slowest 100")


def test_a_run_with_too_many_rejections_points_to_them() -> None:
    """No file is to blame."""
    failure = "600 of 1,000 records were rejected"
    text = read(run_manifest(outcome="failed", failure=failure)).text
    assert "What to do: Look at the rejections below" in text


def test_what_is_unusual_is_noted() -> None:
    """Many fewer records, many more rejections, another model, files without records."""
    before = run_manifest("2026-11-22", totals=Counts(10_000, 10_000, 0))
    now = run_manifest(
        totals=Counts(1000, 900, 100),
        model=msgspec.structs.replace(MODEL, version="8", digest="d" * 64),
        inputs=[input_report("a.csv"), input_report("b.csv", received=0, scored=0)],
    )
    text = read(now, before).text
    for said in (
        "1,000 records came; the run before had 10,000.",
        "10.0% of the records were rejected, 0.0% in the run before.",
        "The model is version 8, digest dddddddddddd; in the run before it was version 7",
        "1 file without any record.",
    ):
        assert said in text
    usual = read(run_manifest(), run_manifest("2026-11-22"))
    assert "li" not in {tag for tag, _ in usual.elements}


def test_an_empty_run_can_be_shown() -> None:
    """No records, no time, no outputs, no files."""
    empty = run_manifest(
        totals=Counts(), rejections={}, distribution={}, bins={}, inputs=[], seconds=0.0
    )
    text = read(empty, empty).text
    assert "The input has no records." in text
    assert "Records per second - " in text


def test_everything_is_escaped() -> None:
    """Names of files, models, outputs, values, codes and errors are text and nothing else."""
    d = {
        HOSTILE: Distribution(3, 1.0, 0.0, 1.0, [0, 1, 2, 0]),
        "label": Distribution(3, values={HOSTILE: 3}),
    }
    hostile = run_manifest(
        HOSTILE,
        outcome="failed",
        failure=HOSTILE,
        model=ModelReport(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE),
        record_id_column=HOSTILE,
        bins={HOSTILE: [0.0, 0.5, 1.0]},
        distribution=d,
        rejections={HOSTILE: 1},
        inputs=[input_report(HOSTILE, error=HOSTILE)],
    )
    page = _Reader(render(hostile, hostile, HOSTILE))
    assert "script" not in {tag for tag, _ in page.elements}
    assert page.text.count("alert('x')") >= 12


def test_it_needs_nothing_else() -> None:
    """No script, no file, no address; a policy for browsers says so too."""
    page = read(run_manifest(), run_manifest("2026-11-22"))
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "img", "iframe", "a", "form"})
    links = [a for tag, a in page.elements if "src" in a or "href" in a]
    assert [a["href"] for a in links] == ["data:,"]
    policies = [a["content"] for tag, a in page.elements if "http-equiv" in a]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]


def test_its_size_is_bounded() -> None:
    """However many files, outputs and values there are, and however long their names."""
    long = "n" * 5000
    values = {f"{n}{long[:200]}": n for n in range(50)}
    outputs = {f"{n}{long}": Distribution(1225, values=values) for n in range(500)}
    inputs = [input_report(f"{n}{long}", error=long) for n in range(10_000)]
    huge = run_manifest(outcome="failed", failure=long, distribution=outputs, inputs=inputs)
    page = render(huge, huge)
    assert len(page) < 150_000
    text = _Reader(page).text
    assert "9,970 more files, 9,970 of them failed" in text
    assert "480 more outputs in manifest.json" in text
    assert "38 other values" in text


def test_the_same_run_gives_the_same_bytes() -> None:
    """A run that is finished again writes the same report."""
    assert render(run_manifest(), run_manifest("a")) == render(run_manifest(), run_manifest("a"))


def test_every_code_has_a_meaning() -> None:
    """The list of codes is closed."""
    assert MEANINGS.keys() == set(RejectionCode)


@pytest.mark.parametrize("count", [0, 1, MOST_ROWS])
def test_few_files_are_all_shown(count: int) -> None:
    """Those that failed first, then by rejections, then by time."""
    inputs = [input_report(str(n), rejected=n % 2, seconds=float(n)) for n in range(count)]
    if inputs:
        inputs[0] = input_report("bad", error="cut off")
    chosen = chosen_files(inputs)
    assert (len(chosen.rows), chosen.rest) == (count, None)
    if count > 3:
        assert [r.file for r in chosen.rows[:2]] == ["bad", "49"]


def test_of_many_files_those_worth_a_look_are_shown() -> None:
    """30 that failed, 10 with most rejections, 10 slowest; the others are added up."""
    inputs = [input_report(f"{n:03}") for n in range(200)]
    inputs[:40] = [input_report(f"bad{n:02}", error="cut off", received=0) for n in range(40)]
    inputs[50:65] = [input_report(f"rej{n:02}", rejected=n + 1) for n in range(15)]
    inputs[70:85] = [input_report(f"slow{n:02}", seconds=n + 2.0) for n in range(15)]
    chosen = chosen_files(inputs)
    assert [r.file for r in chosen.rows] == [
        *(f"bad{n:02}" for n in range(30)),
        *(f"rej{n:02}" for n in range(14, 4, -1)),
        *(f"slow{n:02}" for n in range(14, 4, -1)),
    ]
    assert chosen.rest is not None
    assert (chosen.rest.files, chosen.rest.failed) == (150, 10)
    assert chosen.rest.counts.rejected == sum(range(1, 6))
    assert chosen.rest.seconds == 10 + 125 + sum(n + 2.0 for n in range(5)) + 5 + 5


def test_of_many_files_without_rejections_only_the_slowest_are_shown() -> None:
    """None is shown for a number of rejections that is 0."""
    inputs = [input_report(f"{n:03}", seconds=float(n)) for n in range(60)]
    assert [r.file for r in chosen_files(inputs).rows] == [f"{n:03}" for n in range(59, 49, -1)]
