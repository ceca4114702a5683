"""`trilane package`: every model that config/models.json names becomes a bundle."""

import logging
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
    from bundling.current import is_current
    from scoring.manifest import read_manifest

    config = read_models_config(settings.models)
    for entry in config.models:
        directory = settings.output / entry.name
        if not settings.force and is_current(directory, entry):
            logger.info("bundle stands", extra={"bundle": str(directory)})
        else:
            _make(entry, config.registry, directory)
        manifest = read_manifest(directory)
        print(
            f"{directory}: {manifest.name} version {manifest.version}, "
            f"backend {manifest.backend.kind}, bundle {manifest.digest[:12]}, "
            f"registered files {manifest.source_digest}"
        )


def _make(entry: "ModelEntry", registry: "Registry", directory: Path) -> None:
    from bundling.current import is_pinned
    from bundling.package import package_model

    try:
        package_model(entry, registry, directory, datetime.now(UTC))
    except ServiceUnavailable as error:
        if not is_pinned(directory, entry):
            raise
        logger.warning(
            "the registry is away; the bundle of the pinned digest is used",
            extra={"bundle": str(directory), "error": str(error)},
        )


if __name__ == "__main__":
    raise SystemExit(main())
