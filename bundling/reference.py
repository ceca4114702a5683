"""The training reference: the inputs the model was trained on, with the scores of this bundle."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from adapters.parquet_log import arrow_array, log_schema
from scoring.errors import BundleError
from scoring.inference_log import KEY_COLUMNS, OUTLIER_COLUMN
from scoring.model import ModelBundle
from scoring.score import score_valid
from scoring.validation import validate_rows


def read_reference_rows(path: Path, names: Sequence[str]) -> list[dict[str, Any]]:
    """The registered reference as records of the columns `names`; others are left out.

    Raises BundleError.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise BundleError(
            f"{path.name} is not a readable Parquet file; log the model again"
        ) from error
    rows: list[dict[str, Any]] = table.select(
        [name for name in table.column_names if name in set(names)]
    ).to_pylist()
    return rows


def write_reference(model: ModelBundle, rows: Sequence[Mapping[str, Any]], directory: Path) -> int:
    """Score the rows and write reference/reference.parquet, in the inference log's columns.

    Returns the number of records. Raises BundleError when a row does not fit the signature.
    """
    scored, rejections = score_valid(
        model, validate_rows(model.schema, rows, [str(i) for i in range(len(rows))])
    )
    if rejections:
        first = rejections[0]
        raise BundleError(
            f"{len(rejections)} records of the reference do not fit the model, "
            f"the first at row {first.position + 1}: {first.detail}"
        )
    fields = list(log_schema(model.schema, model.output_columns))[len(KEY_COLUMNS) :]
    values = [*scored.batch.columns, *(scored.outputs[c.name] for c in model.output_columns)]
    if scored.outlier_scores is not None:
        values.append(scored.outlier_scores)
    else:
        fields = [field for field in fields if field.name != OUTLIER_COLUMN]
    columns = [arrow_array(v, f.type) for f, v in zip(fields, values, strict=True)]
    target = directory / "reference" / "reference.parquet"
    target.parent.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_arrays(columns, schema=pa.schema(fields)), target)
    return len(scored)
