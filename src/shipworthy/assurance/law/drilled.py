"""Did the last drill of erasure leave no trace, and is it young enough?"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from shipworthy import __version__
from shipworthy.core.drill import Drill
from shipworthy.core.evidence import Finding, Verdict, say
from shipworthy.errors import StoreError
from shipworthy.marks import check

ROW = "law.legislation"
FOLDER = "drills"
AGAIN = "shipworthy drill erasure"


@check("erasure-drill", row=ROW)
def erasure_drill(
    drills: tuple[Drill, ...], *, days: int = 180, subjects: int = 100, width: float = 0.1
) -> Finding:
    """Whether people who were erased in the last drill left no trace in any byte and are not recognised by the model.

    Fails on a trace, on work that was left, on a model that stayed the same, and where a membership attack recognises
    them. Unknown where the drill is older than `days`, of another version of the package, of fewer than `subjects`
    people, or the interval of the attack's AUC is wider than `width` to each side. It is judged once a drill was made
    here; rule packs ask for it by name.
    """
    found = next((one for one in drills if one.name == "erasure"), None)
    if found is None:
        return say("unknown", "No drill of erasure was made.", remedy=AGAIN)
    facts = {"value": float(found.count), "limit": 0.0, "n": found.subjects}
    told = (f"{found.subjects} people were erased in {found.seconds:.1f} s; {found.searched} files were searched, with "
            f"{found.count} traces left")
    attack = f"a membership attack tells them from others with AUC {found.auc:.3f} [{found.low:.3f}, {found.high:.3f}]"
    wrong = [*(["the model is the same"] if not found.retrained else []), *found.waiting[:3],
             *([attack] if not found.low <= 0.5 <= found.high and found.low > 0.5 else [])]
    if found.count or wrong:
        first = f": {found.hits[0]}" if found.hits else ""
        return say("fail", f"{'; '.join([told + first, *wrong])}.", counterexample={"hits": list(found.hits)},
                   remedy=f"mend what the trace shows, then: {AGAIN}", **facts)
    age = (datetime.now(UTC) - datetime.fromisoformat(found.at)).days
    half = (found.high - found.low) / 2
    short = [f"the drill is {age} days old, at most {days} are allowed"] if age > days else []
    short += [f"it was made by version {found.version}"] if found.version != __version__ else []
    short += [f"{found.subjects} people prove too little"] if found.subjects < subjects else []
    short += [f"the interval is ± {half:.2f} wide, at most {width:g} tells"] if half > width else []
    short += ["the attack finds them less often than by chance"] if found.high < 0.5 else []
    verdict: Verdict = "unknown" if short else "pass"
    return say(verdict, f"{'; '.join([told, attack, *short])}.", remedy=AGAIN if short else "", **facts)


def read_drills(home: Path) -> tuple[Drill, ...] | None:
    """What drills found here, the newest first; None where none was made. home: the project's `.shipworthy`."""
    paths = sorted((home / FOLDER).glob("*.json"), reverse=True)
    try:
        found = [msgspec.json.decode(path.read_bytes(), type=Drill) for path in paths]
    except (msgspec.MsgspecError, OSError) as error:
        raise StoreError(f"what a drill found cannot be read: {error}", where=str(home / FOLDER),
                         hint=f"delete that file and do it again: {AGAIN}") from error
    return tuple(sorted(found, key=lambda one: one.at, reverse=True)) or None
