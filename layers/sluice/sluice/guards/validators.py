"""What a pattern can't say: checksums, and whether a match is a secret or a placeholder for one."""

import re
from collections.abc import Callable, Mapping

_PLACEHOLDERS = re.compile(
    r"example|placeholder|your[-_]|change[-_]?me|replace|insert|dummy|todo|redacted"
    r"|xxxx|0000000|1234567|abcdefg|<|\$\{|\{\{|\*\*\*|\.\.\.",
    re.IGNORECASE,
)
# A key's own randomness, its prefix aside.
_JUDGED_CHARACTERS, _MOST_PARTS = 32, 3
_PART = re.compile(r"[A-Za-z0-9]+")
# A capitalised word is one.
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_COMMON_PASSWORDS = frozenset({"p4ssw0rd", "passw0rd", "pa55word", "password1", "admin123", "root123", "test123"})


def is_random(text: str) -> bool:
    """Whether a key looks drawn at random: no placeholder, many different characters, and not made of words.

    Between two kinds of characters (small and capital letters, digits) a random text changes at every second one,
    words do at their ends at most. In a chain of short words with marks between them it has to change more often.
    """
    secret = text[-_JUDGED_CHARACTERS:]
    if _PLACEHOLDERS.search(text) or len(set(secret)) < 10:
        return False
    parts = _PART.findall(secret)
    changes = sum(len(_WORD.findall(part)) - 1 for part in parts)
    is_mixed = not (secret.islower() or secret.isupper())
    fewest = 0.3 if len(parts) > _MOST_PARTS else 0.24 if is_mixed else 0.1
    return changes >= fewest * sum(len(part) for part in parts)


def is_varied(text: str) -> bool:
    """Whether a key of a form that nothing else has is more than a row of crosses."""
    return len(set(text[-_JUDGED_CHARACTERS:])) >= 8


def is_password(text: str) -> bool:
    """Whether what is assigned, or stands before the @, is a password rather than a placeholder for one."""
    if _PLACEHOLDERS.search(text):
        return False
    password = text.rstrip("\"'@")
    for mark in ("'", '"', ":", "="):
        password = password.rpartition(mark)[2]
    return password.casefold() not in _COMMON_PASSWORDS and len(set(password)) >= 5 and not password.isalpha()


def is_luhn(text: str) -> bool:
    """Whether the digits end with their Luhn check digit (ISO/IEC 7812-1) and are not all the same."""
    digits = [int(character) for character in text if character.isascii() and character.isdigit()]
    if not 13 <= len(digits) <= 19 or len(set(digits)) < 3:
        return False
    doubled = (sum(divmod(digit * 2, 10)) for digit in digits[-2::-2])
    return (sum(doubled) + sum(digits[-1::-2])) % 10 == 0


def is_iban(text: str) -> bool:
    """Whether the check digits of an IBAN are right (ISO 13616: modulo 97)."""
    account = text.replace(" ", "")
    if not 15 <= len(account) <= 34 or not account.isascii() or not account.isalnum():
        return False
    return int("".join(str(int(character, 36)) for character in account[4:] + account[:4])) % 97 == 1


def is_us_ssn(text: str) -> bool:
    """Whether the number can have been issued (area not 000, 666 or 9xx, group not 00, serial not 0000)."""
    area, group, serial = text.split("-")
    return area not in {"000", "666"} and area < "900" and group != "00" and serial != "0000" and text != "123-45-6789"


def is_phone(text: str) -> bool:
    """Whether there are as many digits as a telephone number has (ITU-T E.164: at most 15)."""
    return 9 <= sum(character.isdigit() for character in text) <= 15


VALIDATORS: Mapping[str, Callable[[str], bool]] = {
    "random": is_random,
    "varied": is_varied,
    "password": is_password,
    "luhn": is_luhn,
    "iban": is_iban,
    "us_ssn": is_us_ssn,
    "phone": is_phone,
}
"""By the name that a rule gives."""
