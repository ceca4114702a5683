"""Ways to compute the same scores."""

from collections.abc import Sequence
from pathlib import Path

from scoring.manifest import BackendSpec
from scoring.model import Backend
from scoring.schema import Schema


def open_backend(bundle: Path, spec: BackendSpec, raw: Sequence[str], schema: Schema) -> Backend:
    """The backend of a bundle whose files were verified; imports only what that one needs.

    A compiled one may be called from several threads. Raises BundleError.
    """
    if spec.kind == "onnx":
        from scoring.backends.onnx import OnnxBackend

        return OnnxBackend(bundle / spec.path, schema, raw, spec.float_type)
    from scoring.backends.pyfunc import PyfuncBackend

    return PyfuncBackend(bundle / spec.path, schema, raw)
