"""What callers say with and without something personal in it: templates, with the errors of a recogniser.

`TUNED` templates were looked at while the rules were written; `HELD_OUT` were written before the first run on
them, and no rule was changed after it. Values are random: cards pass Luhn, nothing belongs to anybody.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from scripts.spoiling import spoiled
from voicebot.safety.pii.checksums import luhn
from voicebot.safety.pii.finding import NOTHING, Expected

ORDER_DIGITS, POST_CODE_DIGITS = 6, 5
ASKED = {
    "order number": Expected("order number", ORDER_DIGITS),
    "post code": Expected("post code", POST_CODE_DIGITS),
    "phone number": Expected("phone number", 10),
    "name": Expected("name"),
    "date of birth": Expected("date of birth"),
}

TUNED: dict[str, tuple[str, ...]] = {
    "card": ("my card is {}", "the card number is {}", "{}"),
    "phone number": ("call me at {}", "my number is {}", "it's {}"),
    "order number": ("my order number is {}", "it's {}", "order {} please"),
    "post code": ("my post code is {}", "the zip is {}"),
    "email": ("my e-mail is {}", "send it to {}"),
    "date of birth": ("i was born on {}", "my birthday is {}"),
    "name": ("my name is {}", "this is {} calling"),
    "address": ("i live at {}", "my address is {}"),
}
HELD_OUT: dict[str, tuple[str, ...]] = {
    "card": (
        "i paid with {} last week",
        "can you charge {} instead",
        "okay the long number on the front is {}",
        "it's a visa {} and it was declined",
        "so that would be {}",
    ),
    "phone number": (
        "you can reach me on {} after six",
        "my cell is {} thanks",
        "try {} instead please",
        "text me the link on {}",
        "yeah that's {}",
    ),
    "order number": (
        "i'm calling about order {}",
        "the confirmation says {}",
        "where is {}",
        "reference {} hasn't arrived",
        "hold on it is {}",
    ),
    "post code": (
        "we're in {}",
        "it was delivered to zip code {}",
        "the parcel should go to post code {}",
        "my postal code that's {}",
    ),
    "email": (
        "you can write to {} any time",
        "the account is under {}",
        "it should be {} i think",
        "i used {} to sign up",
    ),
    "date of birth": (
        "date of birth is {}",
        "i'm sixty five i was born {}",
        "my dob is {}",
        "my wife's birthday is {}",
    ),
    "name": (
        "the order is in the name of {}",
        "my name's {} and i need help",
        "hi my name is {}",
        "{}",
    ),
    "address": (
        "please deliver it to {} instead",
        "we moved to {}",
        "the courier went to {} but nobody was home",
    ),
}
BENIGN_TUNED = (
    "it costs {price}",
    "do you open at {hour} on sunday",
    "i waited {small} minutes",
    "the table is {small} by {small}",
)
BENIGN_HELD_OUT = (
    "is the desk still {price} or is it cheaper now",
    "i was charged {price} twice",
    "i ordered {small} chairs on the {day} of {month}",
    "are you open until {hour} on fridays",
    "you close at {hour} right",
    "it has been {small} days since i ordered",
    "i need a rug about {small} by {small} feet",
    "the sofa is {large} dollars",
    "what about the {year} collection",
    "i bought it back in {year}",
    "it arrived on {month} {day}",
    "there were only {small} of the {small} screws in the box",
    "can i pay in {small} months",
    "is there a discount of {small} percent",
    "it weighs {large} grams",
    "your courier said between {hour} and {hour}",
    "my order from the {day} of {month} is late",
    "this is really urgent",
    "i am very unhappy with this",
    "the one on page {small}",
    "i spoke to somebody at {hour} yesterday",
    "i want my money back all {price}",
    "does it come in two or three sizes",
    "we have {small} kids and {small} dogs",
    "this is the third time i call",
    "i live in the city",
    "it is two doors down the road",
    "how late are you open on may {day}",
)

_HERE = "zq"
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = (
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
)
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_MONTHS = ("january", "february", "march", "april", "june", "july", "august", "october", "december")
_DAYS = (
    "first",
    "second",
    "third",
    "fifth",
    "ninth",
    "tenth",
    "twelfth",
    "twentieth",
    "twenty second",
    "thirtieth",
)
_FIRST = ("margaret", "tobias", "priya", "anders", "chloe", "yusuf", "ingrid", "dwayne", "maria", "kenji")
_LAST = (
    "whitfield",
    "okonkwo",
    "brandt",
    "delacroix",
    "nakamura",
    "petrov",
    "lindqvist",
    "oduya",
    "ferraro",
    "hale",
)
_STREETS = (
    "oak street",
    "elm avenue",
    "maple drive",
    "harbor road",
    "sycamore lane",
    "willow court",
    "fifth avenue",
)
_HOSTS = ("gmail dot com", "yahoo dot co dot uk", "g mail dot com", "outlook dot com", "proton dot me")
_SLIPS = {"two": "to", "four": "for", "eight": "ate", "one": "won", "zero": "oh"}


@dataclass(frozen=True)
class Line:
    """One utterance. ``begin`` and ``end``: where the value stands; no kind: nothing personal."""

    text: str
    kind: str | None
    expected: Expected
    begin: int = 0
    end: int = 0


def personal(count: int, seed: int, *, held_out: bool) -> list[Line]:
    """Utterances with something personal, ``count`` of each kind."""
    rng = random.Random(seed)
    lines: list[Line] = []
    for kind, templates in (HELD_OUT if held_out else TUNED).items():
        for _ in range(count):
            template = rng.choice(templates)
            carrier = ""
            while carrier.split().count(_HERE) != 1:  # it was dropped, doubled or misheard
                carrier = spoiled(template.replace("{}", _HERE), rng)
            before, after = (part.strip() for part in f" {carrier} ".split(f" {_HERE} "))
            value = _value(kind, rng)
            text = " ".join(part for part in (before, value, after) if part)
            begin = len(before) + 1 if before else 0
            bare = template in {"{}", "it's {}", "so that would be {}", "yeah that's {}", "hold on it is {}"}
            asked = ASKED.get(kind, NOTHING) if bare else NOTHING
            lines.append(Line(text, kind, asked, begin, begin + len(value)))
    return lines


def benign(count: int, seed: int, *, held_out: bool) -> list[Line]:
    """Utterances with numbers, and nothing personal."""
    rng = random.Random(seed)
    templates = BENIGN_HELD_OUT if held_out else BENIGN_TUNED
    lines: list[Line] = []
    for at in range(count):
        words = templates[at % len(templates)]
        while "{" in words:
            name = words[words.index("{") + 1 : words.index("}")]
            words = words.replace("{" + name + "}", _plain(name, rng), 1)
        lines.append(Line(spoiled(words, rng), None, NOTHING))
    return lines


def _value(kind: str, rng: random.Random) -> str:
    match kind:
        case "card":
            return _spoken(_card(rng), rng)
        case "phone number":
            return _spoken("".join(rng.choice("23456789") + rng.choice("0123456789") for _ in range(5)), rng)
        case "order number":
            return _spoken("".join(rng.choice("0123456789") for _ in range(ORDER_DIGITS)), rng)
        case "post code":
            return _spoken("9" + "".join(rng.choice("0123456789") for _ in range(POST_CODE_DIGITS - 1)), rng)
        case "email":
            name, joint = rng.choice(_FIRST), rng.choice((" dot ", " underscore ", " "))
            number = f" {_below_hundred(rng.randrange(60, 99))}" if rng.random() < 0.4 else ""
            return f"{name}{joint}{rng.choice(_LAST)}{number} at {rng.choice(_HOSTS)}"
        case "date of birth":
            year = f"{rng.choice(('nineteen ', ''))}{_below_hundred(rng.randrange(41, 99))}"
            if rng.random() < 0.5:
                return f"{rng.choice(_MONTHS)} {rng.choice(_DAYS)} {year}"
            return f"the {rng.choice(_DAYS)} of {rng.choice(_MONTHS)} {year}"
        case "name":
            return f"{rng.choice(_FIRST)} {rng.choice(_LAST)}"
        case _:
            return f"{_small(rng.randrange(2, 999))} {rng.choice(_STREETS)}"


def _card(rng: random.Random) -> str:
    digits = "4" + "".join(rng.choice("0123456789") for _ in range(14))
    return next(digits + last for last in "0123456789" if luhn(digits + last))


def _spoken(digits: str, rng: random.Random) -> str:
    """A number as people say it, and as recognisers write it."""
    shape = rng.random()
    if shape < 0.2:
        return (
            digits if rng.random() < 0.5 else " ".join(digits[at : at + 4] for at in range(0, len(digits), 4))
        )
    words: list[str] = []
    at = 0
    while at < len(digits):
        pair = digits[at : at + 2]
        if shape < 0.45 and len(pair) == 2 and pair[0] != "0" and pair[1] != "0":
            words.append(_below_hundred(int(pair)))
            at += 2
        elif len(pair) == 2 and pair[0] == pair[1] and rng.random() < 0.6:
            words.append(f"double {_DIGITS[int(pair[0])]}")
            at += 2
        else:
            words.append(_DIGITS[int(digits[at])])
            at += 1
    for place in range(1, len(words) - 1):
        if rng.random() < 0.06:
            words[place] = _SLIPS.get(words[place], words[place])
    if len(words) > 4 and rng.random() < 0.25:
        words.insert(rng.randrange(2, len(words) - 1), rng.choice(("um", "uh", "and then")))
    return " ".join(words)


def _plain(name: str, rng: random.Random) -> str:
    match name:
        case "price":
            return rng.choice(
                (
                    f"{_small(rng.randrange(20, 900))} dollars",
                    f"{_small(rng.randrange(20, 99))} ninety nine",
                    f"${rng.randrange(20, 900)}.{rng.randrange(10, 99)}",
                    f"{_small(rng.randrange(100, 900))} fifty",
                )
            )
        case "hour":
            return rng.choice(("nine", "five thirty", "8 pm", "six p m", "half past seven", "10:30"))
        case "day":
            return rng.choice(_DAYS)
        case "month":
            return rng.choice(_MONTHS)
        case "year":
            return rng.choice(
                ("twenty twenty four", "nineteen ninety nine", "2023", "two thousand and nineteen")
            )
        case "large":
            return rng.choice(
                ("twelve hundred", "two thousand four hundred", "nine hundred and fifty", "1450")
            )
        case _:
            return _below_hundred(rng.randrange(2, 99))


def _below_hundred(number: int) -> str:
    if number < 10:
        return _DIGITS[number]
    if number < 20:
        return _TEENS[number - 10]
    tens, unit = divmod(number, 10)
    return f"{_TENS[tens]} {_DIGITS[unit]}" if unit else _TENS[tens]


def _small(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    head = f"{_DIGITS[hundreds]} hundred" if hundreds else ""
    return " ".join(part for part in (head, _below_hundred(rest) if rest or not head else "") if part)
