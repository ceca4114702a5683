"""Delta tables as inputs."""

import json
import os
import struct
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from adapters.delta_tables import read_table, replace_partition
from adapters.delta_tables.places import place_of
from adapters.record_files.reading import read_chunks
from adapters.storage import open_storage
from batch_scorer.inputs.chosen import chosen_files, read_options
from batch_scorer.inputs.listing import find_files
from batch_scorer.settings import BatchSettings
from scoring.errors import (
    ConfigurationError,
    InputError,
    ServiceUnavailable,
    StorageUnavailable,
)
from scoring.schema import Schema
from tests.support.entra import entra

AZURITE = "TRILANE_TEST_AZURITE_CONNECTION_STRING"
SCHEMA = Schema.from_signature(
    [{"name": "x", "type": "double"}, {"name": "land", "type": "string"}]
)
ROWS = pa.table({"id": ["a", "b", "c"], "x": [0.5, 1.5, 2.5], "land": ["DE", "F R/%", None]})


def edited(table: Path, **actions: dict[str, Any]) -> None:
    """Change actions in the one commit of a table."""
    [commit] = (table / "_delta_log").glob("*.json")
    lines = [json.loads(line) for line in commit.read_text().splitlines()]
    changed = [
        {name: value | actions.get(name, {})} for each in lines for name, value in each.items()
    ]
    commit.write_text("\n".join(map(json.dumps, changed)))


def test_the_files_of_the_latest_version(tmp_path: Path) -> None:
    """What earlier versions had is not read, though it lies there; values come from the log."""
    table = tmp_path / "dir with é #?" / "t"
    write_deltalake(table, ROWS, partition_by=["land"])
    write_deltalake(table, ROWS, partition_by=["land"], mode="overwrite")
    write_deltalake(table, pa.table({"id": ["d"], "x": [3.5], "land": ["DE"]}), mode="append")
    listing = find_files(str(table))
    assert listing.table_version == 2
    lands = sorted(str(file.partitions["land"]) for file in listing.files)
    assert lands == ["DE", "DE", "F R/%", "None"]
    assert [file.rows for file in listing.files] == [1, 1, 1, 1]
    assert len(list(table.rglob("*.parquet"))) == 7
    assert all((table / file.path).stat().st_size == file.size for file in listing.files)
    assert len({file.etag for file in listing.files}) == 4


def test_records_of_a_table_through_our_own_door(tmp_path: Path) -> None:
    """A partition's value is a column of its records, however the path spells it."""
    write_deltalake(tmp_path / "t", ROWS, partition_by=["land"])
    told: dict[str, Any] = {"bundle": tmp_path, "output": str(tmp_path / "out")}
    settings = BatchSettings(input=str(tmp_path / "t"), record_id_column="id", **told)
    storage, files = chosen_files(settings, SCHEMA, find_files(settings.input).storage)
    found = {}
    for file in files:
        assert file.error is None
        for chunk in read_chunks(
            storage, file.path, file.url, file.size, file.format, SCHEMA, "id", 10,
            read_options(settings, file),
        ):  # fmt: skip
            for record_id, row in zip(chunk.record_ids, chunk.as_rows(), strict=True):
                found[record_id] = (row["x"], row["land"])
    assert found == {"a": (0.5, "DE"), "b": (1.5, "F R/%"), "c": (2.5, None)}


def test_values_of_every_type_are_text(tmp_path: Path) -> None:
    """As a CSV cell would hold them, so that every reader makes the same of them."""
    moment = datetime(2026, 11, 24, 12, 30, 0, 5)
    values = {
        "day": [date(2026, 11, 24)],
        "at": pa.array([moment], pa.timestamp("us")),
        "zoned": pa.array([moment.replace(tzinfo=UTC)], pa.timestamp("us", "UTC")),
        "flag": [True],
        "n": [7],
        "f": [0.25],
    }
    table = pa.table({"id": ["a"], **values})
    write_deltalake(tmp_path / "t", table, partition_by=list(values))
    [file] = read_table(str(tmp_path / "t")).files
    assert file.partitions == {
        "day": "2026-11-24",
        "at": "2026-11-24T12:30:00.000005",
        "zoned": "2026-11-24T12:30:00.000005+00:00",
        "flag": "true",
        "n": "7",
        "f": "0.25",
    }


