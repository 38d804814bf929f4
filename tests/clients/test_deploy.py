"""Other people's tools read what `shipworthy deploy` writes, and what the recipe does is done without a container."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from shipworthy.core.evidence import Evidence
from shipworthy.core.project import Project, parse
from shipworthy.core.release import Identity
from shipworthy.deployment.integration.deploy import files
from shipworthy.deployment.integration.deploy.plan import Plan
from shipworthy.deployment.integration.releases import history, sign
from shipworthy.deployment.integration.releases.release import write_release
from shipworthy.deployment.integration.serving.client import Connection
from shipworthy.deployment.integration.serving.counters import Board, timed
from shipworthy.store import open_store

from ..deployment.integration.conftest import patients, record, small_model
from ..deployment.integration.deploy.recipe import Step, stages

ROOT = Path(__file__).resolve().parents[2]
PROJECT = '[project]\nname = "ward"\n[data]\ntarget = "ill"\n[serve]\nopen = true\nport = 18437\n'
SETTINGS: dict[str, dict[str, Any]] = {
    "usual": {}, "tls": {"certificate": "cert.pem", "key": "key.pem"}, "traced": {"traces": "http://10.0.0.1:4318"}}
NOBODY = 10_001


def tool(name: str) -> str:
    """A command of the clients' environment."""
    folder = os.environ.get("SHIPWORTHY_CLIENTS")
    if not folder:
        pytest.skip("SHIPWORTHY_CLIENTS names no environment with clients; .ci/clients makes one")
    found = shutil.which(name, path=str(Path(folder).resolve() / "bin"))
    if not found:
        pytest.skip(f"{name} is not in the environment of clients")
    return found


def project(**serve: Any) -> Project:
    found = parse(PROJECT)
    return msgspec.structs.replace(found, serve=msgspec.structs.replace(found.serve, **serve))


def told(*command: str | Path, **more: Any) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout + done.stderr


@pytest.mark.parametrize("version", ["1.33", "1.37"])
@pytest.mark.parametrize("name", SETTINGS)
def test_the_schemas_of_kubernetes_find_nothing_wrong(name: str, version: str, tmp_path: Path) -> None:
    validate = tool("kubernetes-validate")
    plan = Plan(project(**SETTINGS[name]), tmp_path)
    (tmp_path / "all.yaml").write_text(files.kubernetes(plan)["kubernetes.yaml"])
    said = told(validate, "--strict", "-k", version, tmp_path / "all.yaml")
    kinds = ("configmap", "persistentvolumeclaim", "deployment", "service", "poddisruptionbudget", "networkpolicy")
    assert re.findall(r"passed for resource (\w+)/ward", said) == list(kinds)


def test_the_pod_of_an_inference_service_is_a_pod(tmp_path: Path) -> None:
    validate = tool("kubernetes-validate")
    made = list(yaml.safe_load_all(files.kserve(Plan(project(), tmp_path))["kserve.yaml"]))
    spec = {key: value for key, value in made[-1]["spec"]["predictor"].items()
            if key not in ("minReplicas", "maxReplicas", "timeout")}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ward"}, "spec": spec}
    (tmp_path / "pod.yaml").write_text(yaml.safe_dump_all([*made[:-1], pod]))
    assert told(validate, "--strict", tmp_path / "pod.yaml").count("passed") == 3


def test_hadolint_finds_nothing_wrong(tmp_path: Path) -> None:
    lint = tool("hadolint")
    (tmp_path / "Dockerfile").write_text(files.dockerfile(Plan(project(), tmp_path))["Dockerfile"])
    assert told(lint, "--failure-threshold", "style", tmp_path / "Dockerfile") == ""


def test_prometheus_s_own_reader_finds_every_sample(tmp_path: Path) -> None:
    tool("python")
    board = Board(2)
    cells = board.counters(1).release("0123456789abcdef")
    timed(cells, 0.003)
    board.counters().done("predict", 200)
    code = ("import sys; from prometheus_client.parser import text_string_to_metric_families as read; "
            "print(sum(len(one.samples) for one in read(sys.stdin.read())))")
    samples = [line for line in board.text().splitlines() if not line.startswith("#")]
    assert int(told(tool("python"), "-c", code, input=board.text())) == len(samples)


# ── what the recipe does ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that any user may enter."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def volume(folder: Path) -> Path:
    """A project's folder as a container mounts it: public key, a champion, nothing that was trained here."""
    home = folder / ".shipworthy"
    (home / "keys").mkdir(parents=True)
    (folder / "shipworthy.toml").write_text(PROJECT)
    key = sign.make_key(home / "keys" / "signing.pem")
    model, table = small_model(), patients()
    made = write_release(folder / "releases", name="ward", model=model, evidence=Evidence(()), key=key,
                         identity=Identity("c0de", model.digest, table.digest), extras={})
    store = open_store(folder)
    history.record(store, actor="tom", role="trainer", action="train", subject={"release": made.id},
                   evidence=made.evidence.digest)
    history.promote(store, made, by="ann", why="the first")
    (home / "keys" / "signing.pem").unlink()
    return folder


