"""Which files a run reads."""

from pathlib import Path

import pytest

from adapters.storage import open_storage
from batch_scorer.inputs.formats import format_of, partition_directory, partitions_of
from batch_scorer.inputs.globs import matches, split_glob
from batch_scorer.inputs.listing import Listing, find_files
from scoring.errors import ConfigurationError, InputError


def listed(directory: Path, *paths: str, below: str = "") -> Listing:
    """What is found, among empty files at `paths`, at the directory or a path or glob in it."""
    storage = open_storage(str(directory))
    for path in paths:
        storage.write(path, b"")
    return find_files(f"{directory}/{below}".rstrip("/"))


def names(listing: Listing) -> list[str]:
    """The files' names, in their order."""
    return [file.file for file in listing.files]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.csv", "csv"),
        ("A.CSV.GZ", "csv"),
        ("a.tsv.zst", "csv"),
        ("a.jsonl.bz2", "jsonl"),
        ("a.ndjson.xz", "jsonl"),
        ("a.json.gzip", "jsonl"),
        ("a.parquet", "parquet"),
        ("a.snappy.parquet", "parquet"),
        ("a.parquet.gz", None),
        ("a.gz", None),
        ("a.csv.zip", None),
        ("readme.txt", None),
        ("csv", None),
    ],
)
def test_formats(name: str, expected: str | None) -> None:
    """Endings count in any case; text may be compressed, and Parquet compresses itself."""
    assert format_of(name) == expected


def test_all_files_with_known_endings_sorted(tmp_path: Path) -> None:
    """Any depth, sorted by path, numbered in that order; others are told."""
    listing = listed(tmp_path, "b.csv", "a/z.PARQUET", "a/b.jsonl.gz", "c.ndjson", "readme.txt")
    assert [(file.index, file.file, file.path, file.format) for file in listing.files] == [
        (0, "a/b.jsonl.gz", "a/b.jsonl.gz", "jsonl"),
        (1, "a/z.PARQUET", "a/z.PARQUET", "parquet"),
        (2, "b.csv", "b.csv", "csv"),
        (3, "c.ndjson", "c.ndjson", "jsonl"),
    ]
    assert (listing.unknown, listing.hidden, listing.table_version) == (["readme.txt"], [], None)


def test_what_begins_with_an_underscore_or_a_dot_is_no_data(tmp_path: Path) -> None:
    """Success markers and hidden files are left out and told; a partition may have any name."""
    paths = ["_SUCCESS", ".x.csv", "a/_b.csv", "a/.c/d.csv", "a/d_.csv", "_day=1/e.csv"]
    listing = listed(tmp_path, *paths)
    assert names(listing) == ["_day=1/e.csv", "a/d_.csv"]
    assert listing.hidden == [".x.csv", "_SUCCESS", "a/.c/d.csv", "a/_b.csv"]


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_one_file(tmp_path: Path, form: str) -> None:
    """A URL of a file is that file, whatever lies beside it or above it."""
    directory = tmp_path / "_dir with space"
    open_storage(str(directory)).write("a=1.csv", b"12")
    open_storage(str(directory)).write("b.csv", b"")
    [file] = find_files(form.format(directory / "a=1.csv")).files
    assert (file.index, file.path, file.file, file.size) == (0, "", "a=1.csv", 2)
    assert file.url == f"file://{directory / 'a=1.csv'}"


def test_no_files(tmp_path: Path) -> None:
    """Nothing to read is an error that names the place."""
    with pytest.raises(InputError, match="nothing does not exist or holds no files"):
        find_files(str(tmp_path / "nothing"))
    with pytest.raises(InputError, match=r"no file ends in \.csv, \.tsv, .*\.parquet, or in \.gz"):
        listed(tmp_path, "a.txt")
    with pytest.raises(InputError, match=r"no file matches \*\.csv"):
        listed(tmp_path, below="*.csv")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.csv", ["a.csv"]),
        ("*/*.csv", ["d1/b.csv", "d2/c.csv"]),
        ("**/*.csv", ["a.csv", "d1/b.csv", "d2/c.csv", "d2/e/f.csv"]),
        ("d?/**/[a-c].csv", ["d1/b.csv", "d2/c.csv"]),
        ("d[!1]/**", ["d2/c.csv", "d2/e/f.csv"]),
        ("d*", ["d1/b.csv", "d2/c.csv", "d2/e/f.csv"]),
        ("d2/*/", ["d2/c.csv", "d2/e/f.csv"]),
        ("D1/*.csv", None),
    ],
)
def test_globs(tmp_path: Path, pattern: str, expected: list[str] | None) -> None:
    """As in shells, with upper and lower case; a directory stands for all that is in it."""
    paths = ["a.csv", "d1/b.csv", "d2/c.csv", "d2/e/f.csv"]
    if expected is None:
        with pytest.raises(InputError):
            listed(tmp_path, *paths, below=pattern)
        return
    listing = listed(tmp_path, *paths, below=pattern)
    base = "d2/" if pattern.startswith("d2/") else ""
    assert [base + name for name in names(listing)] == expected


