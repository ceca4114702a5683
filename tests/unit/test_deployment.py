"""The image, compose and cluster files agree with the code, the schemas and each other."""

import ast
import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import kubernetes_validate
import pytest
import yaml

from adapters.settings import EXIT_TERMINAL, EXIT_TRANSIENT, EXIT_USAGE, AppSettings
from batch_scorer.settings import BatchSettings
from bundling.settings import PackageSettings
from monitoring.settings import MonitorSettings
from online_api.settings import OnlineSettings
from stream_worker.settings import StreamSettings
from training.settings import TrainSettings

ROOT = Path(__file__).parents[2]
BASE = ROOT / "k8s" / "base"
COMPOSE = ROOT / "compose.yaml"
DOCKERFILE = ROOT / "Dockerfile"
SCRIPTS = ROOT / "pipelines" / "scripts"

KUBERNETES = "1.33"
"""The version whose schemas the manifests must meet."""

APPS: tuple[type[AppSettings], ...] = (
    OnlineSettings,
    StreamSettings,
    BatchSettings,
    MonitorSettings,
    TrainSettings,
    PackageSettings,
)
SETTINGS = {name.upper() for app in APPS for name in app.model_fields}
"""Every environment variable that a deployed command reads, without the prefix TRILANE_."""

IMAGES = (
    "scoring", "scoring-pyfunc", "monitoring",
    "scoring-app", "scoring-pyfunc-app", "monitoring-app", "training",
)  # fmt: skip
SERVICES = {
    "azurite", "eventhubs-emulator", "mlflow", "trainer", "online", "stream", "batch", "monitoring",
}  # fmt: skip
RENDER_INPUTS = (
    "TRILANE_STORAGE_URL", "TRILANE_BOOTSTRAP_SERVERS", "TRILANE_INPUT", "TRILANE_OUTPUT",
    "ONLINE_API_CLIENT_ID", "STREAM_WORKER_CLIENT_ID", "BATCH_SCORER_CLIENT_ID",
    "MONITORING_WORKER_CLIENT_ID",
)  # fmt: skip
"""What render.sh cannot do without."""


def test_manifests_validate_strictly() -> None:
    """Every document in k8s/base is valid Kubernetes with no unknown field."""
    kinds = {"Namespace", "ServiceAccount", "Deployment", "CronJob", "Service"}
    assert {document["kind"] for document in manifests()} == kinds
    for document in manifests():
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_kustomization_lists_every_manifest() -> None:
    """kustomization.yaml names exactly the files that lie beside it."""
    files = {path.name for path in BASE.iterdir()} - {"kustomization.yaml"}
    assert set(load(BASE / "kustomization.yaml")["resources"]) == files


