"""What can be checked of the deployment files without Docker, Kubernetes and systemd: that they parse, fit each other, and
name what exists."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from antiphon.settings import Settings, load

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FILES = [path for path in sorted(DEPLOY.rglob("*")) if path.is_file() and path.name not in {".env", "secret.yaml"}]
DOCKERFILE = (DEPLOY / "docker/Dockerfile").read_text("utf-8")
CLUSTER = DEPLOY / "compose.cluster.yaml"
KUBERNETES = DEPLOY / "kubernetes"
#: What the manifests must be valid for: the oldest that is still in use, and a new one.
VERSIONS = ("1.31", "1.35")
DRAIN = Settings.model_fields["drain_seconds"].default
#: `--options` in deploy/, the Dockerfile's apart, that are not those of `antiphon serve`.
OTHERS = {
    *("build", "detach", "for", "profile", "replicas", "rm", "timeout"),
    *("admin", "class", "name"),  # of `antiphon keys create`
    *("address", "block", "disable-usage-stats", "head", "include-dashboard", "node-manager-port"),  # of `ray start`
    *("num-cpus", "num-gpus", "object-store-memory", "port"),
    *("dbname", "host", "username"),  # of `pg_isready`
}


def test_every_variable_is_an_option() -> None:
    for path in FILES:
        named = set(re.findall(r"ANTIPHON_([A-Z_]+)\b", path.read_text("utf-8")))
        assert {name.lower() for name in named} <= set(Settings.model_fields), path


def test_every_flag_is_an_option() -> None:
    options = {name.replace("_", "-") for name in Settings.model_fields}
    seen = set()
    for path in FILES:
        if path.name == "Dockerfile":
            continue
        for name in re.findall(r"(?<![\w-])--([a-z][a-z-]+)", path.read_text("utf-8")):
            assert name in options | OTHERS, f"{path}: there is no --{name}"
            seen.add(name)
    assert seen >= OTHERS - options, "some of OTHERS are not used any more"


@pytest.mark.parametrize("path", [p for p in FILES if p.suffix == ".yaml"], ids=lambda p: p.name)
def test_every_yaml_parses(path: Path) -> None:
    assert all(isinstance(each, dict) for each in yaml.load_all(path.read_text("utf-8"), Strict))


class Strict(yaml.SafeLoader):
    """A key that is there twice is an error."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        assert len(keys) == len(set(keys)), f"twice in one mapping: {keys} {node.start_mark}"
        return super().construct_mapping(node, deep)


# The image


def test_the_image_copies_what_exists_and_is_not_root() -> None:
    for sources in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE):
        assert all((ROOT / source).exists() for source in sources.split()), sources
    for target in ("cpu", "cuda"):
        assert "USER 10001" in stages()[target]
        assert "HEALTHCHECK" in stages()[target]


def test_the_image_takes_extras_and_mirrors() -> None:
    everything = project_extras()
    for target in ("cpu", "cuda"):
        stage = stages()[target]
        assert argument(stage, "EXTRAS") in everything
        assert (ROOT / argument(stage, "CONSTRAINTS")).exists()
        assert "[${EXTRAS}]" in stage
        assert '--constraint "/tmp/${CONSTRAINTS}"' in stage
        assert "ARG PIP_INDEX_URL" in stage
        # Both files of versions are there to choose from.
        assert "COPY constraints.txt constraints-cluster.txt /tmp/" in stage
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert all(base.startswith("${REGISTRY}") for base in bases), "a mirror of images serves all of them"
    # Nodes of Ray must have one Python: that of Ubuntu 24.04 is 3.12.
    assert argument(DOCKERFILE, "PYTHON_VERSION") == "3.12"
    assert argument(DOCKERFILE, "CUDA_IMAGE").endswith("ubuntu24.04")


def stages() -> dict[str, str]:
    return {stage.split()[2]: stage for stage in re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]}


def argument(text: str, name: str) -> str:
    found = re.search(rf"^ARG {name}=(.*)$", text, re.MULTILINE)
    assert found, name
    return found[1]


def project_extras() -> set[str]:
    import tomllib

    return set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"])


