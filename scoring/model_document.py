"""What a running lane says of its model: to whoever asks at /model, and in its log at the start."""

from typing import Any

import msgspec

from scoring.manifest import Manifest
from scoring.model import ModelBundle, ModelDescription


def model_identity(model: ModelDescription) -> dict[str, Any]:
    """Which model this is, as members of a log line."""
    manifest = model.manifest
    return {
        "model": manifest.name,
        "version": manifest.version,
        "alias": manifest.alias,
        "digest": manifest.digest,
        "source_digest": manifest.source_digest,
        "backend": manifest.backend.kind,
    }


def model_document(model: ModelDescription, threads: int | None = None) -> bytes:
    """What `GET /model` answers, as JSON; holds no record, the example included.

    `threads` is how many score one batch; None, like the time of loading, where none is scored.
    """
    manifest, outlier = model.manifest, model.manifest.outlier
    loaded = model if isinstance(model, ModelBundle) else None
    document = {
        "name": manifest.name,
        "version": manifest.version,
        "alias": manifest.alias,
        "digest": manifest.digest,
        "source_digest": manifest.source_digest,
        "role": manifest.role,
        "run_id": manifest.run_id,
        "packaged_at": manifest.created,
        "loaded_at": None if loaded is None else loaded.loaded_at.isoformat(),
        "threads": threads,
        "backend": manifest.backend,
        "parity": manifest.parity,
        "reasons": _reasons(manifest, loaded),
        "threshold": manifest.output.threshold,
        "outlier_threshold": None if outlier is None else outlier.threshold,
        "outlier_share": None if outlier is None else outlier.share,
        "outlier_flagged_share": None if outlier is None else outlier.flagged_share,
        "signature": {
            "inputs": manifest.inputs,
            "ignored": sorted(model.schema.ignored),
            "outputs": manifest.output.columns,
        },
        "files": manifest.files,
    }
    return msgspec.json.encode(document)


def _reasons(manifest: Manifest, loaded: ModelBundle | None) -> dict[str, Any]:
    """How reasons are computed; a loaded model that gives none says why in `detail`."""
    spec = manifest.reasons
    unavailable = spec.method == "none" if loaded is None else loaded.explainer is None
    why_not = None if loaded is None else loaded.no_reasons
    return {
        "available": not unavailable,
        "method": spec.method,
        "detail": (why_not or spec.detail) if unavailable else spec.detail,
        "scale": spec.scale,
        "explains": spec.explains,
        "max_difference": spec.max_difference,
    }
