"""What the benchmark of the batch scorer measures with: its workforces, its clock, its sections."""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from benchmarks.batch.__main__ import SECTIONS, main
from benchmarks.batch.bench import Bench, batch_command, timed
from benchmarks.batch.workforce import write_csv, write_files, write_parquet
from benchmarks.online.servers import BenchError
from tests.support.measured import Measured
from training.data import FEATURES, ID, NUMERIC_FEATURES, TEXT_FEATURES, load_employees

ROWS = 1_234
SPEND = "import sys; data = bytearray({size}); sum(range({loops})); sys.exit({code})"


@pytest.fixture(scope="module")
def workforce(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same employees as Parquet and CSV."""
    directory = tmp_path_factory.mktemp("workforce")
    write_parquet(directory / "a.parquet", ROWS)
    write_csv(directory / "a.csv", ROWS)
    return directory


def read(path: Path) -> pa.Table:
    """A workforce of either format, typed as Parquet has it."""
    if path.suffix == ".parquet":
        return pq.read_table(path)
    types = {name: pa.string() if name in TEXT_FEATURES else pa.int64() for name in FEATURES}
    return pc.read_csv(path, convert_options=pc.ConvertOptions(column_types=types))


def test_a_workforce_is_the_same_each_time(workforce: Path, tmp_path: Path) -> None:
    """To the byte, so that figures of one machine are comparable."""
    write_parquet(tmp_path / "a.parquet", ROWS)
    write_csv(tmp_path / "a.csv", ROWS)
    for name in ("a.parquet", "a.csv"):
        assert (tmp_path / name).read_bytes() == (workforce / name).read_bytes()


def test_both_formats_carry_the_same_records(workforce: Path) -> None:
    """As many as were asked for, with ids from 1, all features and no nulls."""
    table = read(workforce / "a.parquet")
    assert table.equals(read(workforce / "a.csv"))
    assert table.column_names == [ID, *FEATURES]
    assert table[ID].to_pylist() == list(range(1, ROWS + 1))
    assert all(column.null_count == 0 for column in table.columns)


def test_employees_are_like_those_of_the_example(workforce: Path) -> None:
    """Numbers in its ranges, texts of its words; but not the same people again and again."""
    table, example = read(workforce / "a.parquet"), load_employees(None).inputs
    for name in NUMERIC_FEATURES:
        values = table[name].to_numpy()
        assert example[name].min() <= values.min() <= values.max() <= example[name].max()
    for name in TEXT_FEATURES:
        assert set(table[name].to_pylist()) <= set(example[name])
    rows = list(zip(*(table[name].to_pylist() for name in FEATURES), strict=True))
    assert len(set(rows)) == ROWS


def test_what_was_written_is_kept(workforce: Path) -> None:
    """Ten million rows take minutes to write; nothing of an attempt is left beside them."""
    before = {path: path.stat().st_mtime_ns for path in workforce.iterdir()}
    assert sorted(path.name for path in before) == ["a.csv", "a.parquet"]
    write_parquet(workforce / "a.parquet", 7)
    write_csv(workforce / "a.csv", 7)
    assert {path: path.stat().st_mtime_ns for path in workforce.iterdir()} == before


def test_a_workforce_in_many_files(tmp_path: Path) -> None:
    """Of both formats by turns, each of the size asked for; together everybody once."""
    write_files(tmp_path / "in", 6, 50)
    paths = sorted((tmp_path / "in").iterdir())
    assert [path.suffix for path in paths] == [".parquet", ".csv"] * 3
    tables = [read(path) for path in paths]
    assert [table.num_rows for table in tables] == [50] * 6
    ids = pa.concat_tables(tables)[ID].to_pylist()
    assert ids == list(range(1, 301))


def spent(size: int, loops: int, code: int = 0) -> list[str]:
    """A command that takes so much memory and time."""
    return [sys.executable, "-c", SPEND.format(size=size, loops=loops, code=code)]


def test_time_and_memory_are_those_of_the_command(tmp_path: Path) -> None:
    """The peak counts what it held at once; work counts as CPU time."""
    small = timed(spent(1, 1), tmp_path / "log")
    large = timed(spent(200_000_000, 3_000_000), tmp_path / "log")
    assert 150e6 < large.peak_bytes - small.peak_bytes < 300e6
    assert large.cpu_seconds > small.cpu_seconds > 0
    assert Measured(0, 2.0, 1.0, 0).speed(1_000) == 500


def test_a_command_that_fails_is_no_measurement(tmp_path: Path) -> None:
    """Its exit code and its last words are reported."""
    script = "import sys; print(*range(40), sep='\\n'); sys.exit('gone wrong')"
    with pytest.raises(BenchError, match="ended with 1") as caught:
        timed([sys.executable, "-c", script], tmp_path / "log")
    assert "gone wrong" in str(caught.value)
    assert "\n39\n" in str(caught.value)
    assert "\n7\n" not in str(caught.value)
    killed = [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]
    with pytest.raises(BenchError, match="ended with -9"):
        timed(killed, tmp_path / "log")


def test_settings_of_this_shell_are_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only those that are given."""
    monkeypatch.setenv("TRILANE_THREADS", "1")
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "3")
    script = "import os; print(sorted(k for k in os.environ if k[:4] in ('TRIL', 'JOB_')))"
    timed([sys.executable, "-c", script], tmp_path / "log", {"TRILANE_SHARDS": "2"})
    assert (tmp_path / "log").read_text() == "['TRILANE_SHARDS']\n"


def test_the_command_is_that_of_a_run(tmp_path: Path) -> None:
    """Over the workforce, below a root of its own."""
    bench = Bench(tmp_path / "bundle", tmp_path / "scratch", tmp_path, 7, 10, 5, 1)
    command = batch_command(bench.bundle, tmp_path / "a.csv", tmp_path / "r", "--threads=1")
    assert command[1:3] == ["-m", "batch_scorer"]
    assert f"--bundle={tmp_path}/bundle" in command
    assert f"--input={tmp_path}/a.csv" in command
    assert f"--record-id-column={ID}" in command
    assert command[-1] == "--threads=1"
    assert bench.directory("speed").is_dir()


def test_no_bundle_is_not_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and words that say what to do."""
    assert main(["speed", "--bundle", str(tmp_path)]) == 2
    assert "make demo" in capsys.readouterr().err


def test_an_unknown_section_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is started."""
    with pytest.raises(SystemExit) as error:
        main(["fast"])
    assert error.value.code == 2
    assert "no section fast" in capsys.readouterr().err


def test_every_section_is_documented() -> None:
    """By the command that runs it."""
    text = (Path(__file__).parents[2] / "docs" / "benchmarks-batch.md").read_text("utf-8")
    assert SECTIONS.keys() >= {"speed", "interruptions"}
    for name in SECTIONS:
        assert f"`python -m benchmarks.batch {name}`" in text
