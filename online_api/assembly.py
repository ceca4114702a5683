"""The composition root of one process that answers: settings to an app."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp

from adapters.spool import SpooledInferenceLog
from adapters.telemetry import LaneMetrics, MetricFamilies, ServerMetrics
from adapters.tracing import open_tracing
from online_api.access.caller import Role
from online_api.access.gate import Access, open_access
from online_api.app import Policy, create_app
from online_api.context import Load, Readiness, Sources
from online_api.front_door import Watch
from online_api.request_lines import QUIET, open_request_lines
from online_api.scorer import open_scorer
from online_api.served import Models, ServedModel
from online_api.settings import Audience, OnlineSettings
from scoring.bundles import bundle_paths
from scoring.model import ModelBundle
from scoring.model_loader import load_model


@dataclass(frozen=True)
class App:
    """What a server serves, and what it watches while it does."""

    asgi: ASGIApp
    models: Models
    access: Access
    readiness: Readiness
    load: Load
    metrics: ServerMetrics
    close: Callable[[], None]
    """Gives up what the app holds. What was logged stays in the spool."""


def open_app(settings: OnlineSettings, metrics_files: Path | None) -> App:
    """Load and verify every bundle, and put the app around them.

    `metrics_files` is the directory in which the processes of one server share their metrics.
    Raises BundleError and ConfigurationError.
    """
    sources, limits = Sources(), settings.limits()
    readiness, load = Readiness(), Load()
    access = open_access(settings, sources)
    families = MetricFamilies(metrics_files)
    metrics, tracing = ServerMetrics(families), open_tracing("trilane-online", QUIET)

    def served(model: ModelBundle) -> ServedModel:
        version = model.version
        lane_metrics = LaneMetrics("online", version.name, version.version, families)
        scorer = open_scorer(model, limits, lane_metrics, load)
        log = _open_log(settings, model, lane_metrics, sources)
        return ServedModel(model, scorer, log, lane_metrics, log.close)

    bundles = [load_model(path, sources.now()) for path in bundle_paths(settings.bundle)]
    all_served = [served(model) for model in bundles]
    models = Models(all_served, all_served[0])
    load.is_full = lambda: models.default.scorer.is_full
    features = {one.model.version.digest: one.model.schema.names for one in models}
    service = models.default.model.version.name
    lines = open_request_lines(service, settings.request_lines, features)
    watch = Watch(lines, metrics, tracing)
    policy = Policy(
        access, _role(settings.metrics_access), _role(settings.model_access), settings.shadow
    )
    asgi = create_app(models, policy, watch, limits, load, readiness, sources)

    def close() -> None:
        for one in models:
            one.close()
        tracing.close()

    return App(asgi, models, access, readiness, load, metrics, close)


def _open_log(
    settings: OnlineSettings, model: ModelBundle, metrics: LaneMetrics, sources: Sources
) -> SpooledInferenceLog:
    return SpooledInferenceLog(
        settings.spool_dir,
        model,
        metrics,
        rotate_seconds=settings.upload_interval_seconds,
        max_bytes=settings.spool_max_bytes,
        clock=sources.now,
        refuse_when_full=settings.spool_full == "refuse",
    )


def _role(audience: Audience) -> Role | None:
    return None if audience == "open" else audience
