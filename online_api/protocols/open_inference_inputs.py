"""The input tensors of a request as records: a tensor for each field, or one for all."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from online_api.context import Limits
from online_api.problems import MALFORMED, ProblemError
from online_api.protocols.open_inference_request import InferBody, InputTensor, shown
from online_api.protocols.open_inference_tensors import (
    BYTES,
    DATATYPES,
    TensorError,
    read_binary_data,
    read_json_data,
)
from online_api.protocols.predict_body import require_count
from online_api.protocols.record_tables import Columns, Table
from scoring.predictions import RECORD_ID
from scoring.records import Validated
from scoring.schema import Schema
from scoring.text import parse_cell
from scoring.values import Values

_SHAPE: Final = "must have the shape [records], [records, 1] or, alone, [records, fields]"


def read_inputs(body: InferBody, schema: Schema, limits: Limits) -> Table:
    """The records. Raises ProblemError naming the input.

    `schema` is that of the model which answers. An input of the name of a field is that field; one
    that is alone, of two dimensions and of no field's name holds all fields in order, as text of
    which numbers are read when it is BYTES. An input `record_id` beside either is as in `Table`.
    """
    tensors = body.request.inputs
    if not tensors:
        raise ProblemError(MALFORMED, "inputs must have at least one tensor")
    for place, tensor in enumerate(tensors):
        _require_kind(place, tensor)
    if len({tensor.name for tensor in tensors}) < len(tensors):
        raise ProblemError(MALFORMED, "inputs must not name a tensor twice")
    count = tensors[0].shape[0]
    if any(tensor.shape[0] != count for tensor in tensors):
        raise ProblemError(MALFORMED, "inputs must all have as many records as the first")
    require_count(count, limits)
    matrix = _matrix(tensors, schema)
    if matrix is None:
        for place, tensor in enumerate(tensors):
            if tensor.shape[1:] not in ([], [1]):
                raise _error(place, tensor, _SHAPE)
    elif matrix.shape[1] != len(schema.names):
        rule = f"must have the shape [records, {len(schema.names)}] or the name of a field"
        raise _error(tensors.index(matrix), matrix, rule)
    values = {tensor.name: _values(place, tensor, body) for place, tensor in enumerate(tensors)}
    if matrix is None:
        return Columns(values, count)
    return _Matrix(values.pop(matrix.name), matrix.datatype == BYTES, count, values)


class _Matrix:
    """All fields of all records, row-major, and the records' ids if there are any."""

    def __init__(
        self, values: Values, is_text: bool, count: int, ids: Mapping[str, Values]
    ) -> None:
        self._values = values
        self._is_text = is_text
        self._count = count
        self._ids = ids

    def __len__(self) -> int:
        return self._count

    def validated(self, schema: Schema, base: str) -> Validated:
        """See `Table`."""
        width = len(schema.names)
        if len(self._values) != width * self._count:
            raise ProblemError(MALFORMED, f"the tensor must have the shape [records, {width}]")
        columns: dict[str, Values] = dict(self._ids)
        if isinstance(self._values, np.ndarray):
            table = np.ascontiguousarray(self._values.reshape(self._count, width).T)
            columns |= zip(schema.names, table, strict=True)
        else:
            columns |= {name: self._values[i::width] for i, name in enumerate(schema.names)}
        if self._is_text:
            for feature in schema.features:
                cells = columns[feature.name]
                columns[feature.name] = [parse_cell(feature.type, cell) for cell in cells]
        return Columns(columns, self._count).validated(schema, base)


def _require_kind(place: int, tensor: InputTensor) -> None:
    if not 1 <= len(tensor.shape) <= 2 or min(tensor.shape) < 0:
        raise _error(place, tensor, _SHAPE)
    if tensor.datatype != BYTES and tensor.datatype not in DATATYPES:
        known = ", ".join([*DATATYPES, BYTES])
        raise _error(place, tensor, f"must have one of the datatypes {known}")


def _matrix(tensors: Sequence[InputTensor], schema: Schema) -> InputTensor | None:
    """The tensor that holds all fields, if one does."""
    fields = [t for t in tensors if t.name != RECORD_ID or RECORD_ID in schema.names]
    if len(fields) != 1 or len(fields[0].shape) != 2:
        return None
    (only,) = fields
    return None if only.name in schema.known and only.shape[1] == 1 else only


def _values(place: int, tensor: InputTensor, body: InferBody) -> Values:
    binary = body.binary.get(place)
    try:
        if binary is not None:
            return read_binary_data(binary, tensor.shape, tensor.datatype)
        return read_json_data(tensor.data, tensor.shape, tensor.datatype)
    except TensorError as error:
        raise _error(place, tensor, str(error)) from None


def _error(place: int, tensor: InputTensor, rule: str) -> ProblemError:
    return ProblemError(MALFORMED, f"inputs[{place}] {shown(tensor.name)} {rule}")
