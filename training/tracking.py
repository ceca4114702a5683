"""Where a training is recorded: its MLflow servers, its experiment, its artifacts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bundling import mlflow_door
from bundling.config import Registry


@dataclass(frozen=True, slots=True)
class Target:
    """The MLflow servers and the registered model's name."""

    registry: Registry
    model_name: str

    @property
    def experiment(self) -> str:
        """The experiment's name: the model's, under /Shared where names are workspace paths."""
        on_databricks = self.registry.tracking_uri.startswith("databricks")
        return f"/Shared/{self.model_name}" if on_databricks else self.model_name

    @property
    def artifact_location(self) -> str | None:
        """The directory `mlartifacts/<experiment>` beside a SQLite store; else the server's choice.

        A relative store is resolved against the working directory, as SQLAlchemy does.
        """
        uri = self.registry.tracking_uri
        if not uri.startswith(mlflow_door.SQLITE):
            return None
        database = Path(uri.removeprefix(mlflow_door.SQLITE)).resolve()
        return (database.parent / "mlartifacts" / self.experiment).as_uri()


@contextmanager
def opened(target: Target) -> Iterator[str]:
    """Point MLflow at `target` and yield the id of its experiment, made when there is none.

    Blocks and raises as `bundling.mlflow_door.opened`.
    """
    with mlflow_door.opened(target.registry):
        yield _experiment_id(target)


def _experiment_id(target: Target) -> str:
    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name(target.experiment)
    if experiment is not None:
        return str(experiment.experiment_id)
    return str(client.create_experiment(target.experiment, target.artifact_location))
