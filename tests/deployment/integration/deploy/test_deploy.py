"""What is generated is read back by strict readers, and says what the project file says."""

from __future__ import annotations

import configparser
import copy
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from shipworthy.core.project import Project, parse
from shipworthy.deployment.integration.deploy import files, requirements
from shipworthy.deployment.integration.deploy.plan import Plan
from shipworthy.deployment.integration.serving.job import DRAIN_SECONDS
from shipworthy.errors import Misuse

from .recipe import Step, stages
from .shapes import documents, problems

HOSTILE = 'Ward 7: "risk" #{{ x }}\n\nkind: Pod $(reboot) %n'
KINDS = ["ConfigMap", "PersistentVolumeClaim", "Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"]


def project(name: str = "ward", **serve: Any) -> Project:
    found = parse('[project]\nname = "ward"\n[data]\ntarget = "ill"\n')
    about = msgspec.structs.replace(found.project, name=name)
    return msgspec.structs.replace(found, project=about, serve=msgspec.structs.replace(found.serve, **serve))


PLANS = {
    "usual": Plan(project(), Path("/srv/ward")),
    "one": Plan(project(workers=4, port=80), Path("/srv/ward"), "registry.example.org/ward:7", 1),
    "tls": Plan(project(certificate="tls/cert.pem", key="tls/key.pem", port=8443), Path("/srv/ward"), "", 3),
    "traced": Plan(project(traces="http://collector.example.org:4318"), Path("/srv/ward")),
    "hostile": Plan(project(HOSTILE), Path('/srv/my "100 %" $model')),
}


