"""The Open Inference Protocol, version 2, over HTTP: the routes under `/v2`.

Source: github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md.
"""

from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from online_api.body import is_json, media_type, require_plain
from online_api.call import Answer, Call
from online_api.lane import Asked, Read
from online_api.needs import Needs
from online_api.problems import NOT_READY, UNSUPPORTED_MEDIA_TYPE, ProblemError
from online_api.protocols.open_inference_inputs import read_inputs
from online_api.protocols.open_inference_outputs import WantedOutputs, output_datatypes
from online_api.protocols.open_inference_request import read_infer_body
from online_api.protocols.open_inference_tensors import BYTES
from online_api.protocols.protocol_parameters import wanted_reasons
from online_api.served import ServedModel
from scoring.model import ModelDescription
from scoring.schema import FieldType

SERVER_VERSION: Final = "0.1.0"

_DATATYPES: Final[dict[FieldType, str]] = {
    FieldType.BOOLEAN: "BOOL",
    FieldType.INTEGER: "INT32",
    FieldType.LONG: "INT64",
    FieldType.FLOAT: "FP32",
    FieldType.DOUBLE: "FP64",
    FieldType.STRING: BYTES,
    FieldType.DATETIME: BYTES,
}
_JSON_LENGTH: Final = b"inference-header-content-length"
_OCTETS: Final = "application/octet-stream"


class OpenInferenceRoutes:
    """The routes, for every model."""

    def __init__(self, needs: Needs) -> None:
        self._needs = needs

    async def infer(self, call: Call) -> Answer:
        """1 read, 2 validate, score and log, 3 answer. Raises ProblemError, TransientError."""
        served = self._served(call.params)
        _require_kind(call)
        data = await self._needs.bodies.read(call)
        body = read_infer_body(data, call.header(_JSON_LENGTH))
        parameters = body.request.parameters or {}
        reasons = wanted_reasons(call.scope["query_string"], parameters, served.model)
        wanted = WantedOutputs(body.request, served.model, reasons)
        table = read_inputs(body, served.model.schema, self._needs.limits)
        base = self._needs.sources.record_id_base(call.context)

        def read(model: ServedModel) -> Read:
            return Read(table.validated(model.model.schema, base))

        asked = Asked(data, read, reasons)
        return wanted.answer(await self._needs.scoring.answer(served, call.context, asked))

    async def model_ready(self, request: Request) -> Response:
        """200 when this model scores, else the problem `not-ready` or `unknown-model`."""
        served = self._served(request.path_params)
        self._require_ready()
        return _json({"name": served.model.version.name, "ready": True})

    async def model_metadata(self, request: Request) -> Response:
        """The tensors that a model takes and gives."""
        return _json(model_metadata(self._served(request.path_params).model))

    async def server_metadata(self, _: Request) -> Response:
        """What server this is."""
        extensions = ["binary_tensor_data"]
        return _json({"name": "trilane", "version": SERVER_VERSION, "extensions": extensions})

    async def live(self, _: Request) -> Response:
        """200 as long as the event loop turns."""
        return _json({"live": True})

    async def ready(self, _: Request) -> Response:
        """200 when requests may be sent here, else the problem `not-ready`."""
        self._require_ready()
        return _json({"ready": True})

    def _served(self, params: Any) -> ServedModel:
        return self._needs.models.get(params["name"], params.get("version"))

    def _require_ready(self) -> None:
        if not self._needs.readiness.ready:
            raise ProblemError(NOT_READY, "the server is starting or stopping")


def model_metadata(model: ModelDescription) -> dict[str, Any]:
    """The model's document; `optional` stands with the inputs that may be absent or null."""
    inputs: list[dict[str, Any]] = []
    for feature in model.schema.features:
        tensor = {"name": feature.name, "datatype": _DATATYPES[feature.type], "shape": [-1]}
        inputs.append(tensor if feature.required else tensor | {"optional": True})
    outputs = [
        {"name": name, "datatype": datatype, "shape": [-1]}
        for name, datatype in output_datatypes(model).items()
    ]
    return {
        "name": model.version.name,
        "versions": [model.version.version],
        "platform": f"mlflow_{model.manifest.backend.kind}",
        "inputs": inputs,
        "outputs": outputs,
    }


def _require_kind(call: Call) -> None:
    """JSON, or bytes of which the first are JSON. Raises ProblemError."""
    require_plain(call)
    header = call.headers.get(b"content-type")
    if header is None:
        return
    kind = media_type(header)
    if not is_json(kind) and not (kind == _OCTETS and _JSON_LENGTH in call.headers):
        detail = f"send Content-Type: application/json; {_OCTETS} with binary tensors only"
        raise ProblemError(UNSUPPORTED_MEDIA_TYPE, detail)


def _json(document: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(document), media_type="application/json")