def test_the_unit_gives_a_drain_its_time() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(DEPLOY / "systemd/antiphon.service")
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert int(service["TimeoutStopSec"]) > DRAIN


# Compose

VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::([-?])([^}]*))?\}")
COMPOSE = [DEPLOY / "compose.yaml", CLUSTER]


def compose(path: Path = CLUSTER) -> dict[str, Any]:
    """As Docker Compose sees it, with the defaults, and something in place of what must be set."""
    text = VARIABLE.sub(lambda m: m[3] if m[2] == "-" else "0123456789abcdef", path.read_text("utf-8"))
    made: dict[str, Any] = yaml.safe_load(text)
    return made


def example() -> dict[str, str]:
    lines = (DEPLOY / ".env.example").read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))  # type: ignore[arg-type]


def test_every_variable_of_compose_is_explained() -> None:
    found = [m.groups() for m in VARIABLE.finditer(CLUSTER.read_text("utf-8"))]
    assert {name for name, *_ in found} == set(example())
    assert all(kind is not None for _, kind, _ in found), "each has a default, or a message"
    for name, kind, text in found:
        # What has no default is secret, and has no value in the example either; the others say the same in both.
        assert example()[name] == (text if kind == "-" else ""), name
    assert {name for name, kind, _ in found if kind == "?"} == {
        *("POSTGRES_PASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "RAY_AUTH_TOKEN")
    }
    assert "/deploy/.env" in (ROOT / ".gitignore").read_text("utf-8").splitlines()


@pytest.mark.parametrize("path", COMPOSE, ids=lambda p: p.name)
def test_compose_names_what_it_has(path: Path) -> None:
    made = compose(path)
    services, volumes, networks = made["services"], made.get("volumes", {}), made.get("networks", {})
    used = set()
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in services, name
            assert how["condition"] != "service_healthy" or "healthcheck" in services[other], (
                f"{name} waits for {other}"
            )
        for volume in service.get("volumes", ()):
            source, inside, *_ = volume.split(":")
            assert inside.startswith("/")
            if source.startswith("."):
                assert (path.parent / source).is_file(), source
            else:
                assert source in volumes, source
                used.add(source)
        assert set(service.get("networks", ())) <= set(networks), name
        if "build" in service:
            build = service["build"]
            assert build["target"] in stages()
            assert (path.parent / build["context"] / build["dockerfile"]).is_file()
            assert all(f"ARG {arg}" in DOCKERFILE for arg in build["args"])
        else:
            assert re.search(r":\d+\.\d+[\w.-]*$", service["image"]), f"{service['image']} is not one version"
    assert used == set(volumes)


@pytest.mark.parametrize("path", COMPOSE, ids=lambda p: p.name)
def test_compose_is_hardened(path: Path) -> None:
    for name, service in compose(path)["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"], name
        assert service["restart"] == "unless-stopped", name
        assert any(each.startswith("/tmp") for each in service["tmpfs"]), name
        assert seconds(service["stop_grace_period"]) >= 30, name
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), name