def test_a_table_whose_log_has_no_row_counts(tmp_path: Path) -> None:
    """The rows come from the files then."""
    write_deltalake(tmp_path / "t", ROWS)
    edited(tmp_path / "t", add={"stats": None})
    [file] = find_files(str(tmp_path / "t")).files
    assert file.rows is None
    told: dict[str, Any] = {"bundle": tmp_path, "output": str(tmp_path / "out")}
    settings = BatchSettings(input=str(tmp_path / "t"), record_id_column="id", **told)
    _, [planned] = chosen_files(settings, SCHEMA, find_files(settings.input).storage)
    assert (planned.rows, planned.error) == (3, None)


def test_a_file_that_was_removed_since(tmp_path: Path) -> None:
    """Vacuuming may be faster than a run; the other files are read."""
    write_deltalake(tmp_path / "t", ROWS, partition_by=["land"])
    next((tmp_path / "t" / "land=DE").iterdir()).unlink()
    told: dict[str, Any] = {"bundle": tmp_path, "output": str(tmp_path / "out")}
    settings = BatchSettings(input=str(tmp_path / "t"), record_id_column="id", **told)
    _, files = chosen_files(settings, SCHEMA, find_files(settings.input).storage)
    assert [file.partitions["land"] for file in files if file.error] == ["DE"]
    assert len([file for file in files if file.pieces]) == 2


def test_an_empty_table_has_no_files(tmp_path: Path) -> None:
    """It was made and nothing is in it, which is no error."""
    DeltaTable.create(tmp_path / "t", pa.schema([pa.field("id", pa.string())]))
    listing = find_files(str(tmp_path / "t"))
    assert (listing.files, listing.table_version) == ([], 0)


@pytest.mark.parametrize("below", ["", "t/land=DE", "t/*/*.parquet", "*/land=DE", "t/land=*"])
def test_files_of_a_table_are_not_read_past_its_log(tmp_path: Path, below: str) -> None:
    """A directory above the table, a partition of it, a glob in it: all would read what is gone."""
    write_deltalake(tmp_path / "t", ROWS, partition_by=["land"])
    (tmp_path / "a.csv").write_text("id\n1\n")
    with pytest.raises(InputError, match=r"/t is a Delta table, whose log says") as caught:
        find_files(f"{tmp_path}/{below}".rstrip("/"))
    assert "name the table itself by --input" in str(caught.value)


def test_a_directory_beside_a_table_is_read(tmp_path: Path) -> None:
    """A glob that means none of its files has nothing to do with it."""
    write_deltalake(tmp_path / "t", ROWS)
    (tmp_path / "a.csv").write_text("id\n1\n")
    assert [file.file for file in find_files(f"{tmp_path}/*.csv").files] == ["a.csv"]


