"""What `trilane batch` takes: flags, variables, and what is wrong usage."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from adapters.record_files.chunks import CsvDialect
from adapters.settings import read_settings
from batch_scorer.settings import BatchSettings
from scoring.errors import ConfigurationError

ROOT = Path(__file__).parents[2]
REQUIRED = ("--bundle=b", "--input=i", "--output=o")
COLUMNS = {"Alter (in, Jahren)": "Age", "a=b": "x", 'say "hi"': "y", "größe": "z"}

Read = Callable[..., BatchSettings]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Read:
    """Settings from flags, in an environment of nothing but the variables given."""

    def settings(*flags: str, **environment: str) -> BatchSettings:
        for name in os.environ:
            if name.startswith(("TRILANE_", "JOB_")):
                monkeypatch.delenv(name)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return read_settings(BatchSettings, [*REQUIRED, *flags], "trilane batch", "Score.")

    return settings


@pytest.mark.parametrize("index", [0, 2])
def test_the_index_of_an_indexed_job_is_the_shard(read: Read, index: int) -> None:
    """Kubernetes sets it in every pod; our own variable wins over it, a flag over both."""
    job = {"JOB_COMPLETION_INDEX": str(index), "TRILANE_SHARDS": "3"}
    assert read(**job).shard == index
    assert read(**job, TRILANE_SHARD="1").shard == 1
    assert read("--shard=0", **job, TRILANE_SHARD="1").shard == 0
    assert BatchSettings(bundle=Path("b"), input="i", output="o", shards=3, shard=2).shard == 2


def test_without_any_of_them_it_is_the_first_of_one(read: Read) -> None:
    """A run on one machine."""
    assert (read().shard, read().shards) == (0, 1)


@pytest.mark.parametrize(
    ("flags", "environment"),
    [
        (["--shard=1"], {}),
        (["--shards=3", "--shard=3"], {}),
        (["--shards=3"], {"JOB_COMPLETION_INDEX": "3"}),
        (["--shards=3"], {"TRILANE_SHARD": "7"}),
        (["--shard=-1"], {}),
        (["--shards=0"], {}),
        ([], {"JOB_COMPLETION_INDEX": "one"}),
    ],
)
def test_a_shard_that_is_none_of_the_shards(
    read: Read, flags: list[str], environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and the setting is named: its records would be scored by nobody, or twice."""
    with pytest.raises(SystemExit) as caught:
        read(*flags, **environment)
    assert caught.value.code == 2
    assert "--shard" in capsys.readouterr().err


def test_one_process_begins_anew(read: Read, capsys: pytest.CaptureFixture[str]) -> None:
    """Of several each would drop what the others have done."""
    assert read("--restart").restart
    with pytest.raises(SystemExit) as caught:
        read("--restart", "--shards=2")
    assert caught.value.code == 2
    assert "--restart" in capsys.readouterr().err


def test_variables_of_others_are_not_read(read: Read) -> None:
    """Only those with our prefix, and the one of Kubernetes."""
    others = {name.upper(): "7" for name in BatchSettings.model_fields}
    assert read(**others).model_dump() == read().model_dump()


def test_new_names_of_columns(read: Read) -> None:
    """As JSON from the environment and from a flag, whatever characters they have."""
    text = (
        '{"Alter (in, Jahren)": "Age", "a=b": "x", "say \\"hi\\"": "y", "gr\\u00f6\\u00dfe": "z"}'
    )
    assert read().columns == {}
    assert read(TRILANE_COLUMNS=text).columns == COLUMNS
    assert read("--columns", text).columns == COLUMNS
    assert read(f"--columns={text}").columns == COLUMNS


