"""The files of a deployment as text, each from its template and one plan. What they say is tested by other tools too.

Sources: Docker, Dockerfile reference (2025); Kubernetes, API reference 1.33 and Pod Security Standards, "restricted";
KServe, control plane API v1beta1; systemd.exec(5) and systemd.service(5), version 252.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined

from shipworthy.deployment.integration.deploy import requirements
from shipworthy.deployment.integration.deploy.plan import Plan
from shipworthy.errors import Misuse

NEEDS = "requirements-serve.txt"


def dockerfile(plan: Plan) -> dict[str, str]:
    """The folder from which an image is built: recipe, requirements, what the build may see, a place for packages."""
    return {"Dockerfile": _filled("Dockerfile.j2", plan), **serving_needs(plan),
            ".dockerignore": "*\n!requirements-serve.txt\n!packages/\n",
            "packages/README": "Archives laid here (*.whl, *.tar.gz) are installed instead of what an index has.\n"}


def kubernetes(plan: Plan) -> dict[str, str]:
    """ConfigMap, volume claim, Deployment, Service, PodDisruptionBudget and NetworkPolicy in one file."""
    return {"kubernetes.yaml": _filled("kubernetes.yaml.j2", plan)}


def kserve(plan: Plan) -> dict[str, str]:
    """ConfigMap, volume claim and InferenceService in one file."""
    return {"kserve.yaml": _filled("kserve.yaml.j2", plan)}


def systemd(plan: Plan) -> dict[str, str]:
    """A unit of the system's manager, for this machine: it names this Python and this folder."""
    return {f"{plan.label}.service": _filled("unit.service.j2", plan)}


def serving_needs(plan: Plan) -> dict[str, str]:
    """What pip installs for serving."""
    return {NEEDS: requirements.text(traces=bool(plan.project.serve.traces))}


def _filled(name: str, plan: Plan) -> str:
    lines = _templates().get_template(name).render(plan.values).splitlines()
    return "\n".join(line for line in lines if line.strip() or not name.endswith(".yaml.j2")) + "\n"


@cache
def _templates() -> Environment:
    folder = files(__package__).joinpath("templates")
    found = Environment(loader=FunctionLoader(lambda name: folder.joinpath(name).read_text("utf-8")),
                        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    found.filters["word"], found.filters["plain"] = _word, _plain
    return found


def _word(text: str) -> str:
    """One word of a unit file, whatever is in it.

    >>> _word('/srv/my "100 %" model')
    '"/srv/my \\\\"100 %%\\\\" model"'
    """
    text = _plain(text)
    if re.fullmatch(r"[\w/.:=@%+-]+", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$") + '"'


def _plain(text: str) -> str:
    """Text of a unit file that is not split into words. Raises Misuse for a line break."""
    if any(ord(letter) < 32 for letter in text):
        raise Misuse("a unit file cannot name a folder whose name has a line break", where=repr(text),
                     hint="rename the folder")
    return text.replace("%", "%%")