def test_the_cluster_is_entered_by_its_load_balancer() -> None:
    services = compose()["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["lb"]
    # Storage and database have no way out, and the nodes, where models' code runs, none to them.
    assert compose()["networks"]["data"]["internal"]
    for name in ("ray-head", "worker-1", "worker-2"):
        assert services[name]["networks"] == ["ray"]
    for name in ("db", "storage"):
        assert services[name]["networks"] == ["data"]
    address = services["lb"]["networks"]["front"]["ipv4_address"]
    for name in servers():
        assert settings_of(services[name]["environment"]).trusted_proxies == (address,)


def servers() -> list[str]:
    return [name for name in compose()["services"] if name.startswith("server")]


def test_the_servers_of_the_cluster_fit_its_parts() -> None:
    services = compose()["services"]
    assert len(servers()) == 2
    for name in servers():
        service, told = services[name], settings_of(services[name]["environment"])
        assert told.server_name == name
        assert told.drain_seconds < seconds(service["stop_grace_period"])
        assert not told.insecure
        assert told.executor == "ray"
        user, password, host, database = re.fullmatch(r"postgresql://(\w+):(\w+)@(\w+)/(\w+)", told.store).groups()  # type: ignore[union-attr]
        db = services[host]["environment"]
        assert (user, password, database) == (db["POSTGRES_USER"], db["POSTGRES_PASSWORD"], db["POSTGRES_DB"])
        head, _, port = told.ray_address.rpartition(":")  # type: ignore[union-attr]
        assert f"--port={port}" in services[head]["command"]
        assert services[name]["environment"]["RAY_AUTH_TOKEN"] == services[head]["environment"]["RAY_AUTH_TOKEN"]
        storage, port = re.fullmatch(r"http://(\w+):(\d+)", told.objects_endpoint).groups()  # type: ignore[union-attr, arg-type]
        bucket = told.objects.removeprefix("s3://").split("/")[0]  # type: ignore[union-attr]
        assert f"-bucket={bucket} " in services[storage]["command"]
        assert f"-s3.port={port} " in services[storage]["command"]
        for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            assert service["environment"][key] == services[storage]["environment"][key]
        assert set(service["depends_on"]) == {host, storage, head}
        assert f"{name}:7860" in (DEPLOY / "Caddyfile").read_text("utf-8")
    assert {services[n]["image"] for n in (*servers(), "ray-head", "worker-1", "worker-2")} == {"antiphon:cluster"}
    for name in ("worker-1", "worker-2"):
        assert services[name]["entrypoint"] == ["ray"]
        assert f"--address={told.ray_address}" in services[name]["command"]
        assert services[name]["healthcheck"], "the image's own asks for a server"
    assert "--num-cpus=0" in services["ray-head"]["command"], "the head runs no models"


def test_the_image_of_the_cluster_has_what_it_needs() -> None:
    args = compose()["services"]["server-1"]["build"]["args"]
    assert {"postgres", "s3", "ray"} <= set(args["EXTRAS"].split(",")) <= project_extras()
    pinned = (ROOT / args["CONSTRAINTS"]).read_text("utf-8")
    for package in ("ray", "obstore", "psycopg", "psycopg-pool"):
        assert re.search(rf"^{package}==", pinned, re.MULTILINE), package
    assert args["CONSTRAINTS"] in stages()["cpu"]


def test_the_load_balancer_streams_and_fails_over() -> None:
    text = re.sub(r"#.*", "", (DEPLOY / "Caddyfile").read_text("utf-8"))
    assert text.count("{") == text.count("}")
    for line in ("flush_interval -1", "health_uri /readyz", "max_fails 3", "admin off"):
        assert line in text
    # uvicorn closes idle connections after five seconds; one that it is just closing must not be used for a POST.
    assert seconds(re.search(r"keepalive (\w+)", text)[1]) < 5  # type: ignore[index]
    assert not re.search(r"max_size|request_buffers|response_buffers|encode", text)
    lb = compose()["services"]["lb"]
    assert lb["ports"][0].endswith(":8080")
    assert "http://:8080 {" in text
    assert "127.0.0.1:8081" in lb["healthcheck"]["test"][-1]
    assert "http://:8081 {" in text


def settings_of(environment: dict[str, str]) -> Settings:
    assert all(isinstance(value, str) for value in environment.values()), environment
    return load(
        None, {k.removeprefix("ANTIPHON_").lower(): v for k, v in environment.items() if k.startswith("ANTIPHON_")}
    )


def seconds(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(s|m)", text).groups()  # type: ignore[union-attr]
    return int(number) * {"s": 1, "m": 60}[unit]


# Kubernetes


def objects() -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted(KUBERNETES.glob("*.yaml")):
        if path.name not in {"kustomization.yaml", "secret.yaml"}:
            for each in yaml.safe_load_all(path.read_text("utf-8")):
                yield path, each


def one(kind: str, name: str) -> dict[str, Any]:
    found = [each for _, each in objects() if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    assert len(found) == 1, (kind, name)
    return found[0]


def templates() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every kind of pod: whose it is, and its template."""
    yield "server", one("StatefulSet", "antiphon")["spec"]["template"]
    yield "first-key", one("Job", "first-key")["spec"]["template"]
    ray = one("RayCluster", "antiphon-ray")["spec"]
    yield "head", ray["headGroupSpec"]["template"]
    for group in ray["workerGroupSpecs"]:
        yield group["groupName"], group["template"]


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_the_manifests(version: str) -> None:
    kinds = set()
    for path, each in objects():
        assert each["kind"] == "Namespace" or each["metadata"]["namespace"] == "antiphon", path
        kinds.add(each["kind"])
        if each["kind"] != "RayCluster":
            kubernetes_validate.validate(each, version, strict=True)
    assert kinds >= {"StatefulSet", "Service", "PodDisruptionBudget", "NetworkPolicy", "Secret", "ConfigMap", "Ingress"}
    for name, template in templates():
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": template["spec"]}
        kubernetes_validate.validate(pod, version, strict=True)


def test_kustomize_finds_its_files() -> None:
    made = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text("utf-8"))
    assert all((KUBERNETES / name).is_file() for name in made["resources"])
    # What is to be filled in first, or applied by hand, is not among them.
    rest = {path.name for path in KUBERNETES.glob("*.yaml")} - set(made["resources"]) - {"secret.yaml"}
    assert rest == {"kustomization.yaml", "secret.example.yaml", "ingress.example.yaml", "first-key.yaml"}
    replaced = {image["name"]: f"{image['newName']}:{image['newTag']}" for image in made["images"]}
    for name, template in templates():
        for container in template["spec"]["containers"]:
            image = container["image"]
            assert image in (replaced.values() if name == "first-key" else replaced), name
    for word in re.findall(r"[\w.-]+\.yaml", (KUBERNETES / "kustomization.yaml").read_text("utf-8")):
        assert word == "secret.yaml" or (KUBERNETES / word).is_file(), word


def test_pods_are_hardened() -> None:
    for name, template in templates():
        spec = template["spec"]
        pod = spec["securityContext"]
        assert pod["runAsNonRoot"], name
        assert pod["runAsUser"] == 10001, name
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}, name
        # The head alone speaks with Kubernetes, for the autoscaler.
        assert name == "head" or spec["automountServiceAccountToken"] is False, name
        volumes = {volume["name"]: volume for volume in spec.get("volumes", ())}
        claims = one("StatefulSet", "antiphon")["spec"]["volumeClaimTemplates"] if name == "server" else []
        for container in spec["containers"]:
            hardened(container["securityContext"])
            assert "memory" in container["resources"]["limits"], name
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            assert set(mounts.values()) <= {*volumes, *(claim["metadata"]["name"] for claim in claims)}, name
            assert mounts.keys() >= {"/tmp", "/data"}, name
            if name != "first-key":
                # Ray keeps its objects there.
                assert volumes[mounts["/dev/shm"]]["emptyDir"]["medium"] == "Memory"
    hardened(one("RayCluster", "antiphon-ray")["spec"]["autoscalerOptions"]["securityContext"])
    assert one("Namespace", "antiphon")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def hardened(context: dict[str, Any]) -> None:
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"] == {"drop": ["ALL"]}


def test_servers_in_kubernetes_are_told_what_exists() -> None:
    spec = one("StatefulSet", "antiphon")["spec"]
    container = spec["template"]["spec"]["containers"][0]
    assert spec["replicas"] == 2
    assert {next(iter(source.values()))["name"] for source in container["envFrom"]} == {"antiphon"}
    secret, config = one("Secret", "antiphon")["stringData"], one("ConfigMap", "antiphon")["data"]
    assert not set(secret) & set(config)
    assert all("CHANGE-ME" in value for value in secret.values()), "no secret that works, not even by chance"
    told = settings_of({**config, **secret})
    assert (told.executor, told.insecure) == ("ray", False)
    assert told.ray_address == one("RayCluster", "antiphon-ray")["metadata"]["name"] + "-head-svc:6379"
    environment = {each["name"]: each["valueFrom"] for each in container["env"] if "valueFrom" in each}
    assert environment["ANTIPHON_SERVER_NAME"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    # KubeRay makes the secret of the token under the cluster's name.
    assert environment["RAY_AUTH_TOKEN"]["secretKeyRef"] == {"name": "antiphon-ray", "key": "auth_token"}

    wait = re.search(r"sleep\((\d+)\)", container["lifecycle"]["preStop"]["exec"]["command"][-1])
    grace = spec["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace > told.drain_seconds + int(wait[1])  # type: ignore[index]
    assert container["livenessProbe"]["httpGet"]["path"] == container["startupProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    for _, template in templates():
        for worker in template["spec"]["containers"]:
            for each in worker.get("env", ()):
                if (key := each.get("valueFrom", {}).get("configMapKeyRef")) is not None:
                    assert key["key"] in one("ConfigMap", key["name"])["data"]


def test_selectors_find_the_servers() -> None:
    spec = one("StatefulSet", "antiphon")["spec"]
    labels = spec["template"]["metadata"]["labels"].items()
    assert spec["selector"]["matchLabels"].items() <= labels
    assert one("Service", spec["serviceName"])["spec"]["clusterIP"] == "None"
    for name in ("antiphon", "antiphon-servers"):
        service = one("Service", name)["spec"]
        assert service["selector"].items() <= labels
        assert service["ports"][0]["targetPort"] in {
            p["name"] for p in spec["template"]["spec"]["containers"][0]["ports"]
        }
    assert one("PodDisruptionBudget", "antiphon")["spec"]["selector"]["matchLabels"].items() <= labels
    assert one("NetworkPolicy", "server")["spec"]["podSelector"]["matchLabels"].items() <= labels
    assert one("NetworkPolicy", "nobody")["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    ingress = one("Ingress", "antiphon")
    for rule in ingress["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            backend = path["backend"]["service"]
            assert backend["port"]["name"] in {p["name"] for p in one("Service", backend["name"])["spec"]["ports"]}
    notes = ingress["metadata"]["annotations"]
    for setting in ("proxy-buffering", "proxy-request-buffering"):
        assert notes[f"nginx.ingress.kubernetes.io/{setting}"] == "off"
    # No other pod of the namespace is matched: a service that finds Ray's pods would send them requests.
    for name, template in templates():
        if name != "server":
            assert not one("Service", "antiphon")["spec"]["selector"].items() <= template["metadata"]["labels"].items()


def test_the_ray_cluster_scales_and_its_head_runs_nothing() -> None:
    cluster = one("RayCluster", "antiphon-ray")
    assert cluster["apiVersion"] == "ray.io/v1"
    spec = cluster["spec"]
    pinned = re.search(r"^ray==(\S+)$", (ROOT / "constraints-cluster.txt").read_text("utf-8"), re.MULTILINE)
    assert pinned, "constraints-cluster.txt pins no Ray"
    assert spec["rayVersion"] == pinned[1]
    assert spec["authOptions"] == {"mode": "token"}
    assert spec["enableInTreeAutoscaling"] is True
    assert spec["autoscalerOptions"]["idleTimeoutSeconds"] > 0
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"

    groups = spec["workerGroupSpecs"]
    assert len({group["groupName"] for group in groups}) == len(groups)
    for group in groups:
        assert 0 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"], group["groupName"]
        assert group["minReplicas"] < group["maxReplicas"], group["groupName"]
        limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
        assert group["rayStartParams"]["num-cpus"] == limits["cpu"]
        assert group["rayStartParams"].get("num-gpus") == limits.get("nvidia.com/gpu")
    assert [limits_of(group).get("nvidia.com/gpu") for group in groups] == [None, "1"]
    for group in (spec["headGroupSpec"], *groups):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        pod = group["template"]["spec"]
        assert pod["restartPolicy"] == "Never", "version 2 of the autoscaler wants it"
        listening = {int(group["rayStartParams"]["node-manager-port"])}
        listening |= {port["containerPort"] for port in pod["containers"][0].get("ports", ())}
        for probe in ("livenessProbe", "readinessProbe"):
            assert pod["containers"][0][probe]["tcpSocket"]["port"] in listening


def limits_of(group: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    return found