def package(folder: Path) -> None:
    """A wheel of the package itself, built beside the sources."""
    copy = folder.parent / "sources"
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("*.so", "*.egg-info", "__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    told(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder,
         copy)


CONFINED = """
mount --make-rprivate / && mount --bind "$1" "$1" && mount -t tmpfs tmpfs /tmp && mount -o remount,ro,bind / || exit 77
! touch /usr/written 2>/dev/null || exit 77
exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$2" -m "$3" "$1" --workers 2
"""


def test_a_server_answers_with_a_read_only_root_and_without_a_capability(place: Path) -> None:
    """What the manifests demand of the container, by the system calls that a container is made of."""
    if os.geteuid() != 0 or not (shutil.which("unshare") and shutil.which("setpriv")):
        pytest.skip("only root may make a name space of mounts, with unshare and setpriv of util-linux")
    start = one(stages(files.dockerfile(Plan(parse(PROJECT), place))["Dockerfile"])[1], "ENTRYPOINT").array[2]
    own = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    with tempfile.TemporaryDirectory(dir="/var/tmp") as outside:  # what lies in /tmp is hidden
        server = subprocess.Popen(["unshare", "--mount", "sh", "-c", CONFINED, "sh", str(volume(Path(outside) / "p")),
                                   sys.executable, start], env=own, stderr=subprocess.PIPE, text=True)
        try:
            assert server.stderr
            said = server.stderr.readline()
            if not said.startswith("ready"):
                assert server.wait(10) == 77, said + server.stderr.read()
                pytest.skip("this machine makes no name space of mounts")
            with Connection("http://127.0.0.1:18437") as connection:
                assert connection.post("/v1/predict", msgspec.json.encode(record()))[0] == 200
            status = Path(f"/proc/{server.pid}/status").read_text()
            assert "CapEff:\t0000000000000000" in status and "NoNewPrivs:\t1" in status
            server.send_signal(signal.SIGTERM)
            assert server.wait(30) == 0
        finally:
            server.kill()
            server.wait()


def one(stage: list[Step], name: str) -> Step:
    (found,) = (step for step in stage if step.name == name)
    return found


def test_what_the_recipe_installs_serves_a_release(place: Path) -> None:
    if not os.environ.get("SHIPWORTHY_CLIENTS"):
        pytest.skip("SHIPWORTHY_CLIENTS is not set: this installs from the package index")
    build, image, project_folder = place / "build", place / "image", volume(place / "project")
    for name, text in files.dockerfile(Plan(parse(PROJECT), place)).items():
        (build / name).parent.mkdir(parents=True, exist_ok=True)
        (build / name).write_text(text)
    package(build / "packages")
    builder, runtime = stages((build / "Dockerfile").read_text())
    python = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(place),
              **{key: value for key, value in os.environ.items() if key.startswith("PIP_")}}
    told("sh", "-c", one(builder, "RUN").words.replace("/srv/shipworthy", str(image)), cwd=build, env=python)
    own = {"PATH": f"{image}/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    listed = told(image / "bin" / "python", "-c", "import importlib.metadata as m; print(*sorted("
                  "d.name.lower() for d in m.distributions()))", env=own)
    assert listed.split() == ["cffi", "click", "cryptography", "h11", "httptools", "msgspec", "numpy", "pycparser",
                              "shipworthy", "uvicorn", "uvloop"]
    health = json.loads(re.findall(r"CMD (\[.*\])$", one(runtime, "HEALTHCHECK").words)[0])
    start = [word.replace("/srv/project", str(project_folder)) for word in one(runtime, "ENTRYPOINT").array]
    user: dict[str, Any] = {}
    parents = Path(os.path.realpath(sys.executable)).parents
    if os.geteuid() == 0 and all(parent.stat().st_mode & 0o001 for parent in parents):
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        for path in (project_folder / ".shipworthy", project_folder / ".shipworthy" / "keys"):
            os.chown(path, NOBODY, NOBODY)
    server = subprocess.Popen([str(image / "bin" / start[0]), *start[1:]], env=own, cwd=project_folder,
                              stderr=subprocess.PIPE, text=True, **user)
    try:
        assert server.stderr
        assert server.stderr.readline() == "ready with 1 worker\n"
        assert json.loads(told(image / "bin" / health[0], *health[1:], env=own, **user)) == {"live": True}
        with Connection("http://127.0.0.1:18437") as connection:
            status, body = connection.post("/v1/predict", msgspec.json.encode(record()))
        assert (status, "prediction_id" in json.loads(body)) == (200, True)
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
    finally:
        server.kill()
        server.wait()
    assert list(image.rglob("_native*.so")), "the compiled kernel is in the image"