def _z85(data: bytes) -> str:
    """ZeroMQ's Base85, in which the log holds small vectors."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    text = ""
    for place in range(0, len(data), 4):
        number = int.from_bytes(data[place : place + 4], "big")
        text += "".join(digits[number // 85**power % 85] for power in (4, 3, 2, 1, 0))
    return text


VECTORS = {
    "minReaderVersion": 3,
    "minWriterVersion": 7,
    "readerFeatures": ["deletionVectors"],
    "writerFeatures": ["deletionVectors"],
}


def test_deleted_rows_are_not_scored(tmp_path: Path) -> None:
    """A file with a deletion vector holds rows that are not of the table: refused, and what to do
    is told; the feature alone, which new tables of Databricks have, is no hindrance.
    """
    write_deltalake(tmp_path / "t", ROWS)
    edited(tmp_path / "t", protocol=VECTORS)
    assert len(read_table(str(tmp_path / "t")).files) == 1
    # One row, 1, in the portable form of a roaring bitmap behind the magic number of the protocol.
    bitmap = struct.pack("<IIHHIH", 12346, 1, 0, 0, 16, 1)
    vector = struct.pack("<IQI", 1681511377, 1, 0) + bitmap + b"\0\0"
    inline = {"storageType": "i", "pathOrInlineDv": _z85(vector), "cardinality": 1}
    edited(tmp_path / "t", add={"deletionVector": {**inline, "sizeInBytes": len(vector)}})
    with pytest.raises(InputError, match=r"/t is a Delta table with deletion vectors: .*PURGE"):
        read_table(str(tmp_path / "t"))


def test_columns_by_other_names_are_refused(tmp_path: Path) -> None:
    """With column mapping the files do not have the names of the columns."""
    write_deltalake(tmp_path / "t", pa.table({"x": [1.0]}))
    mapping = {"delta.columnMapping.id": 1, "delta.columnMapping.physicalName": "col-1"}
    field = {"name": "x", "type": "double", "nullable": True, "metadata": mapping}
    edited(
        tmp_path / "t",
        protocol={"minReaderVersion": 2, "minWriterVersion": 5}
        | {"readerFeatures": None, "writerFeatures": None},
        metaData={
            "schemaString": json.dumps({"type": "struct", "fields": [field]}),
            "configuration": {
                "delta.columnMapping.mode": "name",
                "delta.columnMapping.maxColumnId": "1",
            },
        },
    )
    with pytest.raises(InputError, match=r"/t is a Delta table with column mapping"):
        read_table(str(tmp_path / "t"))


def test_features_nobody_knows_are_refused(tmp_path: Path) -> None:
    """A reader must know every feature it is told of."""
    write_deltalake(tmp_path / "t", ROWS)
    edited(tmp_path / "t", protocol=VECTORS | {"readerFeatures": ["x"], "writerFeatures": ["x"]})
    with pytest.raises(InputError, match=r"/t cannot be used as a Delta table: .*'x'"):
        read_table(str(tmp_path / "t"))


def test_no_table(tmp_path: Path) -> None:
    """Nothing there, or nothing that can be read, is said of the place."""
    with pytest.raises(InputError, match="/none is no Delta table"):
        read_table(str(tmp_path / "none"))
    (tmp_path / "t" / "_delta_log").mkdir(parents=True)
    (tmp_path / "t" / "_delta_log" / f"{0:020d}.json").write_text("no JSON")
    with pytest.raises(InputError, match="/t cannot be used as a Delta table"):
        read_table(str(tmp_path / "t"))
    with pytest.raises(ConfigurationError, match=r"not in 'memory://…'"):
        read_table("memory://t")
    with pytest.raises(ConfigurationError, match=r"the path of a Delta table cannot have \["):
        read_table(str(tmp_path / "a[1]"))


def test_a_storage_that_does_not_answer_is_tried_and_then_told() -> None:
    """The error names the place and no secret."""
    secret = "BlobEndpoint=http://127.0.0.1:9/account;SharedAccessSignature=sv=1&sig=c2VjcmV0"
    for call in (
        lambda: read_table("abfs://c@account.dfs.core.windows.net/t", secret),
        lambda: replace_partition(
            "abfs://c@account.dfs.core.windows.net/t", secret, ("run_id", "a"), ROWS.schema, []
        ),
    ):
        with pytest.raises(StorageUnavailable) as caught:
            call()
        assert "c2VjcmV0" not in str(caught.value)
        assert "abfs://c@account.dfs.core.windows.net/t" in str(caught.value)


URL = "abfs://c@account.dfs.core.windows.net/dir é/t"


@pytest.mark.parametrize(
    ("url", "secret", "expected"),
    [
        (
            URL,
            "DefaultEndpointsProtocol=https;AccountName=account;AccountKey=a2V5==;"
            "EndpointSuffix=core.chinacloudapi.cn",
            {"endpoint": "https://account.blob.core.chinacloudapi.cn", "account_key": "a2V5=="},
        ),
        (
            f"{URL}?sv=1&sig=x%3D",
            None,
            {"endpoint": "https://account.blob.core.windows.net", "sas_key": "sv=1&sig=x%3D"},
        ),
        (
            "az://c/dir é/t",
            "BlobEndpoint=https://account.blob.core.windows.net/;SharedAccessSignature=?sv=1&sig=x",
            {"endpoint": "https://account.blob.core.windows.net", "sas_key": "sv=1&sig=x"},
        ),
    ],
)
def test_places_in_azure(url: str, secret: str | None, expected: dict[str, str]) -> None:
    """Addresses and secrets are found where the storage door finds them, and are not shown."""
    place = place_of(url, secret, 20.0)
    assert place.uri == "az://c/dir%20%C3%A9/t"
    common = {"account_name": "account", "allow_http": "false", "retry_timeout": "20s"}
    assert place.options == {**common, "max_retries": "1000", **expected}
    assert "sig=" not in place.url
    assert not [
        value for key, value in expected.items() if key[-3:] == "key" and value in str(place)
    ]


def test_without_a_secret_the_process_signs_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a token of its identity for the storage; a refusal is an outage."""
    with entra(tmp_path) as authority:
        for name, value in authority.environment().items():
            monkeypatch.setenv(name, value)
        place = place_of(URL, None, 0.0)
        assert place.options["bearer_token"] == authority.issued[0]
        assert authority.scopes == ["https://storage.azure.com/.default"]
        authority.refusal = "AADSTS700213: No matching federated identity record found"
        with pytest.raises(ServiceUnavailable):
            place_of(URL, None, 0.0)
    with pytest.raises(ConfigurationError, match="needs a storage connection string"):
        place_of("az://c/t", None, 0.0)


