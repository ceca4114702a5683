"""`trilane stream`, `python -m stream_worker`: score the events of a hub until told to stop."""

from collections.abc import Sequence

from adapters.settings import run_command
from stream_worker.settings import StreamSettings


def run(settings: StreamSettings) -> None:
    """Verify the bundle, then connect and work. Raises TrilaneError."""
    import asyncio
    from datetime import UTC, datetime

    from scoring.bundles import champion_path
    from scoring.model_loader import load_model

    model = load_model(champion_path(settings.bundle), datetime.now(UTC))
    if settings.reasons:
        model.require_explainer()

    from stream_worker.app import serve

    asyncio.run(serve(settings, model))


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(
        StreamSettings,
        run,
        argv,
        prog="trilane stream",
        description="Score the events of a hub; publish scores and dead letters; log every record.",
    )


if __name__ == "__main__":
    raise SystemExit(main())
