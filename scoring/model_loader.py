"""From a bundle directory to a model that is ready to score: the one loader of all lanes."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from scoring.backends import open_backend
from scoring.bundle_schema import manifest_schema
from scoring.errors import BundleError, ModelError
from scoring.explainers import open_explainer
from scoring.manifest import Manifest, read_manifest, verify_files
from scoring.model import Backend, ModelBundle
from scoring.schema import Schema
from scoring.score import score
from scoring.validation import validate_rows


def load_model(bundle: Path, now: datetime, threads: int = 1) -> ModelBundle:
    """Verify every digest, load the backend and score the example once.

    Reads the whole bundle; with a compiled backend imports neither MLflow nor pandas. `now` is
    recorded as the time of loading. A compiled backend scores a large batch on `threads` threads;
    the bits do not depend on how many. A bundle that is replaced meanwhile is loaded anew. Raises
    BundleError naming the file that does not fit.
    """
    while True:
        manifest = read_manifest(bundle)
        try:
            model = _load(bundle, manifest, now, threads)
        except BundleError:
            if read_manifest(bundle).digest == manifest.digest:
                raise
        else:
            if read_manifest(bundle).digest == manifest.digest:
                return model


def _load(bundle: Path, manifest: Manifest, now: datetime, threads: int) -> ModelBundle:
    verify_files(bundle, manifest)
    schema = manifest_schema(manifest)
    backend = open_backend(bundle, manifest.backend, manifest.output.raw, schema)
    explainer, no_reasons = open_explainer(bundle, manifest, schema, backend)
    several = threads > 1 and manifest.backend.kind == "onnx"
    model = ModelBundle(
        manifest,
        schema,
        backend,
        _outlier(bundle, manifest, schema),
        now,
        explainer,
        no_reasons,
        ThreadPoolExecutor(threads, thread_name_prefix="score") if several else None,
    )
    _warm_up(bundle, model)
    return model


def _outlier(bundle: Path, manifest: Manifest, schema: Schema) -> Backend | None:
    if manifest.outlier is None:
        return None
    from scoring.backends.onnx import OnnxOutlierDetector

    return OnnxOutlierDetector(bundle / manifest.outlier.path, schema, manifest.outlier.features)


def _warm_up(bundle: Path, model: ModelBundle) -> None:
    """The first call of a session allocates; it happens here and not under a request."""
    if model.schema.example is None:
        return
    valid = validate_rows(model.schema, [dict(model.schema.example)], ["example"])
    if valid.rejections:
        raise BundleError(f"{bundle}: the example does not fit the model's own signature")
    try:
        score(model, valid.batch)
    except ModelError as error:
        raise BundleError(f"{bundle}: the model cannot score its own example: {error}") from error
    if model.explainer is not None:
        # A record that cannot be explained is no reason to refuse the bundle.
        with contextlib.suppress(ModelError):
            model.explainer.explain(valid.batch)
