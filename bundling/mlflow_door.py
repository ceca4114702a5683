"""MLflow, opened in one place: its environment, its addresses, its exceptions.

MLflow keeps its addresses in process-wide state: a process has one target at a time.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bundling.config import Registry
from scoring.errors import ConfigurationError, ServiceUnavailable, TrilaneError

if TYPE_CHECKING:
    from mlflow.exceptions import MlflowException

SQLITE = "sqlite:///"
# MLflow reports usage to its makers and retries a dead server for minutes unless told otherwise.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",  # its lines then look like all others
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # which is the command's
    "GIT_PYTHON_REFRESH": "quiet",
}
_BUSY = frozenset(
    {"TEMPORARILY_UNAVAILABLE", "DEADLINE_EXCEEDED", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"}
)
# Raised by MLflow's own modules while they are imported; nothing here can answer them.
_IMPORT_NOISE = (
    r"The ``noload`` loader strategy is deprecated",
    r"\x1b\[1;33mAny type hint is inferred as AnyType",
)


@contextmanager
def opened(registry: Registry) -> Iterator[None]:
    """Point MLflow at the registry's servers for the body.

    The first MLflow import and a new SQLite store take seconds. MLflow's exceptions, in the body
    too, become ServiceUnavailable when the server did not answer and ConfigurationError otherwise.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    _make_store_directory(registry.tracking_uri)
    _import_mlflow()
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        mlflow.set_tracking_uri(registry.tracking_uri)
        mlflow.set_registry_uri(registry.registry_uri or "")
        yield
    except MlflowException as error:
        raise _translated(error) from error


def _import_mlflow() -> None:
    with warnings.catch_warnings():
        for message in _IMPORT_NOISE:
            warnings.filterwarnings("ignore", message=message)
        import mlflow.pyfunc
        import mlflow.sklearn
        import mlflow.store.tracking.sqlalchemy_store  # noqa: F401


def _make_store_directory(tracking_uri: str) -> None:
    if not tracking_uri.startswith(SQLITE):
        return
    directory = Path(tracking_uri.removeprefix(SQLITE)).resolve().parent
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{directory}: cannot be made: {error.strerror}") from error


def _translated(error: "MlflowException") -> TrilaneError:
    from mlflow.exceptions import RestException

    text = f"MLflow: {error.error_code}: {error.message.splitlines()[0]}"
    cause = error.__cause__ or error.__context__
    # The HTTP client's exceptions are OSErrors; those that are also ValueErrors mean a bad URL.
    unreachable = isinstance(cause, OSError) and not isinstance(cause, ValueError)
    failed = isinstance(error, RestException) and error.error_code == "INTERNAL_ERROR"
    if unreachable or failed or error.error_code in _BUSY:
        return ServiceUnavailable(text)
    return ConfigurationError(text)
