"""Is the pipeline free of known design faults? The linter over the user's own code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shipworthy.assurance.linter import RULES, lint
from shipworthy.core.evidence import Finding, Verdict, say
from shipworthy.errors import BadData
from shipworthy.marks import check


@check("linter", row="deployment.anti-patterns")
def linter(code: tuple[Any, ...], *, ignore: tuple[str, ...] = (), limit: int = 0) -> Finding:
    """Whether the user's own code holds at most `limit` findings of high severity.

    code: paths of Python files. ignore: rules that do not count here. Low findings are counted and shown.
    """
    paths = [Path(path) for path in code if str(path).endswith(".py")]
    if not paths:
        return say("not-applicable", "The project holds no code of its own, only settings.")
    smells, unread = [], []
    for path in paths:
        try:
            smells += [one for one in lint(path) if one.rule not in ignore]
        except BadData as error:
            unread.append(f"{path.name}: {error.problem}")
    high = [one for one in smells if one.severity == "high"]
    low = len(smells) - len(high)
    if unread:
        return say("unknown", f"{len(unread)} of {len(paths)} files cannot be read: {unread[0]}.", n=len(paths),
                   remedy="mend the file, or take it out of the project")
    told = "; ".join(f"{Path(one.path).name}:{one.line} {one.sentence}" for one in high[:4])
    minor = ", ".join(sorted({one.rule for one in smells if one.severity == "low"}))
    tail = f" {low} of low severity: {minor}." if low else ""
    verdict: Verdict = "pass" if len(high) <= limit else "fail"
    sentence = f"{len(paths)} files hold {len(high)} findings of high severity by {len(RULES)} rules"
    return say(verdict, f"{sentence}{': ' + told if told else ''}.{tail}", value=float(len(high)), limit=float(limit),
               n=len(paths), counterexample={f"{Path(one.path).name}:{one.line}": one.rule for one in high[:20]},
               remedy="" if verdict == "pass" else f"mend {Path(high[0].path).name}:{high[0].line}, or end the line in "
               '"# accepted: reason"')
