"""`shipworthy deploy`: write the files by which other systems run the server."""

from __future__ import annotations

from pathlib import Path

import click

from shipworthy.cli.talk import project_option, say
from shipworthy.core.project import read_project
from shipworthy.deployment.integration.deploy import files as made
from shipworthy.deployment.integration.deploy.plan import Plan
from shipworthy.errors import Misuse
from shipworthy.store.files import write_files

KINDS = {"dockerfile": made.dockerfile, "kubernetes": made.kubernetes, "kserve": made.kserve,
         "systemd": made.systemd, "requirements": made.serving_needs}
NEXT = {
    "dockerfile": "docker build --tag {image} {folder}",
    "kubernetes": "kubectl apply --dry-run=server --filename {folder}/kubernetes.yaml",
    "kserve": "kubectl apply --dry-run=server --filename {folder}/kserve.yaml",
    "systemd": "systemd-analyze verify {folder}/{label}.service",
    "requirements": "pip install --requirement {folder}/requirements-serve.txt",
}


@click.command()
@project_option
@click.option("--dockerfile", is_flag=True, help="A container's recipe: non-root, small, read-only root.")
@click.option("--kubernetes", is_flag=True, help="Deployment, Service, budget of disruptions, network policy.")
@click.option("--kserve", is_flag=True, help="An InferenceService that speaks the Open Inference Protocol v2.")
@click.option("--systemd", is_flag=True, help="A unit for this machine.")
@click.option("--requirements", is_flag=True, help="What pip installs for serving alone, pinned.")
@click.option("--output", "-o", default=None, type=click.Path(path_type=Path, file_okay=False),
              help="Folder for the files; deploy in the project by default.")
@click.option("--image", default="", help="Name and tag of the container's image.")
@click.option("--replicas", default=2, type=click.IntRange(1, 1000), show_default=True, help="How many pods.")
@click.option("--force", is_flag=True, help="Replace files that are there and differ.")
def command(folder: Path, output: Path | None, image: str, replicas: int, force: bool, **kinds: bool) -> None:
    """Write files for containers, Kubernetes, KServe or systemd, filled from shipworthy.toml; their names on stdout.

    What needs the private key or the training libraries stays here; see docs/guides/operate.md.
    """
    wanted = [kind for kind in KINDS if kinds[kind]]
    if not wanted:
        raise Misuse("nothing to write was named", where="shipworthy deploy",
                     hint=f"say which: {' '.join('--' + kind for kind in KINDS)}")
    project = read_project(folder)
    plan = Plan(project, folder.resolve(), image, replicas)
    target = output or folder / "deploy"
    texts = {target / name: text for kind in wanted for name, text in KINDS[kind](plan).items()}
    changed = [path for path, text in texts.items() if path.exists() and path.read_text("utf-8") != text]
    if changed and not force:
        raise Misuse(f"{changed[0].name} is there already, and says something else", where=str(target),
                     hint="compare, then: --force; or write elsewhere: -o FOLDER")
    write_files({path: text.encode() for path, text in texts.items()})
    for path in texts:
        click.echo(path)
    for kind in wanted:
        say(f"try: {NEXT[kind].format(folder=target, label=plan.label, image=plan.values['image'])}")
