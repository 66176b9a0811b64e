"""Running text in spoken form: what an article or a model writes, as a person would read it out.

    speakable("Open 9-17h, $5 a piece, mail help@shop.example")
    -> "Open nine in the morning to five in the afternoon, five dollars a piece, mail help at shop dot
        example"

Pure, English. Each rule reads one kind of thing; what a rule has read is words and is left alone by the later
ones, so their order is the only grammar. No figure is left at the end: a number that no rule knows is read as
a number, a long one digit by digit. Text without figures and signs comes back as it was.
"""

# ruff: noqa: E501  # a pattern is not broken into lines
from __future__ import annotations

import re
from collections.abc import Callable
from datetime import time
from decimal import Decimal

from voicebot.core.number_words import BELOW_TWENTY
from voicebot.dialogue.generation.spoken import amount, cardinal, clock_time, ordinal, year

LONGEST_CARDINAL = 4
"""A bare number with more digits than this is an id, a post code or a telephone number."""
WORD = 4
"""From so many letters on, capitals are a word and not spelt: COVID-19, but HH-20417."""
LONGEST_PIECE = 400
"""Characters read at a time: an article's sentence or a model's clause is hardly longer."""
LONGEST_RUN = 24
"""Digits read at a time: nothing that has a meaning has more."""
SHORT_ID = 3
"""Up to so many letters and digits are read as one: 4B, A4, 12B."""
_GROUPS_OF_THREE = r"\d{1,3}(?:,\d{3})+"
_INT = rf"(?:{_GROUPS_OF_THREE}|\d+)"
_NUM = rf"(?:{_INT}(?:\.\d+)?)"
_DASH = r"\s?(?:-|–|—|to)\s?"
_CURRENCY = {"$": ("dollar", "cent"), "€": ("euro", "cent"), "£": ("pound", "penny")}
_CURRENCY_CODES = {"USD": "$", "US$": "$", "EUR": "€", "GBP": "£"}
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|"
    r"Nov(?:ember)?|Dec(?:ember)?)\b"
)
_DAYS = {
    "Mon": "Monday",
    "Tue": "Tuesday",
    "Tues": "Tuesday",
    "Wed": "Wednesday",
    "Thu": "Thursday",
    "Thur": "Thursday",
    "Thurs": "Thursday",
    "Fri": "Friday",
    "Sat": "Saturday",
    "Sun": "Sunday",
}
_UNITS = {
    "cm": "centimeter",
    "mm": "millimeter",
    "km": "kilometer",
    "m": "meter",
    "kg": "kilogram",
    "g": "gram",
    "lb": "pound",
    "lbs": "pound",
    "oz": "ounce",
    "ft": "foot",
    "mi": "mile",
    "sq ft": "square foot",
    "h": "hour",
    "hr": "hour",
    "hrs": "hour",
    "min": "minute",
    "mins": "minute",
    "ml": "milliliter",
    "l": "liter",
    "W": "watt",
    "kWh": "kilowatt hour",
    "mph": "mile an hour",
    "yr": "year",
    "yrs": "year",
}
_IRREGULAR = {"foot": "feet", "square foot": "square feet", "mile an hour": "miles an hour", "penny": "pence"}
_FRACTIONS = {"½": "one half", "¼": "one quarter", "¾": "three quarters", "⅓": "one third", "⅔": "two thirds"}
_PARTS = {"1/2": "half", "1/3": "a third", "2/3": "two thirds", "1/4": "a quarter", "3/4": "three quarters"}
_SHORT = {
    "e.g.": "for example",
    "i.e.": "that is",
    "approx.": "about",
    "incl.": "including",
    "excl.": "excluding",
    "max.": "at most",
    "vs.": "versus",
    "w/o": "without",
    "w/": "with",
    "hrs.": "hours",
}
_LONG_RUN = re.compile(rf"\d{{{LONGEST_RUN}}}(?=\d)")
_LETTERS_AND_DIGITS = r"(?=[A-Z0-9-]*\d)(?=[A-Z0-9-]*[A-Z])[A-Z0-9]+(?:-[A-Z0-9]+)*"

Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]


