"""Are the declared properties proved, and does a program that shares no code with this one accept the proofs?"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from shipworthy.core.case import Steps
from shipworthy.core.evidence import Finding, say
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.core.proof import Proof
from shipworthy.core.release import Release
from shipworthy.core.words import counted
from shipworthy.errors import ShipworthyError
from shipworthy.marks import check
from shipworthy.verification.formal.declared import proofs

CHECKER = "shipworthy_check"
SECONDS = 300.0


@check("property", row="verification.functional")
def declared(project: Project, model: Model, parts: Parts, steps: Steps) -> Finding:
    """Whether every [[property]] holds of all inputs, proved from the program: none was refuted, and none left open.

    A property is refuted by a row, which the server's own code must answer as the program does. It is unknown where the
    search ended before its bounds met: at most 15 seconds for each, 60 for all.
    """
    if not project.property:
        return say("not-applicable", "The project declares no property.", n=0,
                   remedy='declare one: [[property]] claim = "never falls when COLUMN rises"')
    found = proofs(project, model, parts)
    tally = {status: [one for one in found if one.status == status] for status in ("proved", "refuted", "unknown")}
    many = "1 property" if len(found) == 1 else f"{len(found)} properties"
    settled = f"{len(tally['proved'])} of {many} proved"
    if tally["refuted"]:
        one = tally["refuted"][0]
        confirmed = _confirmed(one, model, steps)
        told = f'Refuted: "{one.text}": {one.why}{confirmed}; {settled}.'
        return say("fail", told, value=float(len(tally["refuted"])), limit=0.0, n=len(found),
                   counterexample={"property": one.text, "records": one.records, "inputs": one.inputs},
                   remedy=_remedy(project, 'train within the property: [learning] profile = "provable"; or correct the '
                                  "claim"))
    if tally["unknown"]:
        one = tally["unknown"][0]
        return say("unknown", f'Open: "{one.text}": {one.why}; {settled}.', value=float(len(tally["unknown"])),
                   limit=0.0, n=len(found), counterexample={"open": [each.text for each in tally["unknown"]]},
                   remedy=_remedy(project, 'make the model provable: [learning] profile = "provable"'))
    return say("pass", f"Proved for all inputs: {'; '.join(one.text for one in found)}.", value=0.0, limit=0.0,
               n=len(found))


def _remedy(project: Project, first: str) -> str:
    """The first thing to try; what is left where the model is trained within the properties already."""
    if project.learning.profile == "usual":
        return first
    return ("the provable profile builds in orders and columns without effect, no bounds and no forbidden decisions: "
            "correct the claim, narrow it by when …, or accept it for a time: shipworthy waive verification.functional "
            "--by WHO --reason WHY --until DAY")


def _confirmed(one: Proof, model: Model, steps: Steps) -> str:
    """What the server's own code says of a counterexample."""
    for record, inputs in zip(one.records, one.inputs, strict=True):
        row = [float("nan") if x is None else x for x in inputs]
        try:
            read = model.row({column.name: record.get(column.name) for column in model.sheet.schema.columns})
            answer = steps.answer(model, record)
        except ShipworthyError as error:
            return f", which a request cannot hold ({error.problem})"
        if any(a != b and not (a != a and b != b) for a, b in zip(read, row, strict=True)):
            return ", which no request holds exactly"
        if "prediction" not in answer:
            return ", which the server does not answer"
    return ", as the server answers it" if one.records else ""


@check("certificate", row="verification.functional")
def certificate(release: Release, *, seconds: float = SECONDS) -> Finding:
    """Whether `shipworthy-check`, which shares no code with the search, accepts the certificate of every proof in the
    release: it reads program and certificate anew, in a process of its own.
    """
    files = sorted(release.folder.glob("proof-*.json"), key=lambda path: (len(path.name), path.name))
    if not files:
        return say("not-applicable", "The release holds no proof by search, so none has to be checked.", n=0)
    place = find_spec(CHECKER)
    if place is None or place.origin is None:
        return say("unknown", f"{counted(len(files), 'certificate')} could not be checked: the checker is not "
                   "installed.", n=len(files), remedy="install it beside this package: pip install shipworthy-check")
    for path in files:
        code, said = _asked(path, release.folder, Path(place.origin).parents[1], seconds)
        if code:
            return say("fail" if code == 1 else "unknown", f"The checker does not accept {path.name}: {said}.",
                       value=1.0, limit=0.0, n=len(files), counterexample={"file": path.name, "said": said},
                       remedy="build the release again: shipworthy run; if that does not help, report it: a proof that "
                       "the checker rejects is a fault of the search")
    return say("pass", f"The separate checker accepts {'all ' if len(files) > 1 else ''}"
               f"{counted(len(files), 'certificate')}.", value=0.0, limit=0.0, n=len(files))


def _asked(path: Path, folder: Path, home: Path, seconds: float) -> tuple[int, str]:
    """The exit code of the checker, and what it said in one line."""
    paths = os.pathsep.join(filter(None, (str(home), os.environ.get("PYTHONPATH", ""))))
    try:
        ran = subprocess.run([sys.executable, "-m", CHECKER, str(path), str(folder)], capture_output=True, text=True,
                             timeout=seconds, check=False, env={**os.environ, "PYTHONPATH": paths})
    except subprocess.TimeoutExpired:
        return 2, f"it was not done in {seconds:g} seconds"
    return ran.returncode, (ran.stderr or ran.stdout).strip().removeprefix("rejected: ")[:300]
