"""Which files a run reads."""

from pathlib import Path

import pytest

from adapters.storage import open_storage
from batch_scorer.inputs import find_inputs
from scoring.errors import InputError


def names(directory: Path, *paths: str) -> list[tuple[str, str]]:
    """(name, format) of the inputs found among files at `paths`."""
    storage = open_storage(str(directory))
    for path in paths:
        storage.write(path, b"")
    return [(file.name, file.format) for file in find_inputs(storage)]


def test_all_files_with_known_endings_sorted(tmp_path: Path) -> None:
    """Any depth, any case, sorted by path, others left out."""
    found = names(tmp_path, "b.csv", "a/z.PARQUET", "a/b.jsonl", "c.ndjson", "readme.txt", "csv")
    assert found == [
        ("a/b.jsonl", "jsonl"),
        ("a/z.PARQUET", "parquet"),
        ("b.csv", "csv"),
        ("c.ndjson", "jsonl"),
    ]


def test_what_begins_with_an_underscore_or_a_dot_is_no_data(tmp_path: Path) -> None:
    """Logs of table formats, success markers and hidden files are left out."""
    found = names(tmp_path, "_delta_log/0.parquet", ".x.csv", "a/_b.csv", "a/.c/d.csv", "a/d_.csv")
    assert found == [("a/d_.csv", "csv")]


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_one_file(tmp_path: Path, form: str) -> None:
    """A URL of a file is that file, whatever lies beside it or above it."""
    directory = tmp_path / "_dir with space"
    open_storage(str(directory)).write("a=1.csv", b"12")
    open_storage(str(directory)).write("b.csv", b"")
    url = form.format(directory / "a=1.csv")
    files = find_inputs(open_storage(url))
    assert [(f.index, f.path, f.name, f.size, f.format) for f in files] == [
        (0, "", "a=1.csv", 2, "csv")
    ]
    assert files[0].url == f"file://{directory / 'a=1.csv'}"


def test_no_files(tmp_path: Path) -> None:
    """Nothing to read is an error that names the place."""
    with pytest.raises(InputError, match="nothing does not exist or holds no files"):
        find_inputs(open_storage(str(tmp_path / "nothing")))
    with pytest.raises(InputError, match=r"no file ends in \.csv, \.jsonl, \.ndjson, \.parquet"):
        names(tmp_path, "a.txt")