def test_a_file_that_is_called_like_a_glob(tmp_path: Path) -> None:
    """It is meant, and nothing else that matches; without it the pattern counts."""
    paths = ["a 1.csv", "a[1] ä#?.csv", "a1 ä#!.csv"]
    assert names(listed(tmp_path, *paths, below="a[1] ä#?.csv")) == ["a[1] ä#?.csv"]
    (tmp_path / "a[1] ä#?.csv").unlink()
    assert names(find_files(str(tmp_path / "a[1] ä#?.csv"))) == ["a1 ä#!.csv"]


def test_a_glob_relative_to_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern without a directory begins in the working directory."""
    open_storage(str(tmp_path)).write("a.csv", b"")
    monkeypatch.chdir(tmp_path)
    assert [file.url for file in find_files("*.csv").files] == [f"file://{tmp_path}/a.csv"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("data/2026-*/x.csv", ("data", "2026-*/x.csv")),
        ("*.csv", (".", "*.csv")),
        ("/*.csv", ("/", "*.csv")),
        ("file:///*.csv", ("file:///", "*.csv")),
        ("abfs://c@a.dfs.core.windows.net/**", ("abfs://c@a.dfs.core.windows.net", "**")),
        ("abfs://c@a.dfs.core.windows.net/plain", None),
    ],
)
def test_where_a_glob_begins(url: str, expected: tuple[str, str] | None) -> None:
    """Below the longest part without a wildcard."""
    assert split_glob(url) == expected


def test_containers_have_no_wildcards() -> None:
    """What is no path cannot be a pattern."""
    with pytest.raises(ConfigurationError, match="wildcards belong behind the first slash"):
        split_glob("abfs://c*@a.dfs.core.windows.net")


def test_many_stars_take_no_time() -> None:
    """A pattern is followed step by step, not by trying every way to read it."""
    assert not matches("/".join("a" * 200), "/".join(["**", "a"] * 60) + "/b")


def test_hive_partitions(tmp_path: Path) -> None:
    """Names and values are decoded; null has a name of its own; a file itself is no partition."""
    path = "date=2026-11-24/land=D%20E%2F%25/no=__HIVE_DEFAULT_PARTITION__/s p=/=x/k=v.csv"
    [file] = listed(tmp_path, path).files
    assert file.partitions == {"date": "2026-11-24", "land": "D E/%", "no": None, "s p": ""}
    assert file.path == path


def test_partitions_of_the_url_count_too(tmp_path: Path) -> None:
    """Whether a partition is named by the input or found below it, its files have its value."""
    path = "date=2026-11-24/land=DE/a.csv"
    for below in ("", "date=2026-11-24", "date=2026-*/land=DE", path):
        [file] = listed(tmp_path, path, below=below).files
        assert file.partitions == {"date": "2026-11-24", "land": "DE"}


def test_the_innermost_partition_of_a_name_counts() -> None:
    """One name has one value."""
    assert partitions_of("a=1/b=2/a=3/x.csv") == {"a": "3", "b": "2"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("x.csv", None),
        ("a/x=1.csv", None),
        ("a/day=1/x.csv", "a/day=1"),
        ("day=1/land=DE/part/x.csv", "day=1/land=DE"),
    ],
)
def test_the_partition_of_a_file(path: str, expected: str | None) -> None:
    """The directories down to the last that is one."""
    assert partition_directory(path) == expected
