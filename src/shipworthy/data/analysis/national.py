"""National identity numbers that give themselves away: by two check digits, a check letter, or a date and a check.

Numbers with a single check digit and no other form (SIN, BSN, NHS, Aadhaar) are known by their column's name only: a
code of goods passes such a check as well; every ISBN-10 without an X has the check digit of an NHS number.
Sources: Receita Federal (CPF); INSEE (NIR); Real Decreto 1553/2005 (DNI); GB 11643-1999 (resident identity);
Skatteverket (personnummer); HMRC NIM39110 (NINO).
"""

from __future__ import annotations

import re
from collections.abc import Callable

DNI = re.compile(r"([XYZ]?)(\d{7,8})-?([A-Z])")
NIR = re.compile(r"[12]\d{2}(0[1-9]|1[0-2])\d{8}\d{2}")
RIC = re.compile(r"[1-9]\d{5}(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])\d{3}[\dX]")
SWEDISH = re.compile(r"(19|20)?\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])[-+]\d{4}")
NINO = re.compile(r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]")
CPF = re.compile(r"\d{3}\.\d{3}\.\d{3}-\d{2}|\d{11}")
LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"


def cpf(word: str) -> bool:
    """Whether both check digits of a Brazilian CPF hold.

    >>> cpf("529.982.247-25"), cpf("529.982.247-26")
    (True, False)
    """
    digits = [int(letter) for letter in word if letter.isdigit()]
    if not CPF.fullmatch(word) or len(set(digits)) == 1:
        return False
    sums = {place: sum(digit * (place + 1 - at) for at, digit in enumerate(digits[:place])) for place in (9, 10)}
    return all(total * 10 % 11 % 10 == digits[place] for place, total in sums.items())


def dni(word: str) -> bool:
    """Whether the letter of a Spanish DNI or NIE is that of its number.

    >>> dni("12345678Z"), dni("12345678A")
    (True, False)
    """
    found = DNI.fullmatch(word.upper())
    if not found or len(found[1] + found[2]) != 8:
        return False
    return LETTERS[int(str("XYZ".index(found[1]) if found[1] else "") + found[2]) % 23] == found[3]


def nir(word: str) -> bool:
    """Whether the key of a French NIR holds: 97 minus the number modulo 97.

    >>> nir("255081416802538")
    True
    """
    plain = word.replace(" ", "")
    return bool(NIR.fullmatch(plain)) and 97 - int(plain[:13]) % 97 == int(plain[13:])


def ric(word: str) -> bool:
    """Whether a Chinese resident number holds a date and its check sign (ISO 7064, mod 11-2).

    >>> ric("11010519491231002X")
    True
    """
    if not RIC.fullmatch(word.upper()):
        return False
    total = sum(int(digit) * (2 ** (17 - place) % 11) for place, digit in enumerate(word[:17]))
    return "10X98765432"[total % 11] == word[17].upper()


def personnummer(word: str) -> bool:
    """Whether a Swedish number holds a date and its Luhn digit.

    >>> personnummer("811218-9876")
    True
    """
    if not SWEDISH.fullmatch(word):
        return False
    digits = re.sub(r"\D", "", word)[-10:]
    total = sum(sum(divmod(int(digit) * (2 - place % 2), 10)) for place, digit in enumerate(digits))
    return total % 10 == 0


def nino(word: str) -> bool:
    """Whether a word has the form of a British National Insurance number."""
    return bool(NINO.fullmatch(word.upper()))


KNOWN: tuple[Callable[[str], bool], ...] = (cpf, dni, nir, ric, personnummer, nino)