@pytest.fixture(params=PLANS)
def plan(request: pytest.FixtureRequest) -> Plan:
    return PLANS[request.param]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if what traces need were installed: only its version is asked for."""
    real = requirements.version
    monkeypatch.setattr(requirements, "version", lambda name: "1" if name.startswith("opentelemetry") else real(name))
    more = requirements.requires
    monkeypatch.setattr(requirements, "requires", lambda name: [] if name.startswith("opentelemetry") else more(name))


def by_kind(text: str) -> dict[str, dict[str, Any]]:
    return {document["kind"]: document for document in documents(text)}


# ── Kubernetes ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_manifest_has_known_fields_of_the_right_type(plan: Plan) -> None:
    (kubernetes,) = files.kubernetes(plan).values()
    (kserve,) = files.kserve(plan).values()
    assert [document["kind"] for document in documents(kubernetes)] == KINDS
    assert [document["kind"] for document in documents(kserve)] == [*KINDS[:2], "InferenceService"]
    assert [problem for text in (kubernetes, kserve) for one in documents(text) for problem in problems(one)] == []
    assert {one["metadata"]["name"] for text in (kubernetes, kserve) for one in documents(text)} == {plan.label}


def test_the_reader_of_manifests_sees_what_is_wrong() -> None:
    found = by_kind(files.kubernetes(PLANS["usual"])["kubernetes.yaml"])["Deployment"]
    for spoil, said in [
        (lambda one: one["spec"].update(replica=2), "Deployment.spec.replica is not known"),
        (lambda one: one["spec"].pop("selector"), "Deployment.spec.selector is missing"),
        (lambda one: one["spec"].update(replicas="2"), "Deployment.spec.replicas is '2', no int"),
        (lambda one: one["metadata"].update(name="Ward 7"), "Deployment.metadata.name is 'Ward 7'"),
        (lambda one: one.update(kind="Deployments"), "there is no kind ('apps/v1', 'Deployments')"),
    ]:
        other = copy.deepcopy(found)
        spoil(other)
        assert said in problems(other)[0]
    with pytest.raises(yaml.YAMLError, match="twice"):
        documents("a: 1\na: 2\n")


def test_a_pod_is_asked_ended_and_confined_as_the_server_needs(plan: Plan) -> None:
    kinds = by_kind(files.kubernetes(plan)["kubernetes.yaml"])
    predictor = by_kind(files.kserve(plan)["kserve.yaml"])["InferenceService"]["spec"]["predictor"]
    for pod in (kinds["Deployment"]["spec"]["template"]["spec"], predictor):
        (container,) = pod["containers"]
        port, scheme = container["ports"][0]["containerPort"], container["ports"][0]["name"].upper()
        probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
        assert {name: one["path"] for name, one in probes.items()} == {
            "startup": "/health", "liveness": "/health", "readiness": "/ready"}
        assert {(one["port"], one["scheme"]) for one in probes.values()} == {(port, scheme)}
        assert port >= 1024
        leave = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
        assert pod["terminationGracePeriodSeconds"] > leave + DRAIN_SECONDS + 5
        confined = container["securityContext"]
        assert confined["runAsNonRoot"] and confined["readOnlyRootFilesystem"] and confined["runAsUser"] > 0
        assert not confined["allowPrivilegeEscalation"] and confined["capabilities"] == {"drop": ["ALL"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        assert container["env"][0]["valueFrom"]["configMapKeyRef"]["key"] in kinds["ConfigMap"]["data"]
        assert f"$({container['env'][0]['name']})" in container["args"]


def test_selectors_choose_the_pods_and_policies_name_their_port(plan: Plan) -> None:
    kinds = by_kind(files.kubernetes(plan)["kubernetes.yaml"])
    template = kinds["Deployment"]["spec"]["template"]
    labels, port = template["metadata"]["labels"], template["spec"]["containers"][0]["ports"][0]
    for selector in (kinds["Deployment"]["spec"]["selector"]["matchLabels"], kinds["Service"]["spec"]["selector"],
                     kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
                     kinds["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]):
        assert selector.items() <= labels.items()
    assert kinds["Service"]["spec"]["ports"][0]["targetPort"] == port["name"]
    assert kinds["Service"]["spec"]["ports"][0]["port"] == plan.project.serve.port
    assert kinds["NetworkPolicy"]["spec"]["ingress"][0]["ports"][0]["port"] == port["containerPort"]
    egress = kinds["NetworkPolicy"]["spec"]["egress"]
    assert bool(egress) == bool(plan.project.serve.traces)
    assert not egress or egress[0]["ports"][0]["port"] == 4318


def test_one_pod_holds_its_volume_alone_and_several_share_it() -> None:
    alone, shared = (by_kind(files.kubernetes(PLANS[name])["kubernetes.yaml"]) for name in ("one", "usual"))
    assert alone["PersistentVolumeClaim"]["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert alone["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}
    assert shared["PersistentVolumeClaim"]["spec"]["accessModes"] == ["ReadWriteMany"]
    assert shared["Deployment"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert alone["ConfigMap"]["data"] == {"workers": "4"}


def test_a_certificate_comes_from_a_secret_to_where_the_project_file_looks_for_it() -> None:
    pod = by_kind(files.kubernetes(PLANS["tls"])["kubernetes.yaml"])["Deployment"]["spec"]["template"]["spec"]
    mounts = {one.get("subPath"): one["mountPath"] for one in pod["containers"][0]["volumeMounts"]}
    assert mounts["tls.crt"] == "/srv/project/tls/cert.pem"
    assert mounts["tls.key"] == "/srv/project/tls/key.pem"
    assert pod["volumes"][-1] == {"name": "tls", "secret": {"secretName": "ward-tls", "defaultMode": 0o440}}


def test_a_name_without_a_letter_or_digit_is_refused() -> None:
    assert Plan(project("7 — Überwachung"), Path("/srv")).label == "model-7-berwachung"
    with pytest.raises(Misuse, match="no letter or digit"):
        _ = Plan(project("日本"), Path("/srv")).label


# ── Docker ───────────────────────────────────────────────────────────────────────────────────────────────────────


def of(stage: list[Step], name: str) -> list[Step]:
    return [step for step in stage if step.name == name]


@pytest.mark.usefixtures("installed")
def test_the_recipe_builds_in_one_stage_and_runs_in_another_as_nobody(plan: Plan) -> None:
    made = files.dockerfile(plan)
    builder, runtime = stages(made["Dockerfile"])
    port = of(runtime, "EXPOSE")[0].words
    for stage in (builder, runtime):
        assert re.fullmatch(r"python:\d+\.\d+-(slim-)?bookworm( AS builder)?", stage[0].words)
    assert "-slim" in runtime[0].words and not of(runtime, "RUN")
    assert [step.words for step in of(runtime, "COPY")] == ["--from=builder /srv/shipworthy /srv/shipworthy"]
    user = of(runtime, "USER")[-1].words
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    assert runtime.index(of(runtime, "USER")[0]) < runtime.index(of(runtime, "ENTRYPOINT")[0])
    assert of(runtime, "STOPSIGNAL")[0].words == "SIGTERM"
    assert of(runtime, "VOLUME")[0].array == ["/srv/project"]
    assert of(runtime, "ENTRYPOINT")[0].array[1:5] == [
        "-m", "shipworthy.deployment.integration.serving.start", "/srv/project", "--host"]
    health = of(runtime, "HEALTHCHECK")[0].words
    assert re.search(r'CMD \["python", "-m", "[\w.]+\.probe", "https?://127\.0\.0\.1:' + port + '/health"]$', health)
    text = " ".join(step.words for stage in (builder, runtime) for step in stage)
    assert "curl" not in text and "index-url" not in text and "apt-get" not in text
    copied = {word.rstrip("/") for step in of(builder, "COPY") for word in step.words.split()[:-1]}
    assert copied == {name.split("/")[0] for name in made} - {"Dockerfile", ".dockerignore"}
    assert {line[1:].rstrip("/") for line in made[".dockerignore"].splitlines()[1:]} == copied


def test_the_reader_of_recipes_sees_what_is_wrong() -> None:
    for text in ("RUN x\n", "FROM a\nADD http://x y\n", 'FROM a\nENTRYPOINT python x\n', "FROM a\nENTRYPOINT ['x']\n"):
        with pytest.raises(ValueError):
            stages(text)


def test_requirements_are_the_closure_of_what_serving_imports_pinned() -> None:
    found = requirements.requirements()
    assert set(requirements.SERVES) <= set(found)
    assert set(found) - set(requirements.SERVES) == {"cffi", "click", "h11", "pycparser"}
    lines = requirements.text().splitlines()[1:]
    assert lines == [f"{name}=={version}" for name, version in sorted(found.items())]


# ── systemd ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Unit(configparser.RawConfigParser):
    """A unit file; a key stands once."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def unit(plan: Plan) -> Unit:
    found = Unit(delimiters=("=",), comment_prefixes=("#",), strict=True, interpolation=None)
    (text,) = files.systemd(plan).values()
    found.read_string(text)
    return found


