"""MLflow, opened in one place: its environment, its addresses, its exceptions.

MLflow keeps its addresses in process-wide state: a process has one target at a time.
"""

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bundling.config import Registry
from scoring.errors import ConfigurationError, ServiceUnavailable, TrilaneError

if TYPE_CHECKING:
    from mlflow.exceptions import MlflowException

SQLITE = "sqlite:///"
# MLflow reports usage to its makers and retries a dead server for minutes unless told otherwise.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OMP_NUM_THREADS": "1",  # as in the lanes, so that what is proved here holds there
    "DO_NOT_TRACK": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",  # its lines then look like all others
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT": "60",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # which is the command's
    "GIT_PYTHON_REFRESH": "quiet",
}
_BUSY = frozenset(
    {"TEMPORARILY_UNAVAILABLE", "DEADLINE_EXCEEDED", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"}
)
_REFUSED = frozenset({"UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED", "PERMISSION_DENIED"})
_UNKNOWN = frozenset({"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"})
_CREDENTIALS: Final = {
    False: (
        "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, of "
        "somebody who may read the model"
    ),
    True: (
        "set DATABRICKS_HOST with DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET, or with "
        "DATABRICKS_TOKEN, of somebody who may execute the model"
    ),
}
_WORDS: Final = 400
_SECRET_VARIABLE = re.compile(
    "(MLFLOW|DATABRICKS|AWS|AZURE|GOOGLE)_.*(TOKEN|PASSWORD|SECRET|KEY|STRING)"
)
# Raised by MLflow's own modules while they are imported; nothing here can answer them.
_IMPORT_NOISE = (
    r"The ``noload`` loader strategy is deprecated",
    r"\x1b\[1;33mAny type hint is inferred as AnyType",
)


@contextmanager
def opened(registry: Registry) -> Iterator[None]:
    """Point MLflow at the registry's servers for the body; credentials come from the environment.

    The first MLflow import and a new SQLite store take seconds. MLflow's exceptions, in the body
    too, become ServiceUnavailable when the server did not answer and ConfigurationError otherwise;
    their texts hold no credentials.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    _make_store_directory(registry.tracking_uri)
    _import_mlflow()
    import mlflow

    with translated(registry):
        mlflow.set_tracking_uri(registry.tracking_uri)
        mlflow.set_registry_uri(registry.registry_uri or "")
        yield


@contextmanager
def translated(registry: Registry) -> Iterator[None]:
    """MLflow's exceptions, and those of the HTTP clients below it, as `opened` says."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise _translated(error, registry) from error
    except OSError as error:
        if not _is_of_http(error):
            raise
        said = without_credentials(_in_one_line(str(error)))
        raise ServiceUnavailable(f"MLflow: {said} (at {_address(registry)})") from error


def _is_of_http(error: OSError) -> bool:
    """MLflow lets some of the exceptions through of the clients it uses."""
    module = type(error).__module__.partition(".")[0]
    return isinstance(error, TimeoutError) or module in {"requests", "urllib3", "databricks"}


def is_unknown(error: "MlflowException") -> bool:
    """Whether the server answered that it has no such model, version or alias."""
    # A server on a database answers for an unknown alias as for a wrong parameter.
    no_alias = "alias" in error.message and "not found" in error.message
    return error.error_code in _UNKNOWN or no_alias


def without_credentials(text: str) -> str:
    """The text without user names and query values in URLs, and without this process's secrets."""
    text = re.sub(r"(\w://)[^/@\s]+@", r"\1", text)
    text = re.sub(r"([?&][^=&\s]+=)[^&\s\"')]+", r"\1***", text)
    for name, value in os.environ.items():
        if len(value) >= 4 and _SECRET_VARIABLE.fullmatch(name):
            text = text.replace(value, "***")
    return text


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


def _translated(error: "MlflowException", registry: Registry) -> TrilaneError:
    from mlflow.exceptions import RestException

    said = without_credentials(_in_one_line(error.message))
    text = f"MLflow: {error.error_code}: {said} (at {_address(registry)})"
    on_databricks = "databricks" in _address(registry)
    unset = "credential configuration failed" in error.message
    if error.error_code in _REFUSED or unset:
        return ConfigurationError(f"{text}; {_CREDENTIALS[on_databricks]}")
    cause = error.__cause__ or error.__context__
    # The HTTP client's exceptions are OSErrors; those that are also ValueErrors mean a bad URL.
    unreachable = isinstance(cause, OSError) and not isinstance(cause, ValueError)
    failed = isinstance(error, RestException) and error.error_code == "INTERNAL_ERROR"
    if unreachable or failed or error.error_code in _BUSY:
        return ServiceUnavailable(text)
    return ConfigurationError(text)


def _address(registry: Registry) -> str:
    return without_credentials(registry.registry_uri or registry.tracking_uri)


def _in_one_line(text: str) -> str:
    """MLflow's words, which name the server, the rule or the files, cut where they go on and on."""
    said = " ".join(line.strip("# ") for line in text.strip().splitlines())
    return said if len(said) <= _WORDS else f"{said[:_WORDS]} ..."
