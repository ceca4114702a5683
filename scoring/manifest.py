"""The bundle's manifest: what a lane must know before it opens any other file of the bundle.

The file is canonical JSON (`encode_manifest`), and its `digest` is the SHA-256 of the rest of it,
so that any other byte, in any file of the bundle, is noticed. The digest identifies the bundle.
"""

import hashlib
from pathlib import Path
from typing import Any, Literal

import msgspec

from scoring.errors import BundleError

MANIFEST_NAME = "manifest.json"
FORMAT = 2


class ColumnSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input column, as in the MLflow signature."""

    name: str
    type: str
    required: bool = True


class OutputColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One output of `score`: its name and type (double, long, boolean or string)."""

    name: str
    type: Literal["double", "long", "boolean", "string"]


class OutputSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the model's raw columns become outputs.

    binary: `score` is the raw column `positive`, `label` is `positive` where the score reaches
    `threshold`, else `negative`. columns: the raw columns are the outputs.
    """

    kind: Literal["binary", "columns"]
    raw: list[str]
    columns: list[OutputColumn]
    positive: str | None = None
    negative: str | None = None
    threshold: float | None = None


class BackendSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which backend computes the raw columns.

    `call_width` None means that the backend was seen to give the same bits at any batch size;
    otherwise every call has exactly that many rows.
    """

    kind: Literal["onnx", "pyfunc"]
    path: str
    float_type: Literal["double", "float"] = "double"
    call_width: int | None = None
    reason: str | None = None


class OutlierSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The outlier detector, an ONNX graph over numeric features; outliers lie above `threshold`.

    `call_width` as in `BackendSpec`. `share` is the share of the reference that the threshold was
    set to flag, `flagged_share` the share it does flag; None where there was no reference.
    """

    path: str
    features: list[str]
    threshold: float
    call_width: int | None = None
    share: float | None = None
    flagged_share: float | None = None


class ReasonsSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the contributions of the features to a score are computed.

    A record's contributions and a base value sum to the model's margin, on `scale`. `detail` says
    in words what the method is, and for `none` why there is no other. `explains` are the raw
    columns that are explained: the only one, or the one with the highest value in the record.
    `encoder` is an ONNX graph from the backend's inputs to the matrix the final estimator takes;
    `groups` has the schema position of the feature behind each of its columns. `path` holds the
    method's parameters. `max_difference` is the largest |base + contributions - margin| over the
    parity set.
    """

    method: Literal["linear", "tree", "sampling", "none"]
    detail: str
    scale: Literal["log-odds", "log", "probability", "value"] | None = None
    explains: list[str] = []
    encoder: str | None = None
    groups: list[int] = []
    path: str | None = None
    max_difference: float | None = None


class ParitySpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was seen at packaging: the largest difference to the registered model."""

    records: int
    tolerance: float
    max_difference: float
    outlier_max_difference: float | None
    widths: list[int]


class ReferenceSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The training reference: one Parquet file with the features and the outputs."""

    path: str
    records: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything about a bundle; `files` maps every other file to its SHA-256.

    `alias` is the alias that `version` was resolved from, if it was named by one. `source_digest`
    is that of the registered files, `digest` that of the bundle.
    """

    format: int
    digest: str
    name: str
    version: str
    alias: str | None
    role: str
    run_id: str | None
    source: str
    source_digest: str
    created: str
    inputs: list[ColumnSpec]
    ignored_fields: list[str]
    example: dict[str, Any] | None
    output: OutputSpec
    backend: BackendSpec
    outlier: OutlierSpec | None
    parity: ParitySpec
    reasons: ReasonsSpec
    reference: ReferenceSpec | None
    files: dict[str, str]


def sealed(manifest: Manifest) -> Manifest:
    """The manifest with its digest set."""
    return msgspec.structs.replace(manifest, digest=_digest(manifest))


def encode_manifest(manifest: Manifest) -> bytes:
    """The canonical bytes of manifest.json."""
    raw = msgspec.json.encode(manifest, order="deterministic")
    return msgspec.json.format(raw, indent=2) + b"\n"


def read_manifest(bundle: Path) -> Manifest:
    """Read and check manifest.json; does not open any other file.

    Raises BundleError naming the file when it is absent, not canonical, of another format, or
    does not match its own digest.
    """
    path = bundle / MANIFEST_NAME
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}; run `trilane package`") from error
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"{path} is damaged or not a manifest of this version") from error
    if manifest.format != FORMAT:
        raise BundleError(f"{path} has format {manifest.format}; this trilane reads {FORMAT}")
    if manifest.digest != _digest(manifest) or raw != encode_manifest(manifest):
        raise BundleError(f"{path} does not match its digest: the file was changed after packaging")
    return manifest


def verify_files(bundle: Path, manifest: Manifest) -> None:
    """Compare every file of the bundle with its digest; reads all of them.

    Raises BundleError naming the first file that is missing, altered or not in the manifest, or a
    link that leads out of the bundle.
    """
    root = bundle.resolve()
    for path in sorted(bundle.rglob("*")):
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            raise BundleError(f"{path} is a link that leads out of the bundle")
    for name, expected in sorted(manifest.files.items()):
        path = bundle / name
        try:
            actual = file_digest(path)
        except OSError as error:
            raise BundleError(f"cannot read {path}: {error.strerror}") from error
        if actual != expected:
            raise BundleError(
                f"{path} does not match its digest: the file was changed after packaging"
            )
    present = {name for name in bundle_files(bundle) if name != MANIFEST_NAME}
    for name in sorted(present - manifest.files.keys()):
        raise BundleError(f"{bundle / name} is not in the manifest: it was added after packaging")


def bundle_files(bundle: Path) -> list[str]:
    """Every file under a bundle directory, as sorted POSIX paths relative to it."""
    return sorted(p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file())


def file_digest(path: Path) -> str:
    """SHA-256 of a file in hexadecimal; raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(manifest: Manifest) -> str:
    rest = msgspec.structs.replace(manifest, digest="")
    return hashlib.sha256(msgspec.json.encode(rest, order="deterministic")).hexdigest()
