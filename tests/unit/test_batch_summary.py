"""The text at the end of a run."""

import pytest

from adapters.storage import Storage, open_storage
from batch_scorer.distribution import Distribution
from batch_scorer.run_manifest import Counts
from batch_scorer.summary import summarize
from tests.support.run_manifests import distribution, input_report, run_manifest


@pytest.fixture
def output() -> Storage:
    """It is not asked anything."""
    return open_storage("memory://out")


def test_a_run_without_rejections_in_few_lines(output: Storage) -> None:
    """Counts, scores and labels, model, where scores and report lie; no line about nothing."""
    counts = [0, *[10] * 20, 0]
    d = {
        "score": Distribution(200, 100.0, 0.0, 1.0, counts),
        "label": Distribution(200, values={"Yes": 50, "No": 150}),
    }
    manifest = run_manifest(totals=Counts(200, 200, 0), rejections={}, distribution=d, seconds=0.42)
    assert summarize(manifest, output).splitlines() == [
        "run 2026-11-23: 200 received, 200 scored, 0 rejected in 0.4 s",
        "score: mean 0.5000, 10% below 0.1000, half below 0.5000, 90% below 0.9000, "
        "from 0.0000 to 1.0000",
        "label: No 75.0%, Yes 25.0%",
        "model toy version 7 digest 0f3c52a91be4",
        "output memory://out/run=2026-11-23",
        "report memory://out/run=2026-11-23/report.html",
    ]


def test_rejections_and_files(output: Storage) -> None:
    """The first five reasons and failed files, the most frequent first, and the slowest file."""
    inputs = [input_report(f"bad{n}.csv", error=f"bad{n}.csv is cut off") for n in range(7)]
    inputs += [input_report("slow.csv", seconds=75.0), input_report("b.csv")]
    codes = {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6}
    failure = "7 of 9 files could not be read"
    manifest = run_manifest(outcome="failed", failure=failure, rejections=codes, inputs=inputs)
    lines = summarize(manifest, output).splitlines()
    assert lines[1] == "failed: 7 of 9 files could not be read"
    assert lines[2] == "rejected: f 6, e 5, d 4, c 3, b 2 and 1 more"
    assert [line for line in lines if line.startswith("failed file")] == [
        f"failed file bad{n}.csv: bad{n}.csv is cut off" for n in range(5)
    ]
    assert "2 more failed files: see the report" in lines
    assert "9 files, the slowest slow.csv with 75.0 s of work" in lines


def test_the_change_since_the_run_before_is_one_line(output: Storage) -> None:
    """The first output and those that moved in figures, the others in number."""
    before = run_manifest("2026-11-22", distribution=distribution(1, 20_000))
    now = run_manifest(distribution=distribution(2, 20_000))
    (line,) = [x for x in summarize(now, output, before).splitlines() if x.startswith("since")]
    assert line.startswith(
        "since run 2026-11-22 with 1,002 received: score steady, stability index"
    )
    assert line.endswith("; 3 others steady")
    moved = run_manifest(distribution=distribution(2, 20_000, shape=3.0))
    (line,) = [x for x in summarize(moved, output, before).splitlines() if x.startswith("since")]
    assert "score large change, stability index" in line
    assert "; label some change, stability index" in line
    assert line.endswith("; 2 others steady")


def test_a_run_before_with_other_outputs_is_named(output: Storage) -> None:
    """There is nothing else to say."""
    text = summarize(run_manifest(), output, run_manifest("2026-11-22", distribution={}))
    assert "since run 2026-11-22 with 1,002 received\n" in text


def test_it_stays_short(output: Storage) -> None:
    """However many outputs, values and files there are, and however long their names."""
    long = "n" * 5000
    values = {f"{n}{long[:200]}": 1 for n in range(50)}
    outputs = {f"{n}{long}": Distribution(50, values=values) for n in range(300)}
    inputs = [input_report(f"{n}{long}", error=long) for n in range(1000)]
    huge = run_manifest(outcome="failed", failure=long, distribution=outputs, inputs=inputs)
    before = run_manifest(distribution={k: Distribution(9, values={"x": 9}) for k in outputs})
    text = summarize(huge, output, before)
    assert len(text) < 8000
    assert len(text.splitlines()) < 30
    assert "295 more outputs: see the report" in text


def test_numbers_without_bins_have_mean_and_range(output: Storage) -> None:
    """And outputs with too many values have no line."""
    d = {"y": Distribution(4, 10.0, -1.0, 7.0), "text": Distribution(4)}
    lines = summarize(run_manifest(distribution=d), output).splitlines()
    assert "y: mean 2.500, from -1.000 to 7.000" in lines
    assert not [line for line in lines if line.startswith("text")]
