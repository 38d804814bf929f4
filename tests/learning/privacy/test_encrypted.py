"""A server scores what it cannot read, and cannot open the answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shipworthy.errors import BadModel, Misuse
from shipworthy.learning.privacy import encrypted
from shipworthy.learning.privacy.encrypted import Client, Server, columns, line_of
from shipworthy.learning.training.additive import additive
from shipworthy.learning.training.linear import linear

from ..conftest import INPUTS, job, sample

ROWS = 20


@pytest.fixture(scope="module")
def line() -> Any:
    return linear(*sample("binary"), job("binary")).program


@pytest.fixture(scope="module")
def client() -> Client:
    pytest.importorskip("tenseal", reason="TenSEAL is not installed: pip install 'shipworthy[encrypted]'")
    return Client()


def test_a_linear_program_is_one_weight_a_column(line: Any) -> None:
    inputs, _ = sample("binary")
    inputs[0, 3], inputs[1, 4] = 99, -1
    found = line_of(line)
    np.testing.assert_allclose(columns(inputs, INPUTS) @ found.weights + found.intercept, line.margin(inputs)[:, 0],
                               atol=1e-9)


def test_what_is_no_line_is_refused() -> None:
    with pytest.raises(BadModel, match='the program "additive" is not linear'):
        line_of(additive(*sample("binary"), job("binary")).program)


def test_without_tenseal_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "tenseal", None)
    with pytest.raises(Misuse, match="encrypted scoring needs TenSEAL"):
        Client()


def test_encrypted_scores_decide_as_plain_ones(line: Any, client: Client) -> None:
    inputs = sample("binary", rows=ROWS)[0]
    server = Server(line, client.public)
    found = np.array([client.decrypt(server.score(client.encrypt(row, INPUTS))) for row in inputs])
    plain = line.margin(inputs)[:, 0]
    assert np.abs(found - plain).max() < 1e-3
    assert np.array_equal(found >= 0, plain >= 0)


def test_the_server_cannot_open_an_answer(line: Any, client: Client) -> None:
    server = Server(line, client.public)
    answer = server.score(client.encrypt(sample("binary", rows=1)[0][0], INPUTS))
    with pytest.raises(ValueError, match="secret_key"):
        encrypted._tenseal().ckks_vector_from(server._context, answer).decrypt()


def test_a_context_with_the_secret_key_is_refused(line: Any, client: Client) -> None:
    with pytest.raises(Misuse, match="the context carries the client's secret key"):
        Server(line, client._context.serialize(save_secret_key=True))
