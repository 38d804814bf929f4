"""Plain records as JSON: an object for a row, a list of them for many, and the answer likewise."""

from __future__ import annotations

import msgspec

from shipworthy.deployment.integration.serving.answerer import Answerer
from shipworthy.deployment.integration.serving.dialects.asked import About, Answers, Asked, Headers, Ids, Written

KIND = "application/json"
_encode = msgspec.json.Encoder().encode


def read(body: bytes, headers: Headers, answerer: Answerer) -> Asked:
    """The records of a JSON body. Raises BadData naming the field, msgspec.DecodeError for malformed JSON."""
    return Asked(*answerer.shape.decode(body))


def write(asked: Asked, answers: Answers, ids: Ids, about: About) -> Written:
    """One answer, or a list of them, as it was asked; each holds its prediction id and its release."""
    full = [{"prediction_id": place, "release": about.version, **answer}
            for place, answer in zip(ids, answers, strict=True)]
    return Written(KIND, _encode(full[0] if asked.single else full))