def test_pods_are_confined() -> None:
    """Every pod is non-root and read-only, drops capabilities, and states its resources."""
    for pod in pods("Deployment", "CronJob"):
        security = pod.spec["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] == 10001
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod.container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert pod.container["resources"]["requests"].keys() >= {"cpu", "memory"}
        assert "memory" in pod.container["resources"]["limits"]
        assert "/tmp" in {mount["mountPath"] for mount in pod.container["volumeMounts"]}
        assert pod.spec["terminationGracePeriodSeconds"] >= 30


def test_deployments_are_probed_where_they_listen() -> None:
    """Every Deployment has three probes, on a port that the app is told to open to the pod."""
    paths = {"startupProbe": "/livez", "readinessProbe": "/readyz", "livenessProbe": "/livez"}
    for pod in pods("Deployment"):
        (port,) = pod.container["ports"]
        for probe, path in paths.items():
            assert pod.container[probe]["httpGet"] == {"path": path, "port": port["name"]}
        env = {entry["name"]: entry.get("value") for entry in pod.container["env"]}
        prefix = "TRILANE_" if pod.name == "online-api" else "TRILANE_PROBE_"
        assert env[prefix + "HOST"] == "0.0.0.0"  # noqa: S104
        assert env[prefix + "PORT"] == str(port["containerPort"])


def test_the_nightly_job_is_shared_among_its_pods() -> None:
    """An Indexed Job has a pod for each shard; each is tried again by itself, unless that is of no
    use, and all know the one run by the name of the Job.
    """
    (cron,) = (d["spec"] for d in manifests() if d["kind"] == "CronJob")
    job = cron["jobTemplate"]["spec"]
    (pod,) = pods("CronJob")
    env = {entry["name"]: entry for entry in pod.container["env"]}
    assert job["completionMode"] == "Indexed"
    assert job["completions"] == job["parallelism"] == int(env["TRILANE_SHARDS"]["value"])
    assert job["backoffLimitPerIndex"] >= 1
    assert "backoffLimit" not in job
    assert pod.spec["restartPolicy"] == "Never"
    assert not env.keys() & {"TRILANE_SHARD", "JOB_COMPLETION_INDEX"}
    job_name = env["TRILANE_RUN_ID"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert job_name == "metadata.labels['batch.kubernetes.io/job-name']"
    assert cron["concurrencyPolicy"] == "Forbid"


def test_the_nightly_job_fails_at_once_where_trying_again_is_of_no_use() -> None:
    """On the exit codes for a person; a pod that is moved away counts as no failure at all."""
    (cron,) = (d["spec"] for d in manifests() if d["kind"] == "CronJob")
    (pod,) = pods("CronJob")
    terminal, moved = cron["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert terminal == {
        "action": "FailJob",
        "onExitCodes": {
            "containerName": pod.container["name"],
            "operator": "In",
            "values": [EXIT_TERMINAL, EXIT_USAGE],
        },
    }
    assert EXIT_TRANSIENT not in terminal["onExitCodes"]["values"]
    assert moved["action"] == "Ignore"
    assert moved["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]


def test_every_workload_has_an_identity_of_its_own() -> None:
    """Pods use workload identity through a service account that carries the workload's name."""
    accounts = {d["metadata"]["name"] for d in manifests() if d["kind"] == "ServiceAccount"}
    assert accounts == {pod.name for pod in pods("Deployment", "CronJob")}
    for pod in pods("Deployment", "CronJob"):
        assert pod.spec["serviceAccountName"] == pod.name
        assert pod.labels["azure.workload.identity/use"] == "true"


def test_the_service_selects_the_online_pods() -> None:
    """The Service finds the pods of online-api, and their port, and no others."""
    (service,) = (d["spec"] for d in manifests() if d["kind"] == "Service")
    selected = [p for p in pods("Deployment") if service["selector"].items() <= p.labels.items()]
    assert [pod.name for pod in selected] == ["online-api"]
    assert service["ports"][0]["targetPort"] == selected[0].container["ports"][0]["name"]


def test_only_known_settings_are_set() -> None:
    """Manifests, compose, image and scripts name no TRILANE_ variable that nothing reads."""
    for file in [*BASE.iterdir(), *SCRIPTS.iterdir(), COMPOSE, DOCKERFILE]:
        unknown = set(re.findall(r"\bTRILANE_([A-Z_]+)", file.read_text())) - SETTINGS
        assert not unknown, file


def test_commands_name_packages_that_can_be_run() -> None:
    """Every `python -m X` that a container starts has an X/__main__.py."""
    commands = [pod.container["command"] for pod in pods("Deployment", "CronJob")]
    commands += [service.get("command", ()) for service in load(COMPOSE)["services"].values()]
    commands += [json.loads(line) for image in IMAGES for line in instructions(image, "CMD")]
    text = "\n".join(part if isinstance(part, str) else " ".join(part) for part in commands)
    modules = set(re.findall(r"python -m (\w+)", text))
    assert modules >= {"online_api", "stream_worker", "batch_scorer", "monitoring"}
    for module in modules:
        assert (ROOT / module / "__main__.py").is_file(), module


def test_compose_defines_the_whole_system() -> None:
    """compose.yaml has all services, and what they refer to exists."""
    document = load(COMPOSE)
    services = document["services"]
    assert services.keys() >= SERVICES
    assert services["batch"]["profiles"] == ["batch"]
    used = {config["source"] for s in services.values() for config in s.get("configs", ())}
    assert used == document["configs"].keys()
    targets: dict[str, str] = {}
    for service in services.values():
        assert set(service.get("depends_on", ())) <= services.keys()
        if "build" in service:
            target = re.sub(r"\$\{\w+:-(.+)\}", r"\1", service["build"]["target"])
            assert target in stages()
            assert targets.setdefault(service["image"], target) == target


def test_compose_publishes_on_loopback_only() -> None:
    """No port of the local system can be reached from another machine."""
    for service in load(COMPOSE)["services"].values():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:")


def test_emulator_has_the_hubs_that_the_cluster_uses() -> None:
    """The emulator's hubs and consumer group are those in the cluster's settings."""
    literals = load(BASE / "kustomization.yaml")["configMapGenerator"][0]["literals"]
    settings = dict(literal.split("=", 1) for literal in literals)
    config = json.loads(load(COMPOSE)["configs"]["eventhubs"]["content"])
    hubs = config["UserConfig"]["NamespaceConfig"][0]["Entities"]
    wanted = {value for name, value in settings.items() if name.endswith("_HUB")}
    assert {hub["Name"] for hub in hubs} == wanted
    for hub in hubs:
        assert {"Name": settings["TRILANE_CONSUMER_GROUP"]} in hub["ConsumerGroups"]


def test_compose_serves_the_shipped_model() -> None:
    """compose.yaml trains and loads the model of config/models.json, by alias, from its server."""
    document = load(COMPOSE)
    (inline,) = json.loads(document["configs"]["models"]["content"])["models"]
    (shipped,) = json.loads((ROOT / "config" / "models.json").read_text())["models"]
    del inline["alias"], shipped["version"]
    assert inline == shipped
    bundles = document["services"]["trainer"]["environment"]["TRILANE_OUTPUT"]
    for lane in ("online", "stream", "batch", "monitoring"):
        bundle = document["services"][lane]["environment"]["TRILANE_BUNDLE"]
        assert bundle == f"{bundles}/{shipped['name']}"


@pytest.mark.parametrize("image", IMAGES)
def test_images_do_not_run_as_root(image: str) -> None:
    """The last USER of every image, its bases included, is a number other than 0."""
    assert re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", instructions(image, "USER")[-1])


@pytest.mark.parametrize("image", IMAGES)
def test_images_hold_every_package_that_their_code_imports(image: str) -> None:
    """The first-party packages in an image import none that is not in it."""
    own = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    copied = re.findall(r"--from=source /app/(\w+) \1", "\n".join(instructions(image, "COPY")))
    packages = own & set(copied)
    files = [file for package in packages for file in (ROOT / package).rglob("*.py")]
    assert files
    assert {name for file in files for name in imports(file)} & own <= packages


def test_image_sources_enter_the_build_context() -> None:
    """.dockerignore lets through, and the checkout has, every directory that an image copies."""
    allowed = re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    for name in re.findall(r"--from=source /app/(\w+)", DOCKERFILE.read_text()):
        assert name in allowed
        assert (ROOT / name).is_dir()


def test_image_packages_come_from_the_lock() -> None:
    """Installs require hashes and are constrained by the lock, installer included."""
    text = DOCKERFILE.read_text()
    assert "UV_REQUIRE_HASHES=1" in text
    assert "UV_CONSTRAINT=requirements.lock" in text
    lock = (ROOT / "requirements.lock").read_text()
    assert re.search(r"^uv==\S+ \\\n +--hash", lock, re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(re.findall(r"--extra (\w+)", text)) <= project["optional-dependencies"].keys()


def test_pipeline_runs_scripts_that_exist() -> None:
    """azure-pipelines.yml builds, then stages, with scripts that can be executed."""
    file = ROOT / "pipelines" / "azure-pipelines.yml"
    assert [stage["stage"] for stage in load(file)["stages"]] == ["Build", "Staging"]
    scripts = re.findall(r"^\s+(pipelines/scripts/\w+\.sh)", file.read_text(), re.MULTILINE)
    assert len(scripts) == 3
    for script in scripts:
        assert os.access(ROOT / script, os.X_OK), script


def test_render_writes_what_differs(tmp_path: Path) -> None:
    """render.sh sets registry, tag, settings and identities for every workload."""
    assert render(tmp_path, RENDER_INPUTS).returncode == 0
    written = load(tmp_path / "var" / "deploy" / "kustomization.yaml")
    images = {image["name"]: (image["newName"], image["newTag"]) for image in written["images"]}
    used = {pod.container["image"] for pod in pods("Deployment", "CronJob")}
    assert images == {name: (f"registry.test/{name}", "7") for name in used}
    assert "TRILANE_STORAGE_URL=value" in written["configMapGenerator"][0]["literals"]
    accounts = [yaml.safe_load(patch["patch"])["metadata"] for patch in written["patches"]]
    assert {a["name"] for a in accounts} == {pod.name for pod in pods("Deployment", "CronJob")}
    assert {a["annotations"]["azure.workload.identity/client-id"] for a in accounts} == {"value"}


@pytest.mark.parametrize("missing", RENDER_INPUTS)
def test_render_refuses_a_missing_input(tmp_path: Path, missing: str) -> None:
    """render.sh names the variable that is not set, exits 2 and writes nothing."""
    refused = render(tmp_path, tuple(name for name in RENDER_INPUTS if name != missing))
    assert refused.returncode == 2
    assert missing in refused.stderr
    assert not (tmp_path / "var").exists()


@pytest.mark.kubectl
def test_rendered_deployment_validates_strictly(tmp_path: Path) -> None:
    """What render.sh and kustomize make together is valid Kubernetes."""
    render(tmp_path, RENDER_INPUTS)
    command = ["kubectl", "kustomize", str(tmp_path / "var" / "deploy")]
    built = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    documents = list(yaml.safe_load_all(built))
    assert "ConfigMap" in {document["kind"] for document in documents}
    for document in documents:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


def render(checkout: Path, given: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run render.sh in a copy of what it reads, with the given variables set."""
    shutil.copytree(ROOT / "k8s", checkout / "k8s")
    shutil.copytree(SCRIPTS, checkout / "pipelines" / "scripts")
    command = [str(checkout / "pipelines" / "scripts" / "render.sh"), "registry.test", "7"]
    env = {"PATH": os.environ["PATH"]} | dict.fromkeys(given, "value")
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def load(file: Path) -> Any:
    """The one document of a YAML file, anchors resolved."""
    return yaml.safe_load(file.read_text())


def manifests() -> Iterator[dict[str, Any]]:
    """Every Kubernetes document in k8s/base."""
    for name in load(BASE / "kustomization.yaml")["resources"]:
        yield from yaml.safe_load_all((BASE / name).read_text())


class Pod(NamedTuple):
    """What a Deployment or CronJob of that name makes."""

    name: str
    labels: dict[str, str]
    spec: dict[str, Any]
    container: dict[str, Any]


def pods(*kinds: str) -> Iterator[Pod]:
    """The pod of every workload of these kinds; each has one container."""
    for item in manifests():
        if item["kind"] in kinds:
            spec = item["spec"]
            template = spec.get("jobTemplate", {}).get("spec", spec)["template"]
            (container,) = template["spec"]["containers"]
            name = item["metadata"]["name"]
            yield Pod(name, template["metadata"]["labels"], template["spec"], container)


def stages() -> dict[str, tuple[str, list[str]]]:
    """Dockerfile stages: name -> (base, instructions with their continuation lines joined)."""
    found: dict[str, tuple[str, list[str]]] = {}
    lines: list[str] = []
    for line in DOCKERFILE.read_text().replace("\\\n", " ").splitlines():
        if match := re.fullmatch(r"FROM (\S+) AS (\S+)", line):
            lines = []
            found[match[2]] = (match[1], lines)
        elif not line.startswith("#"):
            lines.append(line)
    return found


def instructions(image: str, keyword: str) -> list[str]:
    """The arguments of one kind of instruction in an image, its bases first."""
    if image not in stages():
        return []
    base, lines = stages()[image]
    own = [line.removeprefix(keyword + " ") for line in lines if line.startswith(keyword + " ")]
    return instructions(base, keyword) + own


def imports(file: Path) -> Iterator[str]:
    """Top-level names of the modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]