def speakable(text: str) -> str:
    """The text as it is spoken. Sentence ends stay where they are; markup is gone.

    >>> speakable("It takes 5-10 business days and costs $49.50.")
    'It takes five to ten business days and costs forty nine dollars and fifty cents.'
    """
    return " ".join(" ".join(_read(piece).split()) for piece in _pieces(text)).strip()


def _pieces(text: str) -> list[str]:
    """The text in pieces short enough for patterns that look far ahead, cut at spaces where there are any."""
    pieces: list[str] = []
    while len(text) > LONGEST_PIECE:
        cut = text.rfind(" ", LONGEST_PIECE // 2, LONGEST_PIECE)
        cut = cut if cut > 0 else LONGEST_PIECE
        pieces.append(text[:cut])
        text = text[cut:]
    return [*pieces, text]


def _read(text: str) -> str:
    text = _LONG_RUN.sub(r"\g<0> ", text)
    for pattern, words in _RULES:
        text = pattern.sub(words, text)
    return text


def digit_by_digit(value: str) -> str:
    """Digits and letters one by one, in groups: ``H H, two zero four, one seven``."""
    plain = re.sub(r"[^A-Za-z0-9]", "", value)
    if not plain.isdigit() and len(plain) <= SHORT_ID:
        return " ".join(
            run.upper() if run.isalpha() else _number(run) for run in re.findall(r"\d+|[A-Za-z]", plain)
        )
    pieces = [piece for part in re.split(r"[^A-Za-z0-9]+", value) for piece in _groups(part) if piece]
    return ", ".join(
        piece[1:] if piece[0] == "=" else " ".join(_sign(sign) for sign in piece) for piece in pieces
    )


def _groups(part: str) -> list[str]:
    pieces: list[str] = []
    for run in re.findall(r"\d+|[A-Za-z]+", part):
        if run.isalpha():
            pieces.append(run if len(run) < WORD else f"={run}")
        else:
            pieces += _threes(run)
    return pieces


def _threes(run: str) -> list[str]:
    """Groups of three; a rest of one joins its neighbour: 4271035 is 427 1035, 2024 is one group."""
    groups = [run[at : at + 3] for at in range(0, len(run), 3)]
    if len(groups) > 1 and len(groups[-1]) == 1:
        groups[-2:] = [groups[-2] + groups[-1]]
    return groups


def _sign(sign: str) -> str:
    return BELOW_TWENTY[int(sign)] if sign.isdigit() and sign.isascii() else sign.upper()


def _number(figures: str) -> str:
    """A number: digit groups, decimals, a leading zero read out."""
    whole, _, part = figures.replace(",", "").partition(".")
    if part == "00":
        part = ""
    if len(whole) > 9 or (len(whole) > 1 and whole.startswith("0")):
        words = digit_by_digit(whole)
    else:
        words = cardinal(int(whole or "0"))
    return f"{words} point {' '.join(BELOW_TWENTY[int(digit)] for digit in part)}" if part else words


def _bare(figures: str) -> str:
    """A number of which nothing is known: a long one is an id."""
    if "," not in figures and "." not in figures and len(figures) > LONGEST_CARDINAL:
        return digit_by_digit(figures)
    return _number(figures)


def _money(sign: str, figures: str, size: str = "") -> str:
    unit = _CURRENCY[_CURRENCY_CODES.get(sign, sign)]
    if size:
        size = {"k": "thousand", "m": "million"}.get(size.lower(), size.lower())
        return f"{_number(figures)} {size} {unit[0]}s"
    value = Decimal(figures.replace(",", ""))
    if value >= 1_000_000_000 or len(figures.partition(".")[2]) > 2:
        return f"{_number(figures)} {unit[0]}s"
    words = amount(value, unit)
    return words[: -len("pennys")] + "pence" if words.endswith("pennys") else words


def _decade(century: str | None, ten: str) -> str:
    """1990s -> nineteen nineties."""
    words = (
        "hundreds" if ten == "00" else cardinal(int(ten)).removesuffix("y") + ("ies" if ten != "10" else "s")
    )
    return f"{cardinal(int(century))} {words}" if century else words


def _house_number(figures: str) -> str:
    """1200 -> twelve hundred, 1423 -> fourteen twenty three."""
    head, rest = divmod(int(figures), 100)
    if head == 0 or head % 10 == 0:
        return _number(figures)
    return f"{cardinal(head)} " + (
        "hundred" if rest == 0 else f"{'oh ' if rest < 10 else ''}{cardinal(rest)}"
    )


def _money_range(match: re.Match[str]) -> str:
    low, high = match.group("low"), match.group("high")
    if "." in low or "." in high:
        return f"{_money(match.group('sign'), low)} to {_money(match.group('sign'), high)}"
    return f"{_number(low)} to {_money(match.group('sign'), high)}"


def _plural(unit: str) -> str:
    return _IRREGULAR.get(unit) or unit + "s"


def _measured(match: re.Match[str]) -> str:
    figures, unit = match.group("num"), _UNITS[match.group("unit")]
    return f"{_number(figures)} {unit if figures == '1' else _plural(unit)}"


def _sized(match: re.Match[str]) -> str:
    """80x200 cm -> eighty by two hundred centimeters."""
    numbers = " by ".join(_number(part) for part in re.findall(_NUM, match.group("sizes")))
    unit = match.group("unit")
    return f"{numbers} {_plural(_UNITS[unit])}" if unit else numbers


def _range(match: re.Match[str]) -> str:
    return f"{_number(match.group('low'))} to {_number(match.group('high'))}"


def _web(address: str) -> str:
    address = re.sub(r"^(?:https?://)?(?:www\.)?", "", address).rstrip("/")
    said = re.sub(r"\d+", lambda m: f" {digit_by_digit(m.group())} ", address)
    for sign, word in (
        (".", "dot"),
        ("/", "slash"),
        ("-", "dash"),
        ("_", "underscore"),
        ("@", "at"),
        ("+", "plus"),
    ):
        said = said.replace(sign, f" {word} ")
    return re.sub(r"[?&=#%~:]+", " ", said).strip()


def _phone(match: re.Match[str]) -> str:
    figures = match.group()
    plus = "plus " if figures.lstrip("(").startswith("+") else ""
    groups = [group for group in re.split(r"\D+", figures) if group]
    return plus + ", ".join(" ".join(BELOW_TWENTY[int(digit)] for digit in group) for group in groups)


def _date(month: int, day: int, of_year: str | None = None) -> str:
    words = f"{_MONTHS[month - 1]} {ordinal(day)}"
    return f"{words}, {year(_full_year(of_year))}" if of_year else words


def _day_first(match: re.Match[str]) -> str:
    words = f"the {ordinal(int(match['day']))} of {_MONTHS[_month_named(match['month']) - 1]}"
    return f"{words}, {year(_full_year(match['year']))}" if match["year"] else words


def _full_year(of_year: str) -> int:
    return int(of_year) + 2000 if len(of_year) == 2 else int(of_year)


def _iso_date(match: re.Match[str]) -> str:
    month, day = int(match.group("month")), int(match.group("day"))
    return _date(month, day, match.group("year")) if 1 <= month <= 12 and 1 <= day <= 31 else match.group()


def _slash_date(match: re.Match[str]) -> str:
    """Month first, as in the United States, unless that is no month."""
    first, second = int(match.group("first")), int(match.group("second"))
    if first > 12:
        first, second = second, first
    if not (1 <= first <= 12 and 1 <= second <= 31):
        return f"{cardinal(first)} slash {cardinal(second)}"
    return _date(first, second, match.group("year"))


def _month_named(short: str) -> int:
    return next(at for at, name in enumerate(_MONTHS, 1) if name.startswith(short[:3]))


def _time(hour: str, minute: str | None, half: str | None) -> time | None:
    """The time that figures stand for; None: they stand for none."""
    at, minutes = int(hour), int(minute or 0)
    if half:
        if not 1 <= at <= 12:
            return None
        at = at % 12 + (12 if half.lower().startswith("p") else 0)
    at = 0 if at == 24 else at
    return time(at, minutes) if at < 24 and minutes < 60 else None


def _clock(match: re.Match[str]) -> str:
    value = _time(match.group("hour"), match.group("minute"), match.group("half"))
    if value is None:
        return f"{_bare(match.group('hour'))} {_bare(match.group('minute') or '0')}"
    return clock_time(value) + _full_stop(match)


def _full_stop(match: re.Match[str]) -> str:
    """The dot of "p.m." also ends the sentence, where nothing or a new one follows."""
    after = match.string[match.end() :]
    return "." if match.group().endswith(".") and re.match(r"\s*$|\s+[A-Z](?!\w*day)", after) else ""


def _hours(match: re.Match[str]) -> str:
    """A span of the day. "9-5pm" begins in the morning; "2-5pm" and "9-17h" say it once where they can."""
    group = match.groupdict()
    late = _time(group["hour2"], group["minute2"], group["half2"])
    early_half = group["half1"] or (_half_before(group) if group["half2"] else None)
    early = _time(group["hour1"], group["minute1"], early_half)
    if early is None or late is None:
        return f"{_bare(group['hour1'])} to {_bare(group['hour2'])}"
    said, ends = clock_time(early), clock_time(late)
    same = said.split(" in the ")[-1] == ends.split(" in the ")[-1]
    begins = clock_time(early, part_of_day=False) if same else said
    return f"{begins} to {ends}" + _full_stop(match)


def _half_before(group: dict[str, str | None]) -> str:
    """Which half of the day a span begins in, when only its end says so."""
    begins, ends, half = int(group["hour1"] or 0) % 12, int(group["hour2"] or 0) % 12, group["half2"] or ""
    if begins < ends:
        return half
    return "am" if half.lower().startswith("p") else "pm"


def _feet(match: re.Match[str]) -> str:
    feet, inches = match.group("feet"), match.group("inches")
    words = f"{_number(feet)} {'foot' if feet == '1' else 'feet'}"
    return f"{words} {_number(inches)}" if inches else words


def _rule(pattern: str, words: Callable[[re.Match[str]], str] | str, flags: int = 0) -> Rule:
    if isinstance(words, str):
        said = words
        return re.compile(pattern, flags), lambda match: match.expand(said)
    return re.compile(pattern, flags), words


def _one_of(names: dict[str, str]) -> str:
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))


