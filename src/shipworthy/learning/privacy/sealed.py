"""Does the server that is to score what it cannot read really get no key, and decide as it would on plain rows?"""

from __future__ import annotations

import numpy as np

from shipworthy.core.case import Steps
from shipworthy.core.evidence import Finding, say
from shipworthy.core.learned import Parts
from shipworthy.core.model import Model
from shipworthy.core.project import Project
from shipworthy.errors import BadModel, Misuse
from shipworthy.learning.privacy.encrypted import Server, carries_secret, line_of
from shipworthy.marks import check


@check("encrypted-scoring", row="learning.privacy")
def encrypted_scoring(
    project: Project, model: Model, parts: Parts, steps: Steps, *, limit: float = 1e-3, rows: int = 20
) -> Finding:
    """Whether what a client hands to the server is without its secret key, and encrypted margins are the plain ones.

    A client makes its keys, and a server with nothing but the public part scores the first `rows` rows of the holdout.
    limit: of the difference of two margins; where it is kept, rows whose margin is larger are decided alike.
    """
    if not project.serve.encrypted:
        return say("not-applicable", "The project does not score encrypted: [serve] encrypted is not set.")
    try:
        line_of(model.program)
    except BadModel as error:
        return say("fail", f"Nothing can be scored encrypted: {error.problem}.", remedy=error.hint)
    if steps.client is None:
        return say("unknown", "No client is at hand that encrypts.")
    try:
        client = steps.client()
        if carries_secret(client.public):
            return say("fail", "The context that a client hands to the server carries its secret key, so the server "
                       "can read every row.", remedy="send Client.public, and make new keys: these are not secret")
        server = Server(model.program, client.public)
    except Misuse as error:
        return say("unknown", f"Nothing was scored encrypted: {error.problem}.", remedy=error.hint)
    inputs = model.inputs(parts.holdout.take(np.arange(min(rows, parts.holdout.rows))))
    plain = model.program.margin(inputs)[:, 0]
    found = np.array([client.decrypt(server.score(client.encrypt(row, model.program.inputs))) for row in inputs])
    worst = float(np.abs(found - plain).max())
    return say("pass" if worst <= limit else "fail", f"The server was handed no secret key, and of {len(plain)} rows "
               f"that it could not read its margins are at most {worst:.1g} off the plain ones ({limit:g} is allowed).",
               value=worst, limit=limit, n=len(plain),
               remedy="" if worst <= limit else "declare tighter [data.limits]: large inputs lose the most")
