"""`trilane train`: train the shipped example and register a new version of it."""

from collections.abc import Sequence

from adapters.settings import run_command
from training.settings import TrainSettings


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return run_command(
        TrainSettings,
        _train,
        argv,
        prog="trilane train",
        description="Train the attrition example and register a new model version as champion.",
    )


def _train(settings: TrainSettings) -> None:
    from bundling.config import read_models_config
    from training.job import train_and_register
    from training.tracking import Target

    config = read_models_config(settings.models)
    target = Target(config.registry, config.champion.name)
    made = train_and_register(target, settings.data, settings.seed)
    print(f"{made.name} version {made.version} run {made.run_id}")


if __name__ == "__main__":
    raise SystemExit(main())
