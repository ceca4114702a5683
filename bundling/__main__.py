"""`trilane package`: every model that config/models.json names becomes a bundle."""

import logging
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.settings import run_command
from bundling.settings import PackageSettings
from scoring.errors import ServiceUnavailable

if TYPE_CHECKING:
    from bundling.config import ModelEntry, Registry

logger = logging.getLogger("bundling")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return run_command(
        PackageSettings,
        _package,
        argv,
        prog="trilane package",
        description="Turn the registered model versions named in config/models.json into bundles.",
    )


def _package(settings: PackageSettings) -> None:
    from bundling.config import read_models_config
    from bundling.place import held

    config = read_models_config(settings.models)
    # SIGTERM ends packaging as Ctrl-C does: what was begun is removed, what stood stands.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for entry in config.models:
        directory = settings.output / entry.name
        with held(directory):
            _make(entry, config.registry, directory, settings.force)
            print(_summary(directory))


def _make(entry: "ModelEntry", registry: "Registry", directory: Path, force: bool) -> None:
    from bundling.current import is_current, is_pinned
    from bundling.package import package_model

    stands = {"bundle": str(directory)}
    if not force and entry.version is not None and is_current(directory, entry, entry.version):
        logger.info("bundle stands", extra=stands)
        return
    try:
        if not package_model(entry, registry, directory, datetime.now(UTC), force=force):
            logger.info("bundle stands", extra=stands)
    except ServiceUnavailable as error:
        if not is_pinned(directory, entry):
            raise
        logger.warning(
            "the registry is away; the bundle of the pinned digest is used",
            extra=stands | {"error": str(error)},
        )


def _summary(directory: Path) -> str:
    """What stands, in one line."""
    from scoring.manifest import read_manifest

    manifest = read_manifest(directory)
    parts = [
        f"{manifest.name} version {manifest.version}"
        + (f" (alias {manifest.alias})" if manifest.alias else ""),
        f"backend {manifest.backend.kind}",
    ]
    if manifest.outlier is not None and manifest.outlier.flagged_share is not None:
        parts.append(f"outliers {manifest.outlier.flagged_share:.2%} of the reference")
    parts += [f"bundle {manifest.digest[:12]}", f"registered files {manifest.source_digest}"]
    return f"{directory}: {', '.join(parts)}"


if __name__ == "__main__":
    raise SystemExit(main())
