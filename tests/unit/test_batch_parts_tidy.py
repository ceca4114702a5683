"""What a run's directories hold when it is complete."""

import uuid

import pytest

from adapters.storage import Storage, open_storage
from batch_scorer.delivery.parts import OutputFormat, PartEncoder, rejected_path, scores_path
from batch_scorer.delivery.tidying import tidy
from scoring.errors import InputError
from scoring.model import ModelBundle
from tests.support.batch_parts import parquet
from tests.support.toy import load_toy


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


@pytest.fixture
def output() -> Storage:
    """An output with another run and the work of this one."""
    storage = open_storage(f"memory://{uuid.uuid4().hex}")
    for path in ("run=q/scores/part-00000-00000.parquet", "run=r/_run/plan.json", "run=r/x.html"):
        storage.write(path, b"kept")
    return storage


def held(output: Storage) -> set[str]:
    """The files of the run that are no one else's."""
    others = {"run=q/scores/part-00000-00000.parquet", "run=r/_run/plan.json", "run=r/x.html"}
    paths = {info.path for info in output.list()}
    assert others <= paths
    return paths - others


def test_parts_of_another_attempt_are_dropped(toy: ModelBundle, output: Storage) -> None:
    """Those of this run stay as they are, and nothing outside of the two directories is touched."""
    wanted = {scores_path("r", 0, 0), scores_path("r", 0, 1), rejected_path("r", 1, 0)}
    stale = {scores_path("r", 9, 0), rejected_path("r", 0, 0), scores_path("r", 0, 1, "csv")}
    for path in wanted | stale:
        output.write(path, path.encode())
    for _ in range(2):
        tidy(output, "r", wanted, PartEncoder(toy, "parquet", False))
        assert held(output) == wanted
        assert {output.read(path).decode() for path in wanted} == wanted


@pytest.mark.parametrize("with_reasons", [False, True])
def test_a_run_without_rows_has_readable_directories(
    toy: ModelBundle, output: Storage, with_reasons: bool
) -> None:
    """One empty part in each, with its columns; an old part of that name does not survive."""
    output.write(scores_path("r", 0, 0), b"old")
    output.write(rejected_path("r", 3, 3), b"old")
    encoder = PartEncoder(toy, "parquet", with_reasons)
    tidy(output, "r", set(), encoder)
    assert held(output) == {scores_path("r", 0, 0), rejected_path("r", 0, 0)}
    scores = parquet(output.read(scores_path("r", 0, 0)))
    assert (scores.num_rows, scores.schema) == (0, encoder.schema("scores"))
    rejected = parquet(output.read(rejected_path("r", 0, 0)))
    assert (rejected.num_rows, rejected.schema) == (0, encoder.schema("rejected"))


@pytest.mark.parametrize("output_format", ["csv", "delta"])
def test_the_empty_part_is_of_the_runs_format(
    toy: ModelBundle, output: Storage, output_format: OutputFormat
) -> None:
    """Beside scores a run without rejected rows has an empty part of those."""
    part = scores_path("r", 0, 0, output_format)
    output.write(part, b"scores")
    encoder = PartEncoder(toy, output_format, False)
    tidy(output, "r", {part}, encoder)
    empty = rejected_path("r", 0, 0, output_format)
    assert held(output) == {part, empty}
    assert output.read(empty) == encoder.empty("rejected")


def test_a_part_that_is_gone_stops_the_run(toy: ModelBundle, output: Storage) -> None:
    """A run that is recorded as scored but lacks a part would be short of records."""
    output.write(scores_path("r", 0, 0), b"scores")
    wanted = {scores_path("r", 0, 0), scores_path("r", 0, 1)}
    with pytest.raises(InputError, match=r"part-00000-00001\.parquet.*not there.*--restart"):
        tidy(output, "r", wanted, PartEncoder(toy, "parquet", False))
