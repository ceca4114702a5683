"""Reasons of the toy model: its margin is a sum, so each feature's part of it is known."""

import threading
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from scoring.errors import ModelError
from scoring.explainers.linear import LinearParameters
from scoring.explainers.parameters import write_parameters
from scoring.explainers.sampling import SamplingParameters
from scoring.manifest import (
    MANIFEST_NAME,
    ReasonsSpec,
    encode_manifest,
    file_digest,
    read_manifest,
    sealed,
)
from scoring.model import Explanation, ModelBundle
from scoring.records import RecordBatch
from tests.support.toy import EXAMPLE

UNEXPLAINED = 77


class ToyExplainer:
    """Exact contributions; fails where `n` is `UNEXPLAINED`, and knows who called it."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.threads: set[str] = set()

    def explain(self, batch: RecordBatch) -> Explanation:
        """Raises ModelError."""
        self.calls.append(len(batch))
        self.threads.add(threading.current_thread().name)
        x, n, flag, name = batch.columns
        if UNEXPLAINED in n:
            raise ModelError("no reasons for this one")
        parts = [0.1 * x, 0.2 * n, flag.astype(float), (name == "senior").astype(float)]
        return Explanation(np.full(len(batch), -1.0), np.stack(parts, axis=1))


def explained(
    toy: ModelBundle,
    explainer: ToyExplainer | None = None,
    method: Literal["linear", "tree", "sampling"] = "linear",
) -> ModelBundle:
    """The toy model with an explainer."""
    spec = msgspec.structs.replace(
        toy.manifest.reasons, method=method, detail="exact", scale="log-odds", explains=["Yes"]
    )
    manifest = msgspec.structs.replace(toy.manifest, reasons=spec)
    explainer = explainer or ToyExplainer()
    return replace(toy, manifest=manifest, explainer=explainer, no_reasons=None)


def expected_reasons(record: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """The strongest contributions by the formula."""
    parts = {
        "x": 0.1 * record["x"],
        "n": 0.2 * record["n"],
        "flag": float(record["flag"]),
        "name": float(record["name"] == "senior"),
    }
    strongest = sorted(parts.items(), key=lambda part: -abs(part[1]))[:count]
    return [{"feature": name, "contribution": value} for name, value in strongest]


def add_sampling(bundle: Path) -> Path:
    """Give a toy bundle on disk reasons by sampling, and seal it again."""
    every = [list(order) for order in permutations(range(4))]
    spec = ReasonsSpec("sampling", "sampled", "probability", ["Yes"], path="reasons.json")
    return _sealed(bundle, spec, SamplingParameters(EXAMPLE, every))


def add_linear(bundle: Path, weight: float) -> Path:
    """Give a toy bundle on disk reasons of a line through its numbers, and seal it again."""
    spec = ReasonsSpec(
        "linear", "a line", "log-odds", ["Yes"], groups=[0, 1, 2], path="reasons.json"
    )
    return _sealed(bundle, spec, LinearParameters([[weight] * 3], [0.0] * 3, [0.0]))


def _sealed(
    bundle: Path, spec: ReasonsSpec, parameters: SamplingParameters | LinearParameters
) -> Path:
    write_parameters(bundle / "reasons.json", parameters)
    manifest = read_manifest(bundle)
    files = {**manifest.files, "reasons.json": file_digest(bundle / "reasons.json")}
    changed = msgspec.structs.replace(manifest, reasons=spec, files=files)
    (bundle / MANIFEST_NAME).write_bytes(encode_manifest(sealed(changed)))
    return bundle
