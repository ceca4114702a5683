"""The floor of a FastAPI service: a pydantic body of typed records, and a constant for an answer.

    python -m benchmarks.online.empty_endpoint BUNDLE PORT

Nothing is scored, logged or counted, and nobody is asked who they are. The body is a list of
records whose fields are the model's, with the types of its signature.
"""

import sys
from pathlib import Path
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from pydantic import create_model

from benchmarks.online.bodies import read_manifest

CONSTANT: Final = {"predictions": [{"score": 0.5, "label": "No"}]}

_TYPES: dict[str, type] = {
    "boolean": bool, "integer": int, "long": int, "float": float, "double": float, "string": str,
}  # fmt: skip


def create_app(bundle: Path) -> FastAPI:
    """The app, for the model of a bundle."""
    fields: dict[str, Any] = {
        column.name: (_TYPES[column.type], ...) for column in read_manifest(bundle).inputs
    }
    record = create_model("Record", **fields)
    app = FastAPI()

    # The way FastAPI's own documentation writes it; the model exists only at run time.
    async def predict(records: list[record]) -> dict[str, Any]:  # noqa: ARG001
        return CONSTANT

    app.post("/predict")(predict)

    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        return {"status": "ready"}

    return app


if __name__ == "__main__":
    uvicorn.run(
        create_app(Path(sys.argv[1])), port=int(sys.argv[2]), log_level="warning", access_log=False
    )
