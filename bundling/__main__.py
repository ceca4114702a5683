"""`trilane package`: every model that config/models.json names becomes a bundle."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from adapters.settings import run_command
from bundling.settings import PackageSettings

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
            from bundling.package import package_model

            package_model(entry, config.registry, directory, datetime.now(UTC))
        manifest = read_manifest(directory)
        print(
            f"{directory}: {manifest.name} version {manifest.version}, "
            f"backend {manifest.backend.kind}, digest {manifest.digest[:12]}"
        )


if __name__ == "__main__":
    raise SystemExit(main())
