"""Personal data in a column: by pattern and checksum, or by pattern and the column's name.

Luhn: ISO/IEC 7812-1. IBAN: ISO 13616-1, ISO 7064 mod 97-10. A pattern of digits alone accuses nobody.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from shipworthy.data.analysis.national import KNOWN
from shipworthy.data.collection.containment import words_of

LOOK = 1_000
MOST = 0.5
SOME = 0.01
SURE = 0.9
EMAIL = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)*\.[a-zA-Z]{2,}")
PHONE = re.compile(r"\+?[\d\s().\-/]{7,20}")
IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")
CARD = re.compile(r"[3-6]\d{12,18}")
SSN = re.compile(r"(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}")
ADDRESS = re.compile(r"(\d{1,3}\.){3}\d{1,3}|([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}")
LANE = re.compile(r"\d{1,5}[a-zA-Z]? (\w+ ){1,3}(street|st|road|rd|avenue|ave|lane|ln|drive|dr|boulevard|court|way)"
                  r"\.?(,.*)?", re.IGNORECASE)
INSIDE = {"e-mail": EMAIL, "phone number": re.compile(r"\+\d{1,3}[ \d().-]{7,16}\d"),
          "bank account": re.compile(r"\b[A-Z]{2}\d{2}[A-Z0-9]{11,30}\b"),
          "card number": re.compile(r"\b[3-6]\d{12,18}\b"), "national id": re.compile(rf"\b{SSN.pattern}\b")}
STREET = re.compile(r"\d{1,5}[a-zA-Z]?[\s,]+\w+|\w+[\s,]+\d{1,5}[a-zA-Z]?")
PERSON = re.compile(r"(Dr\.? |Mr\.? |Mrs\.? |Ms\.? )?[A-Z][\w'’-]+,? ([A-Z]\.? )?[A-Z][\w'’-]+( Jr\.?| Sr\.?| I+)?")
NAMES = frozenset(["james", "mary", "john", "patricia", "robert", "jennifer", "michael", "linda", "david", "elizabeth",
                   "william", "barbara", "richard", "susan", "joseph", "jessica", "thomas", "sarah", "charles", "karen",
                   "christopher", "lisa", "daniel", "nancy", "matthew", "betty", "anthony", "margaret", "mark",
                   "sandra", "donald", "ashley", "steven", "kimberly", "paul", "emily", "andrew", "donna", "joshua",
                   "michelle", "kenneth", "carol", "kevin", "amanda", "brian", "dorothy", "george", "melissa", "edward",
                   "deborah", "ronald", "stephanie", "timothy", "rebecca", "jason", "laura", "jeffrey", "helen", "ryan",
                   "anna", "peter", "maria", "jose", "luis", "ana", "carlos", "juan", "hans", "klaus", "petra", "marie",
                   "jean", "pierre", "sofia", "lucas", "noah", "emma", "olivia", "liam", "mia", "ali", "mohammed",
                   "fatima", "wei", "ivan", "olga"])
OWNERS = frozenset(["first", "last", "given", "family", "middle", "maiden", "full", "customer", "patient", "employee",
                    "person", "client", "member", "user", "contact", "borrower", "applicant", "guest", "student",
                    "owner", "holder", "insured"])
CONTEXT = {
    "phone": "phone number",
    "telephone": "phone number",
    "tel": "phone number",
    "mobile": "phone number",
    "fax": "phone number",
    "cell": "phone number",
    "ssn": "national id",
    "nino": "national id",
    "passport": "national id",
    "taxpayer": "national id",
    "nhs": "national id",
    "social": "national id",
    "soc": "national id",
    "sin": "national id",
    "bsn": "national id",
    "aadhaar": "national id",
    "cpf": "national id",
    "dni": "national id",
    "nie": "national id",
    "curp": "national id",
    "personnummer": "national id",
    "pesel": "national id",
    "steuerid": "national id",
}


def personal_kind(name: str, values: Sequence[str | None]) -> str:
    """What personal data a column holds ("e-mail", "phone number", "name", …); empty if none was found.

    values: some of its distinct values as text; at most 1,000 are read.
    """
    words = [word.strip() for word in values if word and word.strip()][:LOOK]
    if not words:
        return ""
    tokens = words_of(name)
    sure = _by_pattern(words)
    if sure:
        return sure
    known = next((CONTEXT[token] for token in tokens if token in CONTEXT), "")
    if known == "phone number" and _share(words, lambda word: _is_phone(word)) >= MOST:
        return known
    if known == "national id" and _share(words, lambda word: sum(c.isdigit() for c in word) >= 6) >= MOST:
        return known
    if _is_birth(tokens):
        return "date of birth"
    if (
        {"street", "address"} & set(tokens)
        and _share(words, lambda word: bool(STREET.search(word))) >= MOST
        and (not {"ip", "web", "mac"} & set(tokens))
    ):
        return "address"
    return "name" if _is_person(tokens, words) else ""


def luhn(digits: str) -> bool:
    """Whether the last digit is the Luhn check digit of the others.

    >>> luhn("4111111111111111"), luhn("4111111111111112")
    (True, False)
    """
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 * (value > 9)
    return total % 10 == 0


def iban(text: str) -> bool:
    """Whether text is an IBAN whose check digits hold.

    >>> iban("GB82 WEST 1234 5698 7654 32")
    True
    """
    plain = text.replace(" ", "").upper()
    if not IBAN.fullmatch(plain):
        return False
    turned = plain[4:] + plain[:4]
    return int("".join(str(int(letter, 36)) for letter in turned)) % 97 == 1


def _by_pattern(words: list[str]) -> str:
    if _share(words, lambda word: bool(EMAIL.fullmatch(word))) >= MOST:
        return "e-mail"
    if _share(words, lambda word: bool(SSN.fullmatch(word))) >= MOST:
        return "national id"
    if any(_share(words, holds) >= SURE for holds in KNOWN):
        return "national id"
    if _share(words, iban) >= MOST:
        return "bank account"
    if _share(words, lambda word: bool(LANE.fullmatch(word))) >= MOST:
        return "address"
    if _share(words, _is_card) >= 0.8:
        return "card number"
    if (
        _share(
            words,
            lambda word: (
                bool(ADDRESS.fullmatch(word)) and all(int(part) < 256 for part in word.split(".") if part.isdigit())
            ),
        )
        >= MOST
    ):
        return "network address"
    if _share(words, lambda word: word.startswith("+") and _is_phone(word)) >= MOST:
        return "phone number"
    return next((f"{kind} inside text" for kind in INSIDE if _is_inside(kind, words)), "")


def _is_inside(kind: str, words: list[str]) -> bool:
    """Whether such data stands within longer words, now and then: where a check exists, it must hold."""
    tests = {"bank account": iban, "card number": luhn}
    found = [match[0] for word in words if (match := INSIDE[kind].search(word)) and len(match[0]) < len(word)]
    held = sum(tests.get(kind, bool)(text) for text in found)
    return held >= 3 and held >= SOME * len(words) and held >= 0.8 * len(found)


def _share(words: list[str], test: object) -> float:
    assert callable(test)
    head = words[:50]
    if sum(bool(test(word)) for word in head) < 0.3 * len(head):
        return 0.0
    return sum(bool(test(word)) for word in words) / len(words)


def _is_card(word: str) -> bool:
    digits = word.replace(" ", "").replace("-", "")
    return bool(CARD.fullmatch(digits)) and luhn(digits)


def _is_phone(word: str) -> bool:
    return bool(PHONE.fullmatch(word)) and 7 <= sum(letter.isdigit() for letter in word) <= 15


def _is_birth(tokens: list[str]) -> bool:
    return (
        "dob" in tokens
        or "birthday" in tokens
        or "birthdate" in tokens
        or ("birth" in tokens and bool({"date", "day"} & set(tokens)))
    )


def _is_person(tokens: list[str], words: list[str]) -> bool:
    if {"surname", "firstname", "lastname", "fullname", "forename"} & set(tokens):
        return True
    if "name" not in tokens:
        return False
    if OWNERS & set(tokens):
        return True
    shaped = [word for word in words if PERSON.fullmatch(word)]
    known = [word for word in shaped if NAMES & {part.strip(".,").lower() for part in word.split()}]
    return len(shaped) >= 0.6 * len(words) and len(known) >= 0.15 * len(words)
