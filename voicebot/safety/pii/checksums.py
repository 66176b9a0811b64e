"""Check digits: what makes a long number a card or an account. Pure."""

from __future__ import annotations


def luhn(digits: str) -> bool:
    """Whether the last digit is that of Luhn's formula (ISO/IEC 7812), as on every payment card.

    >>> luhn("4242424242424242"), luhn("4242424242424241")
    (True, False)
    """
    total = 0
    for at, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if at % 2 else 1)
        total += value - 9 if value > 9 else value
    return bool(digits) and total % 10 == 0


def iban(code: str) -> bool:
    """Whether a code is an IBAN by its check digits (ISO 13616: 97 leaves 1)."""
    if not 15 <= len(code) <= 34 or not code[:2].isalpha() or not code[2:4].isdigit() or not code.isalnum():
        return False
    return int("".join(str(int(one, 36)) for one in code[4:] + code[:4])) % 97 == 1


def is_card(value: str) -> bool:
    """Whether a value is the whole number of a payment card: 13 to 19 digits with Luhn's check digit."""
    return value.isdigit() and 13 <= len(value) <= 19 and luhn(value)
