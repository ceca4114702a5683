"""What a pyfunc model is handed for a record, nulls included, whatever records are beside it."""

from pathlib import Path
from typing import Any

import pytest

from scoring.backends.pyfunc import PyfuncBackend
from scoring.parallel import compute
from scoring.records import RecordBatch
from scoring.schema import FieldType, Schema
from scoring.validation import validate_rows

# MLflow warns of its own type hints when it is imported, and of any model from source.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

VALUES: dict[str, Any] = {
    "boolean": True,
    "integer": 3,
    "long": 2**53 + 1,
    "float": 0.5,
    "double": 0.1,
    "string": "a",
    "datetime": "2026-03-02T10:00:00Z",
}
SEEN = {
    "boolean": "boolean bool True",
    "integer": "integer int32 3",
    "long": f"long int64 {2**53 + 1}",
    "float": "float float32 0.5",
    "double": "double float64 0.1",
    "string": "string str 'a'",
    "datetime": "datetime datetime64[ns] Timestamp('2026-03-02 10:00:00')",
}
SEEN_NULL = {
    "boolean": "boolean object None",
    "integer": None,
    "long": None,
    "float": "float float32 nan",
    "double": "double float64 nan",
    "string": "string str nan",
    "datetime": "datetime datetime64[ns] NaT",
}


def saved(directory: Path, required: bool) -> tuple[PyfuncBackend, Schema]:
    """The echo model with one column of every type."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec
    from mlflow.types import Schema as Columns

    columns = Columns([ColSpec(str(kind), str(kind), required=required) for kind in FieldType])
    mlflow.pyfunc.save_model(
        directory,
        python_model=str(Path(__file__).parents[1] / "support" / "echo_model.py"),
        signature=ModelSignature(columns, Columns([ColSpec("string")])),
    )
    schema = Schema.from_signature(columns.to_dict())
    return PyfuncBackend(directory, schema, ["prediction"]), schema


@pytest.fixture(scope="module")
def optional(tmp_path_factory: pytest.TempPathFactory) -> tuple[PyfuncBackend, Schema]:
    """The model whose columns are all optional."""
    return saved(tmp_path_factory.mktemp("optional") / "model", required=False)


def batch_of(schema: Schema, rows: list[dict[str, Any]]) -> RecordBatch:
    """The rows, all of which are valid."""
    valid = validate_rows(schema, rows, [str(i) for i in range(len(rows))])
    assert not valid.rejections
    return valid.batch


def seen(backend: PyfuncBackend, batch: RecordBatch, width: int | None = None) -> list[str]:
    """What the model was handed, record by record."""
    result: list[str] = compute(backend, batch, width)["prediction"].tolist()
    return result


def test_required_columns_arrive_in_the_dtypes_of_the_signature(tmp_path: Path) -> None:
    """Every type in its NumPy dtype, and text as pandas itself reads it."""
    backend, schema = saved(tmp_path / "model", required=True)
    assert seen(backend, batch_of(schema, [VALUES])) == ["; ".join(SEEN.values())]


def test_optional_columns_without_nulls_arrive_like_required_ones(
    optional: tuple[PyfuncBackend, Schema],
) -> None:
    """That a column may hold nulls changes nothing where it holds none."""
    backend, schema = optional
    assert seen(backend, batch_of(schema, [VALUES])) == ["; ".join(SEEN.values())]


@pytest.mark.parametrize("kind", FieldType)
def test_a_null_of_every_type_is_scored(
    optional: tuple[PyfuncBackend, Schema], kind: FieldType
) -> None:
    """MLflow lets it pass: as the type's own null, or by leaving out the column."""
    backend, schema = optional
    cells = [SEEN_NULL[k] if k == kind else SEEN[k] for k in SEEN]
    expected = "; ".join(cell for cell in cells if cell is not None)
    assert seen(backend, batch_of(schema, [{**VALUES, kind: None}])) == [expected]


@pytest.mark.parametrize("width", [None, 1, 4, 32])
def test_neighbours_do_not_change_what_a_model_sees(
    optional: tuple[PyfuncBackend, Schema], width: int | None
) -> None:
    """Records with nulls in any column, alone and together, in calls of any width."""
    backend, schema = optional
    rows = [VALUES, *({**VALUES, kind: None} for kind in VALUES), VALUES]
    rows += [{**VALUES, "long": None, "boolean": None}, dict.fromkeys(VALUES, None) | {"float": 1}]
    batch = batch_of(schema, rows)
    alone = [seen(backend, batch.slice(i, i + 1))[0] for i in range(len(batch))]
    assert seen(backend, batch, width) == alone
