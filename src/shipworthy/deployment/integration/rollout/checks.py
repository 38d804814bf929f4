"""The check of a rollout: shared traffic, judged by every guardrail."""

from __future__ import annotations

import msgspec
import numpy as np

from shipworthy.core.evidence import Finding, say
from shipworthy.core.grid import Reference
from shipworthy.core.project import Project
from shipworthy.core.table import Table
from shipworthy.deployment.integration.log.tables import HELD
from shipworthy.deployment.integration.rollout.guardrails import ROW, guardrails
from shipworthy.deployment.integration.rollout.traffic import Traffic, arms
from shipworthy.deployment.monitoring.joined import micros
from shipworthy.marks import check


@check("rollout", row=ROW)
def rollout(project: Project, grid: Reference, log: Table, labels: Table) -> Finding:
    """Whether a challenger that shares the traffic is within every guardrail of [rollout].

    The log is that of one rollout, from the first answer of the challenger on, but for what is held back. Calls are not
    in it, so failed and slow requests are judged by `rollout step` only.
    """
    arm = log.words("arm") if "arm" in log.schema and log.rows else np.array([], object)
    if (arm == "challenger").any():
        log = log.take((arm != HELD) & (log.numbers("at") >= log.numbers("at")[arm == "challenger"].min()))
        arm = log.words("arm")
    if (arm != "challenger").all() or (arm == "challenger").all():
        return say("not-applicable", "No challenger shares the traffic.")
    release = log.words("release")
    champion, challenger = (str(release[rows][-1]) for rows in (arm != "challenger", arm == "challenger"))
    known = tuple(name for name in project.rollout.unit if name in log.schema)
    found = arms(Traffic(log, None, labels, (), grid), champion=champion, challenger=challenger,
                 since=int(micros(log, "at").min()), unit=known)
    told = np.unique(np.append(1 - found.champion.numbers("propensity"), found.challenger.numbers("propensity")))
    judged = guardrails(found, project.rollout, shares=[float(share) for share in told])
    failed = [each for each in judged if each.verdict == "fail"]
    rows = found.challenger.rows
    if failed:
        return msgspec.structs.replace(
            failed[0], check="", row="", n=rows, remedy='shipworthy rollout stop --by NAME --why "it harms"',
            sentence=f"{failed[0].check.removeprefix('rollout-').capitalize()}: {failed[0].sentence}",
            counterexample={"crossed": [each.check for each in failed]})
    quiet = sum(each.verdict == "pass" for each in judged)
    return say("pass", f"The challenger crossed no guardrail in {rows:,} answers; {quiet} of {len(judged)} could be "
                       "judged.", value=0.0, limit=0.0, n=rows)
