"""Plain records as JSON: an object for a row, a list of them for many, and the answer likewise."""

from __future__ import annotations

import msgspec

from shipworthy.deployment.integration.serving.answerer import Answerer
from shipworthy.deployment.integration.serving.dialects.asked import About, Answers, Headers, Question, Written

KIND = "application/json"
_encode = msgspec.json.Encoder().encode


def read(body: bytes, headers: Headers, answerer: Answerer) -> Question:
    """The records of a JSON body. Raises BadData naming the field, msgspec.DecodeError for malformed JSON."""
    return Question(*answerer.shape.decode(body))


def write(question: Question, answers: Answers, about: About) -> Written:
    """One answer, or a list of them, as it was asked; each holds its prediction id and its release."""
    return Written(KIND, _encode(answers[0] if question.single else answers))