_HALF = r"[ap]\.?m\.?(?![a-z])"
_SIGN = r"(?P<sign>\$|€|£|US\$|USD|EUR|GBP)\s?"
_B = r"(?<![\w.,/-])"
"""Not in the middle of a word or of another number."""
_E = r"(?![\w/]|[.,-]\d)"

_RULES: tuple[Rule, ...] = (
    # Another country's way to write numbers, made ours.
    _rule(r"(?<![\d.,])(\d{1,3}(?:\.\d{3})+),(\d\d)(?!\d)", lambda m: f"{m[1].replace('.', ',')}.{m[2]}"),
    _rule(r"([€£$]\s?)(\d+),(\d\d)(?![\d,])", r"\1\2.\3"),
    _rule(r"([€£$]\s?)(\d{1,3})\.(\d{3})(?![\d.,])", r"\1\2,\3"),
    _rule(r"([€£$])[-−](?=\d)", r"-\1"),
    # Markup: links keep their words, the rest of its signs go.
    _rule(r"\[([^\]]+)\]\([^)]*\)", r"\1"),
    _rule(r"^\s*(?:[-*•]|#{1,6}|\d{1,2}[.)])\s+", "", re.MULTILINE),
    _rule(r"\*{1,3}(?=\S)|(?<=\S)\*{1,3}|`+|(?<!\w)_{1,2}(?=\w)|(?<=\w)_{1,2}(?!\w)", ""),
    _rule(r"[\U0001F000-\U0001FAFF☀-➿\u200b-\u200f\ufe0f]", ""),
    _rule(r"(?![0-9])\d", lambda m: str(int(m.group()))),
    # Addresses.
    _rule(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", lambda m: _web(m.group())),
    _rule(r"(?:https?://|www\.)[^\s<>\"')]*[^\s<>\"').,;:!?]", lambda m: _web(m.group())),
    _rule(
        r"\b[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|org|net|example|io|co|us|shop)(?:/[\w/-]*)?\b",
        lambda m: _web(m.group()),
    ),
    # Telephone numbers, then dates, then times, since they look alike.
    _rule(r"(?<![\w.])\+\d{1,3}(?:[ .-]?\(?\d{2,4}\)?){2,4}\b", _phone),
    _rule(
        r"(?<![\w.])(?:1[ .-])?(?:\(\d{3}\)\s?|\d{3}[ .-])\d{3}[ .-]\d{4}\b|(?<![\w.-])\d{3}-\d{4}\b(?!-)",
        _phone,
    ),
    _rule(_B + r"(?P<year>(?:19|20)\d\d)-(?P<month>\d\d)-(?P<day>\d\d)" + _E, _iso_date),
    _rule(r"(?<=[\w)])/(month|week|year|day|hour|night|piece|item|person|seat|set)\b", r" a \1"),
    _rule(r"\b50/50\b", "fifty fifty"),
    _rule(r"\b(\d+\.\d+)/(\d+)\b", lambda m: f"{_number(m[1])} out of {_number(m[2])}"),
    _rule(r"(?<![\d/.,])(1/2|1/3|2/3|1/4|3/4)(?=\s(?:off|of)\b)", lambda m: _PARTS[m[1]]),
    _rule(r"(?<![\w.)])(?<!\d\s)[-−](?=[$€£]?\d)", "minus "),
    _rule(r"['’]?\b(\d\d)?(\d0)s\b", lambda m: _decade(m[1], m[2])),
    _rule(r"\b24/7\b", "twenty four hours a day, seven days a week"),
    _rule(_B + r"(?P<first>\d{1,2})/(?P<second>\d{1,2})/(?P<year>(?:\d\d)?\d\d)" + _E, _slash_date),
    _rule(_B + r"1/2(?=\s+(?:inch|hour|cup|mile|price|day|pint|foot))", "half"),
    _rule(_B + r"(?P<first>\d{1,2})/(?P<second>\d{1,2})(?P<year>)" + _E, _slash_date),
    _rule(
        rf"\b(?P<month>{_MONTH})\.?\s(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,?\s(?P<year>(?:19|20)\d\d)\b)?(?!:)",
        lambda m: (
            _date(_month_named(m["month"]), int(m["day"]), m["year"]) if 1 <= int(m["day"]) <= 31 else m[0]
        ),
    ),
    _rule(
        rf"\b(?:the\s)?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s(?:of\s)?(?P<month>{_MONTH})(?:\.(?=\s[a-z]))?(?:,?\s(?P<year>(?:19|20)\d\d)\b)?",
        lambda m: _day_first(m) if 1 <= int(m["day"]) <= 31 else m[0],
    ),
    _rule(
        rf"\b({'|'.join(sorted(_DAYS, key=len, reverse=True))})\.?\s?[-–]\s?(?=(?:{'|'.join(_DAYS)})\b)",
        lambda m: f"{_DAYS[m[1]]} to ",
    ),
    _rule(
        rf"\b({'|'.join(sorted(_DAYS, key=len, reverse=True))})(?:\.(?=\s[a-z0-9])|(?=[,\s]\s?\d)|(?=\s(?:closed|only|from|until|and)\b)|\b(?=$|[,;]))",
        lambda m: _DAYS[m[1]],
    ),
    _rule(
        rf"\b(?P<hour1>\d{{1,2}})(?::(?P<minute1>\d\d))?\s?(?P<half1>{_HALF})?{_DASH}"
        rf"(?P<hour2>\d{{1,2}})(?::(?P<minute2>\d\d))?\s?(?P<half2>{_HALF})",
        _hours,
        re.IGNORECASE,
    ),
    _rule(
        rf"\b(?P<hour1>\d{{1,2}}):(?P<minute1>\d\d)(?P<half1>)?{_DASH}(?P<hour2>\d{{1,2}}):(?P<minute2>\d\d)(?P<half2>)?"
        r"(?:\s?h\b)?",
        _hours,
    ),
    _rule(
        rf"\b(?P<hour1>\d{{1,2}})(?P<minute1>)(?P<half1>)\s?h?{_DASH}(?P<hour2>1[3-9]|2[0-4])(?P<minute2>)(?P<half2>)\s?h\b",
        _hours,
    ),
    _rule(rf"\b(?P<hour>\d{{1,2}})(?::(?P<minute>\d\d))?\s?(?P<half>{_HALF})", _clock, re.IGNORECASE),
    _rule(r"\b(?P<hour>\d{1,2}):(?P<minute>\d\d)(?P<half>)(?:\s?h\b)?(?!:?\d)", _clock),
    _rule(
        r"\b((?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day)\s?[-–]\s?(?=(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b)",
        r"\1 to ",
    ),
    # Money, percent, measures.
    _rule(_SIGN + rf"(?P<low>{_NUM}){_DASH}(?:\$|€|£)?(?P<high>{_NUM})(?![\w]|[.,]\d)", _money_range),
    _rule(
        _SIGN + rf"(?P<num>{_NUM})(?:\s?(?P<size>k\b|million\b|thousand\b|billion\b))?",
        lambda m: _money(m["sign"], m["num"], m["size"] or ""),
    ),
    _rule(rf"(?P<num>{_NUM})\s?(?P<sign>€|£|USD\b|EUR\b|GBP\b)", lambda m: _money(m["sign"], m["num"])),
    _rule(
        rf"(?P<low>{_NUM})\s?%?{_DASH}(?P<high>{_NUM})\s?%",
        lambda m: f"{_number(m['low'])} to {_number(m['high'])} percent",
    ),
    _rule(rf"(?P<num>{_NUM})\s?%", lambda m: f"{_number(m['num'])} percent"),
    _rule(
        rf"(?P<num>{_NUM})\s?°\s?(?P<scale>[CF])\b",
        lambda m: f"{_number(m['num'])} degrees {'Celsius' if m['scale'] == 'C' else 'Fahrenheit'}",
    ),
    _rule(rf"(?P<sizes>\b{_NUM}(?:\s?[x×]\s?{_NUM})+)(?:\s?(?P<unit>{_one_of(_UNITS)})\b)?", _sized),
    _rule(
        rf"(?P<low>\b{_NUM}){_DASH}(?P<num>{_NUM})\s?(?P<unit>{_one_of(_UNITS)})\b(?!\.[a-z])",
        lambda m: f"{_number(m['low'])} to {_measured(m)}",
    ),
    _rule(rf"\b(?P<num>{_NUM})\s?(?P<unit>{_one_of(_UNITS)})\b(?!['’])", _measured),
    _rule(r"\b(?P<feet>\d{1,3})['’′](?:\s?(?P<inches>\d{1,2})(?:[\"”″])?)?(?!\w)", _feet),
    _rule(r"\b(\d{1,3})in\b", lambda m: f"{_number(m[1])} inches"),
    _rule(rf"\b(?P<num>{_NUM})[\"″](?=\s|[.,;!?]|$)", lambda m: f"{_number(m['num'])} inches"),
    _rule(rf"\b(?P<num>{_NUM})\s?[x×](?=\s|[.,;!?]|$)", lambda m: f"{_number(m['num'])} times"),
    _rule(
        rf"(?P<whole>\d+)?\s?(?P<part>[{''.join(_FRACTIONS)}])",
        lambda m: (
            f"{_number(m['whole'])} and {_FRACTIONS[m['part']].replace('one half', 'a half')}"
            if m["whole"]
            else _FRACTIONS[m["part"]]
        ),
    ),
    _rule(r"\b(\d{1,2}):(\d{1,2})\b", lambda m: f"{_number(m[1])} to {_number(m[2])}"),
    # Ids, ordinals, ranges, years, and whatever number is left.
    _rule(rf"#\s?({_LETTERS_AND_DIGITS}|\d{{3,}})\b", lambda m: digit_by_digit(m[1])),
    _rule(r"#\s?(\d{1,2})\b", lambda m: f"number {cardinal(int(m[1]))}"),
    _rule(
        r"\b([Oo]rder|[Ii]nvoice|[Rr]eference|[Tt]racking)((?:\snumber|\sno\.|\sid)?(?:\sis)?:?\s)(\d{3,})\b",
        lambda m: f"{m[1]}{m[2]}{digit_by_digit(m[3])}",
    ),
    _rule(rf"(?<![\w-]){_LETTERS_AND_DIGITS}(?![\w-])", lambda m: digit_by_digit(m.group())),
    _rule(r"\b(\d{1,9})(?:st|nd|rd|th)\b", lambda m: ordinal(int(m[1])), re.IGNORECASE),
    _rule(
        r"\b(in|since|until|by|from|of|year|before|after)\s((?:19|20)\d\d)\b(?![,.]\d|\s?[-–]?\s?(?:items|pieces|dollars|orders|stores))",
        lambda m: f"{m[1]} {year(int(m[2]))}",
    ),
    _rule(r"\bNo\.\s?(?=\d)", "number "),
    _rule(
        r"\b((?:19|20)\d\d)\s?[-–—]\s?((?:19|20)\d\d)\b", lambda m: f"{year(int(m[1]))} to {year(int(m[2]))}"
    ),
    _rule(rf"\b(?P<low>{_NUM})\s?[-–—]\s?(?P<high>{_NUM})\b", _range),
    _rule(rf"\b({_NUM})\+", lambda m: f"{_bare(m[1])} or more"),
    _rule(r"(?<![\w])(\d+)-(?=[a-z])", lambda m: f"{_number(m[1])} "),
    _rule(
        r"\b\d{4}(?=(?:\s[A-Z][a-z]+){1,3}\s(?:Street|Avenue|Road|Drive|Lane|Boulevard|Way|Place|Court)\b)",
        lambda m: _house_number(m.group()),
    ),
    _rule(r"\d+(?:\.\d+){2,}", lambda m: " point ".join(_number(part) for part in m.group().split("."))),
    _rule(r"(?<=\d),(?=\d)(?!\d{3}(?!\d))", ", "),
    _rule(
        rf"{_NUM}(?=\s(?:dollars|euros|pounds|items|pieces|miles|people|customers|square|points))",
        lambda m: _number(m.group()),
    ),
    _rule(rf"{_NUM}", lambda m: _bare(m.group())),
    # Signs and short forms.
    _rule(rf"(?<!\w)(?:{_one_of(_SHORT)})(?!\w)", lambda m: _SHORT[m.group()]),
    _rule(r"\s&\s", " and "),
    _rule(r"\band/or\b", "and or"),
    _rule(r"(?<=\w)\s?/\s?(?=[a-z])", " or "),
)