@pytest.fixture
def container() -> Iterator[str]:
    """The URL of an empty container in Azurite."""
    from azure.storage.blob import BlobServiceClient

    name = f"delta-{uuid.uuid4().hex}"
    with BlobServiceClient.from_connection_string(os.environ[AZURITE]) as client:
        client.create_container(name)
        try:
            yield f"abfs://{name}@{client.account_name}.dfs.core.windows.net"
        finally:
            client.delete_container(name)


def _with_key(url: str) -> tuple[str, str]:
    return url, os.environ[AZURITE]


def _with_token(url: str) -> tuple[str, str]:
    """A connection string that holds a SAS token and no key."""
    parts = dict(part.split("=", 1) for part in os.environ[AZURITE].split(";") if part)
    return url, f"BlobEndpoint={parts['BlobEndpoint']};SharedAccessSignature={_token(parts)}"


def _with_token_in_url(url: str) -> tuple[str, str]:
    parts = dict(part.split("=", 1) for part in os.environ[AZURITE].split(";") if part)
    return f"{url}?{_token(parts)}", f"BlobEndpoint={parts['BlobEndpoint']}"


def _token(parts: dict[str, str]) -> str:
    from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

    return generate_account_sas(
        parts["AccountName"],
        parts["AccountKey"],
        ResourceTypes(container=True, object=True),
        AccountSasPermissions(read=True, write=True, delete=True, list=True, create=True),
        datetime.now(UTC) + timedelta(hours=1),
        protocol="https,http",
    )


@pytest.mark.azurite
@pytest.mark.parametrize("access", [_with_key, _with_token, _with_token_in_url])
def test_tables_in_azure(container: str, access: Callable[[str], tuple[str, str]]) -> None:
    """Written and read with a key or a SAS token, at a path with a space and an accent;
    partitions are found by both doors.
    """
    url, secret = access(f"{container}/dir é=b/t")
    place = place_of(url, secret, 0.0)
    runs = pa.table({"record_id": ["r0", "r1", "r0"], "run_id": ["a b/%", "a b/%", "b"]})
    write_deltalake(place.uri, runs, storage_options=place.options, partition_by=["run_id"])
    listing = find_files(url, secret)
    assert [(file.partitions["run_id"], file.rows) for file in listing.files] == [
        ("a b/%", 2),
        ("b", 1),
    ]
    ids: list[str] = []
    for file in listing.files:
        assert file.url.startswith(f"{container}/dir é=b/t/run_id=")
        for chunk in read_chunks(
            listing.storage, file.path, file.url, file.size, file.format, SCHEMA, "record_id", 10
        ):
            ids += chunk.record_ids
    assert ids == ["r0", "r1", "r0"]


@pytest.mark.azurite
def test_globs_in_azure(container: str) -> None:
    """As in a directory, with a token in the URL as well."""
    url, secret = _with_key(f"{container}/dir é")
    storage = open_storage(url, secret)
    for path in ("day=1/a.csv", "day=2/a b.csv.gz", "day=2/a[1].csv", "b.csv"):
        storage.write(path, b"id\n1\n")
    signed, other = _with_token_in_url(f"{container}/dir é/day=*/a?b.csv.gz")
    [file] = find_files(signed, other).files
    assert (file.path, file.partitions) == ("day=2/a b.csv.gz", {"day": "2"})
    assert "sig=" not in file.url
    named = find_files(f"{url}/day=2/a[1].csv", secret).files
    assert [(file.file, file.path) for file in named] == [("a[1].csv", "")]


@pytest.mark.azurite
def test_a_wrong_key_is_no_outage(container: str) -> None:
    """Waiting does not cure it."""
    key = "AccountKey=" + os.environ[AZURITE].partition("AccountKey=")[2][:8]
    wrong = os.environ[AZURITE].replace(key, "AccountKey=AAAAAAAA")
    with pytest.raises(ConfigurationError, match="permission denied"):
        read_table(f"{container}/t", wrong)
    with pytest.raises(ConfigurationError, match="permission denied"):
        replace_partition(f"{container}/t", wrong, ("run_id", "a"), ROWS.schema, [])
    gone = container.replace("delta-", "other-")
    with pytest.raises(InputError, match="nor does its container"):
        replace_partition(f"{gone}/t", os.environ[AZURITE], ("run_id", "a"), ROWS.schema, [])
