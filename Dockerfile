# One file, four images.
#   scoring          online_api, stream_worker and batch_scorer, with a compiled (ONNX) bundle
#   scoring-pyfunc   the same, for a bundle that could not be compiled and needs MLflow
#   monitoring       the monitoring worker
#   training         trains and packages; compose.yaml also runs its MLflow server from it
# The first three carry the bundle that --build-arg BUNDLE=DIR names, a path in the build context.
# scoring-app, scoring-pyfunc-app and monitoring-app are the same without one, to mount it instead.
# Needs Docker 23 or newer, with or without BuildKit.

FROM python:3.11-slim AS python

# --- Packages. requirements.lock covers every extra; each venv below takes its own share of it.
# The lock is the constraint and hashes are required, so a package that is not in the lock, has
# another version or another hash fails the build. Wheels only: no stage has a compiler.
FROM python AS build
WORKDIR /build
COPY requirements.lock .
RUN sed -n '/^uv==/,/# via/p' requirements.lock > uv.txt \
    && PIP_ROOT_USER_ACTION=ignore pip install --no-cache-dir --no-deps --require-hashes -r uv.txt
COPY pyproject.toml .
ENV UV_COMPILE_BYTECODE=1 UV_CONSTRAINT=requirements.lock UV_NO_CACHE=1 UV_REQUIRE_HASHES=1 \
    VIRTUAL_ENV=/venv
RUN uv venv /venv

# LightGBM's shared library computes reasons; its Python package, which needs SciPy, is not imported.
FROM build AS scoring-venv
RUN echo "scipy; python_version < '3'" > no-scipy.txt \
    && uv pip install --only-binary :all: -r pyproject.toml --override no-scipy.txt \
    --extra online --extra stream --extra batch --extra delta --extra azure --extra reasons --extra tracing

FROM build AS scoring-pyfunc-venv
RUN uv pip install --only-binary :all: -r pyproject.toml \
    --extra online --extra stream --extra batch --extra delta --extra azure --extra reasons --extra tracing --extra pyfunc

FROM build AS monitoring-venv
RUN uv pip install --only-binary :all: -r pyproject.toml --extra monitoring --extra azure

FROM build AS training-venv
RUN uv pip install --only-binary :all: -r pyproject.toml --extra training

# --- Source. Owned by root, readable by everyone whatever the umask of the checkout was, and
# compiled, because the running containers write no bytecode.
FROM python AS source
WORKDIR /app
COPY . .
RUN chmod -R u=rwX,go=rX . && python -m compileall -q /app

# --- What all images share. /var/lib/trilane is the only directory the user may write to besides
# /tmp; a volume mounted there, or below, takes over its owner.
# libgomp1 is what LightGBM's library is linked with.
FROM python AS app
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o 10001 -g 10001 /var/lib/trilane /var/lib/trilane/bundles /var/lib/trilane/spool
ENV DO_NOT_TRACK=true ORT_DISABLE_TELEMETRY=1 \
    HOME=/tmp PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    TRILANE_BUNDLE=/bundle
LABEL org.opencontainers.image.title="trilane" \
      org.opencontainers.image.description="One MLflow model, three lanes, one watcher." \
      org.opencontainers.image.licenses="MIT"
WORKDIR /app
USER 10001:10001

FROM app AS scoring-app
COPY --from=scoring-venv /venv /venv
COPY --from=source /app/scoring scoring
COPY --from=source /app/adapters adapters
COPY --from=source /app/online_api online_api
COPY --from=source /app/stream_worker stream_worker
COPY --from=source /app/batch_scorer batch_scorer
CMD ["python", "-m", "online_api"]

FROM app AS scoring-pyfunc-app
COPY --from=scoring-pyfunc-venv /venv /venv
COPY --from=source /app/scoring scoring
COPY --from=source /app/adapters adapters
COPY --from=source /app/online_api online_api
COPY --from=source /app/stream_worker stream_worker
COPY --from=source /app/batch_scorer batch_scorer
CMD ["python", "-m", "online_api"]

FROM app AS monitoring-app
COPY --from=monitoring-venv /venv /venv
COPY --from=source /app/scoring scoring
COPY --from=source /app/adapters adapters
COPY --from=source /app/monitoring monitoring
COPY --from=source /app/config config
CMD ["python", "-m", "monitoring"]

FROM app AS training
COPY --from=training-venv /venv /venv
COPY --from=source /app/scoring scoring
COPY --from=source /app/adapters adapters
COPY --from=source /app/training training
COPY --from=source /app/bundling bundling
COPY --from=source /app/config config
CMD ["python", "-m", "training"]

# --- The deployable images: an app and its model.
FROM python AS bundle
ARG BUNDLE
# `:?` refuses an empty BUNDLE, which would copy the whole build context.
COPY ${BUNDLE:?} /bundle
RUN chmod -R u=rwX,go=rX /bundle

FROM scoring-app AS scoring
COPY --from=bundle /bundle /bundle

FROM scoring-pyfunc-app AS scoring-pyfunc
COPY --from=bundle /bundle /bundle

FROM monitoring-app AS monitoring
COPY --from=bundle /bundle /bundle