def test_a_unit_confines_the_server_and_waits_for_it(plan: Plan) -> None:
    found = unit(plan)
    assert found.sections() == ["Unit", "Service", "Install"]
    service = found["Service"]
    wanted = {"User": "shipworthy", "ProtectSystem": "strict", "NoNewPrivileges": "yes", "Restart": "on-failure",
              "PrivateTmp": "yes", "KillMode": "mixed", "KillSignal": "SIGTERM"}
    assert {key: service[key] for key in wanted} == wanted
    assert int(service["TimeoutStopSec"]) > 2 * DRAIN_SECONDS + 5
    assert int(service["LimitNOFILE"]) >= 65_536
    start = [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(service["ExecStart"])]
    assert start[1:] == ["-m", "shipworthy.deployment.integration.serving.start", str(plan.folder), "--keep"]
    assert shlex.split(service["ReadWritePaths"].replace("%%", "%").replace("$$", "$")) == [
        f"{plan.folder}/.shipworthy"]
    low = plan.project.serve.port < 1024
    assert service["CapabilityBoundingSet"] == ("CAP_NET_BIND_SERVICE" if low else "")
    assert ("IPAddressDeny" in service) == (not plan.project.serve.traces)


def test_a_folder_in_somebody_s_home_can_be_read() -> None:
    assert unit(Plan(project(), Path("/home/ann/ward")))["Service"]["ProtectHome"] == "read-only"


def test_a_folder_with_a_line_break_is_refused() -> None:
    with pytest.raises(Misuse, match="line break"):
        files.systemd(Plan(project(), Path("/srv/a\nUser=root")))


@pytest.mark.parametrize("name", ["usual", "one", "tls", "traced"])
def test_systemd_itself_finds_nothing_wrong_and_little_exposed(name: str, tmp_path: Path) -> None:
    tool = shutil.which("systemd-analyze")
    if not tool:
        pytest.skip("systemd-analyze is not installed; on Debian: apt-get install systemd")
    (tmp_path / "srv").mkdir()
    plan = Plan(PLANS[name].project, tmp_path / "srv")
    path = tmp_path / "ward.service"
    path.write_text(files.systemd(plan)["ward.service"])
    for check in (["verify", "--man=no"], ["security", "--offline=true", "--threshold=20"]):
        done = subprocess.run([tool, *check, str(path)], capture_output=True, text=True, check=False,
                              env={"PATH": os.environ["PATH"], "SYSTEMD_LOG_LEVEL": "warning"})
        assert done.returncode == 0, done.stdout[-500:] + done.stderr
        assert not [line for line in done.stderr.splitlines() if "ward.service" in line], done.stderr
