"""MLflow's four JSON forms of records (mlflow.pyfunc.scoring_server), and its parameters.

Types are as strict as in `/predict`, where MLflow would cast.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from online_api.context import Limits
from online_api.problems import MALFORMED, MAX_NAME_CHARACTERS, ProblemError
from online_api.protocols.predict_body import require_count
from online_api.protocols.record_tables import Arrays, Columns, Objects, Table
from scoring.json_text import NotJsonError, decode_json
from scoring.schema import Schema
from scoring.values import Values

PARAMS: Final = "params"
_SPLIT_MEMBERS: Final = frozenset({"columns", "data", "index"})


class MlflowBody(NamedTuple):
    """What a body holds: its records and its parameters."""

    table: Table
    params: Mapping[str, Any]


def read_mlflow_body(body: bytes, schema: Schema, limits: Limits) -> MlflowBody:
    """The records of a body. Raises ProblemError.

    `schema` is that of the model which answers: one of a single field takes bare values.
    """
    try:
        document = decode_json(body)
    except NotJsonError as error:
        raise _malformed(f"the body {error}") from None
    if not isinstance(document, dict) or len(document.keys() & _FORMS.keys()) != 1:
        forms = ", ".join(_FORMS)
        raise _malformed(f"the body must be an object with exactly one of the members {forms}")
    for name in sorted(document.keys() - _FORMS.keys() - {PARAMS}):
        raise _malformed(f"the body has an unknown member '{name[:MAX_NAME_CHARACTERS]}'")
    ((name, form),) = ((name, form) for name, form in _FORMS.items() if name in document)
    table = form(document[name], schema, name)
    require_count(len(table), limits)
    params = document.get(PARAMS)
    if not isinstance(params, dict | None):
        raise _malformed("params must be an object")
    return MlflowBody(table, params or {})


def _records(rows: Any, _: Schema, place: str) -> Table:
    if not isinstance(rows, list):
        raise _malformed(f"{place} must be an array of records")
    return Objects(rows)


def _split(table: Any, _: Schema, place: str) -> Table:
    if not isinstance(table, dict) or not {"columns", "data"} <= table.keys():
        raise _malformed(f"{place} must be an object with the arrays columns and data")
    for name in sorted(table.keys() - _SPLIT_MEMBERS):
        raise _malformed(f"{place} has an unknown member '{name[:MAX_NAME_CHARACTERS]}'")
    names, rows = table["columns"], table["data"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _malformed(f"{place}.columns must be an array of names")
    if len(set(names)) != len(names):
        raise _malformed(f"{place}.columns must name no column twice")
    if not isinstance(rows, list):
        raise _malformed(f"{place}.data must be an array of rows")
    for position, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(names):
            raise _malformed(f"{place}.data[{position}] must be an array as long as columns")
    columns: dict[str, Values] = dict(zip(names, zip(*rows, strict=True), strict=False))
    return Columns(columns, len(rows))


def _tensors(value: Any, schema: Schema, place: str) -> Table:
    """Columns by name, one record by name, or a list: of records, of rows, of a field's values."""
    if isinstance(value, dict):
        return _columns(value, place)
    if not isinstance(value, list):
        raise _malformed(f"{place} must be an array or an object")
    if value and all(isinstance(row, list) for row in value):
        return Arrays(value, place)
    if len(schema.names) == 1 and not any(isinstance(row, dict | list) for row in value):
        return Columns({schema.names[0]: value}, len(value))
    return Objects(value)


def _columns(value: dict[str, Any], place: str) -> Table:
    lists = [column for column in value.values() if isinstance(column, list)]
    if not lists:
        return Objects([value])
    if len(lists) < len(value) or any(len(column) != len(lists[0]) for column in lists):
        raise _malformed(f"the members of {place} must be arrays of one length, or all values")
    return Columns(value, len(lists[0]))


def _malformed(detail: str) -> ProblemError:
    return ProblemError(MALFORMED, detail)


_FORMS: Final[Mapping[str, Callable[[Any, Schema, str], Table]]] = {
    "dataframe_split": _split,
    "dataframe_records": _records,
    "instances": _tensors,
    "inputs": _tensors,
}
