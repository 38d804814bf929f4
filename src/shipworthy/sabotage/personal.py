"""Faults that the scanner of personal data and k-anonymity must catch, and codes of goods that are nobody's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from shipworthy.core.found import Profile
from shipworthy.core.table import Table
from shipworthy.marks import sabotage, twin

Case = dict[str, Any]


@twin("undeclared-personal")
def codes_of_goods(case: Case, seed: int) -> Case:
    """Columns that look like identifiers of people and are codes of goods: nine digits, EAN-13, parts, versions."""
    raw: Table = case["raw"]
    random = np.random.default_rng([5, seed])
    number = random.integers(10**8, 10**9, raw.rows)
    ean = [_ean(f"{n:012}") for n in random.integers(10**11, 10**12, raw.rows)]
    columns = {"sku": number.astype(str).tolist(), "ean": ean, "batch": [f"LOT{n % 10**7:07}" for n in number],
               "part": [f"{n % 1000:03}-{n % 10000:04}-A" for n in number],
               "firmware": [f"{n % 9}.{n % 70}.{n % 13}" for n in number],
               "mobile_model": [f"MX{n % 900}" for n in number]}
    for name, words in columns.items():
        raw = raw.with_column(name, pa.array(words, pa.string()))
    return {**case, "profile": case["steps"].profile(raw)}


@sabotage("a scanner that does not read free text", check="personal-canaries")
def blind(case: Case) -> Case:
    """What stands inside longer words is overlooked."""
    steps = case["steps"]

    def profile(table: Table, **how: Any) -> Profile:
        seen: Profile = steps.profile(table, **how)
        columns = tuple(msgspec.structs.replace(column, personal="") if "inside text" in column.personal else column
                        for column in seen.columns)
        return msgspec.structs.replace(seen, columns=columns)

    return {**case, "steps": replace(steps, profile=profile)}


@twin("k-anonymity")
def alike(case: Case, seed: int) -> Case:
    """Two quasi-identifiers with few values are declared."""
    random = np.random.default_rng([6, seed])
    bands = random.choice(["18-39", "40-64", "65+"], case["table"].rows)
    regions = random.choice(["north", "south"], case["table"].rows)
    table = case["table"].with_column("age_band", pa.array(bands)).with_column("region", pa.array(regions))
    return {**_declared(case, ("region", "age_band")), "table": table, "attestations": case.get("attestations") or ()}


@sabotage("one unique birth date", check="k-anonymity")
def unique_birth(case: Case) -> Case:
    """Everybody was born on one of few days, but for one."""
    case = alike(case, 0)
    days = np.random.default_rng(8).choice(["1980-01-01", "1980-01-02"], case["table"].rows).astype(object)
    days[7] = "1931-02-03"
    table = case["table"].with_column("birth", pa.array(days.tolist(), pa.string()))
    return {**_declared(case, ("region", "birth")), "table": table}


def _declared(case: Case, names: tuple[str, ...]) -> Case:
    data = msgspec.structs.replace(case["project"].data, quasi_identifiers=names)
    return {**case, "project": msgspec.structs.replace(case["project"], data=data)}


def _ean(digits: str) -> str:
    """With its check digit: weights 1 and 3, which is not Luhn's."""
    total = sum(int(digit) * (1 + 2 * (place % 2)) for place, digit in enumerate(digits))
    return digits + str(-total % 10)
