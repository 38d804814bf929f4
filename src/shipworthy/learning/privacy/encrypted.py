"""Scoring a linear program on inputs that the server cannot read: the client encrypts, and alone holds the key.

CKKS with 8,192 coefficients, moduli of 60, 40, 40 and 60 bits and a scale of 2⁴⁰, by TenSEAL (`shipworthy[encrypted]`).
Source: Cheon, Kim, Kim and Song (2017), "Homomorphic Encryption for Arithmetic of Approximate Numbers".
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from shipworthy.core.features import Input
from shipworthy.core.program import Linear, Lookup, Program
from shipworthy.core.table import Floats
from shipworthy.errors import BadModel, Misuse

DEGREE, MODULI, SCALE = 8192, (60, 40, 40, 60), 2.0**40
SECRET = 3


@dataclass(frozen=True)
class Line:
    """A linear program as one weight for every column that the client makes of a row, and an intercept."""

    weights: Floats
    intercept: float


class Client:
    """Who holds the rows and the secret key. `public` is what a server may have."""

    def __init__(self) -> None:
        tenseal = _tenseal()
        self._context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, DEGREE, coeff_mod_bit_sizes=list(MODULI))
        self._context.global_scale = SCALE
        self._context.generate_galois_keys()
        self.public: bytes = self._context.serialize(save_secret_key=False)

    def encrypt(self, inputs: Floats, kinds: tuple[Input, ...]) -> bytes:
        """One row of inputs, (d,), as the ciphertext of its columns."""
        made: bytes = _tenseal().ckks_vector(self._context, list(columns(inputs[None], kinds)[0])).serialize()
        return made

    def decrypt(self, answer: bytes) -> float:
        """The margin in an answer of the server."""
        return float(_tenseal().ckks_vector_from(self._context, answer).decrypt()[0])


class Server:
    """Who holds the model, and sees ciphertexts only. public: of the client, without its secret key.

    Raises Misuse where the context carries the secret key: it must never get here.
    """

    def __init__(self, program: Program, public: bytes) -> None:
        self.line = line_of(program)
        if carries_secret(public):
            raise Misuse("the context carries the client's secret key", where="encrypted scoring",
                         hint="send Client.public, and make new keys: this one is no longer secret")
        self._context = _tenseal().context_from(public)

    def score(self, row: bytes) -> bytes:
        """The encrypted margin of an encrypted row."""
        vector = _tenseal().ckks_vector_from(self._context, row)
        answer: bytes = (vector.dot(list(self.line.weights)) + self.line.intercept).serialize()
        return answer


def carries_secret(context: bytes) -> bool:
    """Whether a context as TenSEAL writes it has a private part; without TenSEAL, and without opening any key.

    Source: the encoding of protocol buffers; the fields as TenSEAL 0.3.18 writes them. True for bytes
    that end before their fields do, for what cannot be read was not shown to be without a key.
    """
    at = 0
    while at < len(context):
        head, at = _varint(context, at)
        if head >> 3 == SECRET or head & 7 != 2:
            return True
        length, at = _varint(context, at)
        at += length
    return at != len(context)


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    """The number that begins there, seven bits a byte, and where it ends: behind the bytes where they end first."""
    value = shift = 0
    while at < len(raw):
        byte, at = raw[at], at + 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
    return value, len(raw) + 1


def line_of(program: Program) -> Line:
    """The weights of a program that is linear in `columns`. Raises BadModel for any other."""
    at = np.cumsum([0, *(kind.levels + 1 if kind.categorical else 2 for kind in program.inputs)])
    weights, intercept = np.zeros(at[-1]), 0.0
    for term in program.terms:
        arrays: Any = term.arrays
        if isinstance(term.kind, Linear) and program.outputs == 1:
            for n, place in enumerate(arrays["place"]):
                weights[at[place]] += arrays["weight"][n, 0]
                weights[at[place] + 1] += arrays["missing"][n, 0] + arrays["weight"][n, 0] * arrays["fill"][n]
            intercept += float(arrays["intercept"][0])
        elif isinstance(term.kind, Lookup) and len(term.kind.places) == 1 and program.outputs == 1 and (
                program.inputs[term.kind.places[0]].categorical):
            begin = at[term.kind.places[0]]
            weights[begin : begin + len(arrays["values"])] += arrays["values"][:, 0]
        else:
            raise BadModel(f'the program "{program.label}" is not linear, and only sums can be scored encrypted',
                           where="encrypted scoring", hint='learn a line: [learning] learners = ["linear"]')
    return Line(weights, intercept)


def columns(inputs: Floats, kinds: tuple[Input, ...]) -> Floats:
    """What the client encrypts, (n, columns): a number, 0 if missing, and whether it is; of a category a flag for
    missing and for each level."""
    blocks = []
    for place, kind in enumerate(kinds):
        column = inputs[:, place]
        absent = np.isnan(column)
        if kind.categorical:
            known = ~absent & (column >= 0) & (column < kind.levels)
            code = np.where(known, column + 1, 0).astype(np.int64)
            blocks.append((code[:, None] == np.arange(kind.levels + 1)).astype(np.float64))
        else:
            blocks.append(np.stack([np.where(absent, 0.0, column), absent], axis=1))
    return np.concatenate(blocks, axis=1)


def _tenseal() -> ModuleType:
    try:
        import tenseal
    except ImportError as error:
        raise Misuse("encrypted scoring needs TenSEAL", where="encrypted scoring",
                     hint="pip install 'shipworthy[encrypted]'") from error
    found: ModuleType = tenseal
    return found
