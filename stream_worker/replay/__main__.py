"""`trilane replay`: score dead letters again with the current model."""

from collections.abc import Sequence

from adapters.settings import run_command
from stream_worker.replay.settings import ReplaySettings


def run(settings: ReplaySettings) -> None:
    """Replay once through and print what changed. Raises TrilaneError."""
    import asyncio
    from datetime import UTC, datetime

    from scoring.bundles import champion_path
    from scoring.model_loader import load_model

    model = load_model(champion_path(settings.bundle), datetime.now(UTC))
    if settings.reasons:
        model.require_explainer()

    from stream_worker.replay.app import replay

    print(asyncio.run(replay(settings, model)))


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(
        ReplaySettings,
        run,
        argv,
        prog="trilane replay",
        description="Score dead letters again with the current model; publish what is scored.",
    )


if __name__ == "__main__":
    raise SystemExit(main())