@pytest.mark.parametrize("text", ["a=b", '{"a": 5}', '{"a": ["b"]}', "[1]", "{"])
def test_names_that_are_no_names(read: Read, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and which setting it is."""
    with pytest.raises(SystemExit) as caught:
        read(TRILANE_COLUMNS=text)
    assert caught.value.code == 2
    assert "columns" in capsys.readouterr().err.lower()


def test_how_csv_is_written(read: Read) -> None:
    """The dialect has what the settings say."""
    assert read().dialect() == CsvDialect()
    flags = ("--csv-delimiter=;", "--csv-quote='", "--csv-encoding=cp1252", "--csv-decimal=,")
    assert read(*flags).dialect() == CsvDialect(";", "'", "cp1252", ",")
    assert read("--csv-delimiter=\t").dialect().delimiter == "\t"
    for delimiter in (";;", "tab"):
        with pytest.raises(ConfigurationError, match="delimiter"):
            read(f"--csv-delimiter={delimiter}").dialect()


@pytest.mark.parametrize(
    "wrong",
    [
        {"run_id": ""},
        {"run_id": ".hidden"},
        {"run_id": "a/b"},
        {"run_id": "ä"},
        {"run_id": "r\n"},
        {"run_id": "r" * 129},
        {"as_of": "2026-01-05T08:30:00"},
        {"reasons": -1},
        {"max_rejected_share": 0},
        {"max_rejected_share": 1.01},
        {"max_rejected_share": float("nan")},
        {"threads": 0},
        {"threads": 1025},
        {"chunk_records": 0},
        {"chunk_records": 1_000_001},
        {"csv_quote": '""'},
        {"csv_decimal": ";"},
        {"record_id_column": ""},
        {"lease_wait_seconds": -1},
        {"retry_seconds": -1},
        {"incremental": "rows"},
        {"engine": "dask"},
        {"output_format": "orc"},
        {"log": "none"},
    ],
    ids=str,
)
def test_values_out_of_bounds(wrong: dict[str, object]) -> None:
    """Each is refused by its own name, and the value is not repeated."""
    (name,) = wrong
    told = {"bundle": Path("b"), "input": "i", "output": "o", **wrong}
    with pytest.raises(ValidationError) as caught:
        BatchSettings(**told)  # type: ignore[arg-type]
    assert [problem["loc"] for problem in caught.value.errors()] == [(name,)]


@pytest.mark.parametrize(
    "right",
    [
        {"run_id": "batch-scorer-29401020"},
        {"run_id": "r" * 128},
        {"as_of": "2026-01-05T08:30:00Z"},
        {"max_rejected_share": 1},
        {"threads": 1024},
        {"chunk_records": 1_000_000},
        {"chunk_records": 1},
        {"lease_wait_seconds": 0},
        {"retry_seconds": 0},
    ],
    ids=str,
)
def test_values_within_bounds(right: dict[str, object]) -> None:
    """The last that are allowed, and the name that a CronJob gives a Job."""
    told = {"bundle": Path("b"), "input": "i", "output": "o", **right}
    BatchSettings(**told)  # type: ignore[arg-type]


HELP = """
import sys
from batch_scorer.__main__ import main
try:
    main(["--help"])
except SystemExit as done:
    assert done.code == 0
loaded = {name.partition(".")[0] for name in sys.modules}
heavy = {"pyarrow", "onnxruntime", "mlflow", "pandas", "sklearn", "fsspec", "azure", "deltalake",
         "pyspark", "aiokafka", "rich", "msgspec", "numpy"}
print("loaded:", sorted(loaded & heavy))
"""


@pytest.fixture(scope="module")
def told() -> str:
    """What `trilane batch --help` says, and then which heavy packages it took."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("TRILANE_", "JOB_"))}
    done = subprocess.run(
        [sys.executable, "-c", HELP],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        env={**clean, "COLUMNS": "100"},
    )
    return done.stdout


def test_help_loads_nothing_heavy(told: str) -> None:
    """It answers before a model, a cluster or a storage could be reached."""
    assert "loaded: []" in told


def test_help_names_every_setting(told: str) -> None:
    """By its flag, and by no name beside it; with a description and the default."""
    flags = [f"--{name.replace('_', '-')}" for name in BatchSettings.model_fields]
    said = told.partition("options:\n")[2]
    entries = re.findall(r"^  (--\S.*?)(?=^  -|^loaded)", said, re.MULTILINE | re.DOTALL)
    assert [entry.split()[0].rstrip(",") for entry in entries] == flags
    for flag, entry in zip(flags, entries, strict=True):
        assert re.search(r"\((default|required)", entry), flag
        names = set(re.findall(r"(?<![\w-])--[a-z-]+", entry.splitlines()[0]))
        assert names <= {flag, f"--no-{flag[2:]}"}, flag


def test_every_setting_is_described() -> None:
    """In words that end as sentences do."""
    for name, field in BatchSettings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
