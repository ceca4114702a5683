"""MLflow's scoring protocol, for the default model (mlflow.pyfunc.scoring_server)."""

from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from online_api.body import is_json, media_type, require_plain
from online_api.call import Answer, Call
from online_api.lane import Asked, Read
from online_api.needs import Needs
from online_api.problems import NOT_READY, UNSUPPORTED_MEDIA_TYPE, ProblemError
from online_api.protocols.csv_body import read_csv_body
from online_api.protocols.mlflow_body import MlflowBody, read_mlflow_body
from online_api.protocols.protocol_parameters import require_parameters, wanted_reasons
from online_api.reasons import REASONS
from online_api.served import ServedModel
from scoring.records import ScoredBatch

MLFLOW_VERSION: Final = "3.17.2"
"""The release of MLflow whose protocol this is."""

_CSV: Final = "text/csv"
_JSON: Final = "application/json"
_PARAMS: Final = frozenset({REASONS})
_ENCODER: Final = msgspec.json.Encoder()


class MlflowRoutes:
    """`POST /invocations`, `GET /ping`, `/health` and `/version`."""

    def __init__(self, needs: Needs) -> None:
        self._needs = needs

    async def invocations(self, call: Call) -> Answer:
        """1 read, 2 validate, score and log, 3 answer. Raises ProblemError, TransientError."""
        served = self._needs.models.default
        kind = _media_type(call)
        body = await self._needs.bodies.read(call)
        table, params = self._read(kind, body, served)
        require_parameters(params, _PARAMS, "params")
        reasons = wanted_reasons(call.scope["query_string"], params, served.model)
        base = self._needs.sources.record_id_base(call.context)

        def read(model: ServedModel) -> Read:
            return Read(table.validated(model.model.schema, base))

        scored = await self._needs.scoring.answer(served, call.context, Asked(body, read, reasons))
        return Answer(_ENCODER.encode({"predictions": _predictions(scored)}))

    def _read(self, kind: str, body: bytes, served: ServedModel) -> MlflowBody:
        if kind == _CSV:
            return MlflowBody(read_csv_body(body, self._needs.limits), {})
        return read_mlflow_body(body, served.model.schema, self._needs.limits)

    async def ping(self, _: Request) -> Response:
        """200 when requests may be sent here, else the problem `not-ready`."""
        if not self._needs.readiness.ready:
            raise ProblemError(NOT_READY, "the server is starting or stopping")
        return Response(b"\n", media_type=_JSON)

    async def version(self, _: Request) -> Response:
        """The version of MLflow as bare text, under the media type that MLflow gives it."""
        return Response(MLFLOW_VERSION, media_type=_JSON)


def _media_type(call: Call) -> str:
    """JSON when nothing is said. Raises ProblemError."""
    require_plain(call)
    header = call.headers.get(b"content-type")
    if header is None:
        return _JSON
    kind = media_type(header)
    if kind != _CSV and not is_json(kind):
        detail = f"send Content-Type: {_JSON} or {_CSV}"
        raise ProblemError(UNSUPPORTED_MEDIA_TYPE, detail)
    for parameter in header.decode("latin-1").split(";")[1:]:
        name, _, value = (part.strip().strip('"').lower() for part in parameter.partition("="))
        if name and name != "charset":
            detail = (
                "send Content-Type without parameters besides charset, as MLflow 2 and later do"
            )
            raise ProblemError(UNSUPPORTED_MEDIA_TYPE, detail)
        if name and value not in ("utf-8", "utf8"):
            raise ProblemError(UNSUPPORTED_MEDIA_TYPE, "send the body in UTF-8")
    return kind


def _predictions(scored: ScoredBatch) -> list[Any]:
    """One object per record; the bare values when there is one output and nothing beside it."""
    columns: dict[str, list[Any]] = {n: values.tolist() for n, values in scored.outputs.items()}
    if scored.outliers is not None and scored.outlier_scores is not None:
        columns["outlier"] = scored.outliers.tolist()
        columns["outlier_score"] = scored.outlier_scores.tolist()
    if scored.reasons is not None:
        columns[REASONS] = scored.reasons.as_lists()
    if len(columns) == 1:
        (only,) = columns.values()
        return only
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
