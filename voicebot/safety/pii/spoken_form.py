"""What a caller's words are when they are written: "double four" is 44, "b for bravo" is b. Pure.

    for token in normalise("it's four two seven, one oh three"): ...   # ... Written(DIGITS, "427103", 5, 33)

Each written token knows which characters of the text it stands for, so that they can be masked, muted or read
back. Where one stretch of words has several readings, this gives the likeliest; `safety.spoken_numbers` gives
all of a given length. Conventions: digits without grouping, amounts as ``$4.69``, dates as ISO 8601
(``03-14`` without a year, ``1985-03`` without a day), times as ``14:30``.
"""

from __future__ import annotations

from typing import Literal

from voicebot.core.number_words import MONTHS, ORDINALS, REPEATS, SPELLED, ZEROS
from voicebot.safety.pii import addresses, moments, numbers
from voicebot.safety.pii.numbers import Run
from voicebot.safety.pii.words import Kind, Word, Written, words_in

Asked = Literal["digits", "date", "time", "name", "free"]
MAX_CHARS = 2000
"""More than two minutes of speech; what lies beyond is read by nobody."""

_CURRENCIES = {
    "dollar": "$", "dollars": "$", "bucks": "$", "buck": "$", "pound": "£", "pounds": "£", "quid": "£",
    "euro": "€", "euros": "€", "yen": "¥", "yuan": "yuan", "rupees": "₹", "won": "₩", "francs": "francs",
}  # fmt: skip
_CENTS = frozenset({"cent", "cents", "pence", "penny", "pennies"})
_NOT_CODE = frozenset({"a", "i", "o"})
_SECONDS = frozenset({"one", "a", "few", "couple", "just", "split", "every", "per"})
_MONTHLY = MONTHS.keys() - {"may", "march"}


def normalise(text: str, *, asked: Asked = "free") -> tuple[Written, ...]:
    """Every word or number of a text as it is written, in order.

    Args:
        text: a caller's words.
        asked: what was just asked for: "eight fifty two" is a time where a time was asked for.
    """
    words = words_in(text[:MAX_CHARS])
    out: list[Written] = []
    mails = _emails(words)
    at = 0
    while at < len(words):
        found = mails.get(at) or _read(words, at, asked)
        if found is None:
            word = words[at]
            out.append(Written(Kind.WORD, word.text, word.start, word.end))
            at += 1
            continue
        kind, written, after, pieces = found
        out.append(Written(kind, written, words[at].start, words[after - 1].end, pieces))
        at = after
    return tuple(out)


def written(text: str, *, asked: Asked = "free") -> str:
    """The text as it is written, in one line.

    >>> written("my number is double four two, one oh three")
    'my number is 442103'
    >>> written("born on the third of march eighty five")
    'born on 1985-03-03'
    """
    tokens = normalise(text, asked=asked)
    return " ".join(token.text for token in tokens if token.text not in {".", "-", "/"})


_Found = tuple[Kind, str, int, int]


def _emails(words: list[Word]) -> dict[int, _Found]:
    """Spoken addresses by their first place: they are found from the "at" in their middle."""
    found: dict[int, _Found] = {}
    for at, word in enumerate(words):
        if word.text in {"at", "@"}:
            read = addresses.email(words, at)
            if read is not None:
                found[read[1]] = (Kind.EMAIL, read[0], read[2], 1)
    return found


def _read(words: list[Word], at: int, asked: Asked) -> _Found | None:
    """What begins at a place, if it is more than a word."""
    word = words[at]
    text = word.text
    match word.form:
        case "email":
            return Kind.EMAIL, text, at + 1, 1
        case "url":
            return Kind.URL, text.rstrip(".,"), at + 1, 1
        case "amount":
            return _amount(words, at)
        case "mixed":
            return _code(words, at) or (Kind.CODE, text, at + 1, 1)
        case _:
            pass
    if at + 1 < len(words) and (words[at + 1].text in {"dot", "."} or len(text) == 1 or text == "http"):
        web = addresses.url(words, at)
        if web is not None:
            return Kind.URL, web[0], web[1], 1
    number = numbers.starts(words, at)
    if number or text in ORDINALS or word.form in {"rank", "date"} or text in MONTHS or text == "the":
        found = moments.date(words, at) if text != "may" or _next_is_number(words, at) else None
        if found is not None:
            return Kind.DATE, *found, 1
    if number or text in {"half", "quarter", "a"} or word.form == "time":
        time = moments.clock(words, at, asked=asked == "time")
        if time is not None:
            return Kind.TIME, *time, 1
    if text in {"minus", "negative", "plus"} and numbers.starts(words, at + 1):
        return _signed(words, at, text)
    if text in {"point"}:
        return _decimal(words, at, "0", at)
    if number or text in ORDINALS or word.form in {"rank", "figure"}:
        found_number = _number(words, at)
        if found_number is not None:
            return found_number
    if (len(text) == 1 and text.isalpha()) or text in SPELLED:
        return _code(words, at)
    return None


def _number(words: list[Word], at: int) -> _Found | None:
    ordinal = numbers.ordinal(words, at)
    if ordinal is not None and not _of_time(words, at, ordinal[1]):
        if ordinal[1] < len(words) and words[ordinal[1]].text == "quarter" and ordinal[0] <= 4:
            return _quarter(words, ordinal[0], ordinal[1] + 1)
        return Kind.ORDINAL, f"{ordinal[0]}{_suffix(ordinal[0])}", ordinal[1], 1
    if "." in words[at].text and words[at].form == "figure":
        return _unit(words, words[at].text.replace(",", ""), at + 1, Kind.DECIMAL, 1)
    run = numbers.run(words, at)
    if run is None:
        return None
    after = run.last + 1
    following = words[after].text if after < len(words) else ""
    if following in {"point", "dot"} and numbers.starts(words, after + 1):
        dotted = _dotted(words, run)
        if dotted is not None:
            return dotted
        if following == "point":
            return _decimal(words, after, run.text, at)
    if _letters_follow(words, after):
        code = _code(words, at)
        if code is not None:
            return code
    if len(run.chunks) == 1:
        chunk = run.chunks[0]
        scale, behind = numbers.magnitude(words, after)
        value = str(int(chunk.text) * scale) if scale > 1 else chunk.text
        kind = Kind.DIGITS if chunk.figure and scale == 1 else Kind.CARDINAL
        if kind is Kind.CARDINAL and chunk.text.startswith("0") and len(chunk.text) > 1:
            kind = Kind.DIGITS  # "double oh"
        if moments.is_year(run) and scale == 1:
            kind = Kind.YEAR
        return _unit(words, value, behind, kind, 1)
    kind = Kind.YEAR if moments.is_year(run) else Kind.DIGITS
    figures = all(chunk.figure for chunk in run.chunks)  # groups of a number that was written as one
    return _unit(words, run.text, after, kind, len(run.text) if figures else len(run.chunks))


def _unit(words: list[Word], value: str, at: int, kind: Kind, pieces: int) -> _Found:
    """With the unit behind it, if that makes it an amount or a percentage; a decade too."""
    text = words[at].text if at < len(words) else ""
    if text in {"percent", "%"}:
        return Kind.PERCENT, f"{value}%", at + 1, 1
    if text == "per" and at + 1 < len(words) and words[at + 1].text == "cent":
        return Kind.PERCENT, f"{value}%", at + 2, 1
    here = at
    if text == "united" and at + 2 < len(words) and words[at + 1].text == "states":
        here = at + 2
    elif text in {"us", "u"} and at + 1 < len(words):
        here = at + 1 if text == "us" else at + 2
    currency = _CURRENCIES.get(words[here].text) if here < len(words) else None
    if currency is not None and not (words[here].text == "won" and pieces > 1):
        return _money(words, value, currency, here + 1)
    if text in _CENTS and "." not in value:
        return (
            Kind.MONEY,
            f"$0.{int(value):02d}" if int(value) < 100 else f"${int(value) / 100:.2f}",
            at + 1,
            1,
        )
    return kind, value, at, pieces


def _money(words: list[Word], value: str, currency: str, at: int) -> _Found:
    here = at + 1 if at < len(words) and words[at].text == "and" else at
    read = numbers.below_hundred(words, here)
    if "." not in value and read is not None:
        small, after = read
        cents = after < len(words) and words[after].text in _CENTS
        ended = after >= len(words) or not numbers.starts(words, after)
        plain = here == at and small >= 10 and ended and not _counts(words, after)
        if cents or plain:
            value, at = f"{value}.{small:02d}", after + 1 if cents else after
    text = f"{value} {currency}" if currency.isalpha() else f"{currency}{value}"
    return Kind.MONEY, text, at, 1


def _counts(words: list[Word], at: int) -> bool:
    """Whether a word follows that the number may count: "two dollars thirty times"."""
    return at < len(words) and words[at].text in {"times", "days", "percent", "minutes", "years", "items"}


def _amount(words: list[Word], at: int) -> _Found:
    value = words[at].text.replace(" ", "").replace(",", "")
    scale, after = numbers.magnitude(words, at + 1)
    if scale > 1:
        value = value[0] + _plain(float(value[1:]) * scale)
    return Kind.MONEY, value, after, 1


def _decimal(words: list[Word], at: int, before: str, first: int) -> _Found | None:
    """``at``: the place of "point"."""
    fraction = numbers.fraction(words, at + 1)
    if fraction is None:
        return None
    digits, after = fraction
    scale, behind = numbers.magnitude(words, after)
    value = f"{before or '0'}.{digits}"
    if scale > 1:
        power = len(str(scale)) - 1
        moved = digits.ljust(power, "0")
        value = str(int((before or "0") + moved[:power])) + (f".{moved[power:]}" if moved[power:] else "")
    return _unit(words, value, behind, Kind.DECIMAL, 1)


def _dotted(words: list[Word], run: Run) -> _Found | None:
    """Numbers with dots between them: an address of the net, a version."""
    parts, here = [run.text], run.last + 1
    while here + 1 < len(words) and words[here].text in {"dot", "point"} and numbers.starts(words, here + 1):
        nxt = numbers.run(words, here + 1)
        if nxt is None:
            break
        parts.append(nxt.text)
        here = nxt.last + 1
    return (Kind.CODE, ".".join(parts), here, len(parts)) if len(parts) > 2 else None


def _signed(words: list[Word], at: int, sign: str) -> _Found | None:
    found = _number(words, at + 1)
    if found is None:
        return None
    kind, text, after, pieces = found
    if sign == "plus":
        return Kind.DIGITS, f"+{text}", after, pieces
    return kind, f"-{text}", after, pieces


def _quarter(words: list[Word], nth: int, at: int) -> _Found:
    here = at + 1 if at < len(words) and words[at].text == "of" else at
    year = moments.year(words, here)
    return (Kind.DATE, f"Q{nth}" + (f" {year[0]}" if year else ""), year[1] if year else at, 1)


def _code(words: list[Word], at: int) -> _Found | None:
    """Letters that are spelled, and digits among them; None for one letter alone, or an article."""
    out, here, letters, last, spelled = "", at, 0, at, False
    while here < len(words):
        word = words[here]
        text = word.text
        if text in numbers.FILLERS or (out and text in {"dash", "hyphen", "-", "space"}):
            here += 1
            continue
        if text in ZEROS and len(text) == 1 and letters and not any(map(str.isdigit, out)):
            out, letters = out + text, letters + 1
            here += 1
        elif (len(text) == 1 and text.isalpha()) or text in SPELLED:
            out, letters = out + SPELLED.get(text, text), letters + 1
            spelled = spelled or text in SPELLED
            if here + 2 < len(words) and words[here + 1].text in {"for", "as", "like"}:
                after = (
                    here + 3 if words[here + 1].text == "as" and words[here + 2].text == "in" else here + 2
                )
                if after < len(words) and len(text) == 1 and words[after].text.startswith(text):
                    here, spelled = after, True
            here += 1
        elif word.form == "mixed":
            out, letters, here = out + text, letters + 1, here + 1
        elif text in REPEATS and here + 1 < len(words) and len(words[here + 1].text) == 1:
            letter = words[here + 1].text
            if letter.isdigit() or letter in ZEROS:
                break
            out, letters, here = out + letter * REPEATS[text], letters + 1, here + 2
        elif numbers.starts(words, here):
            run = numbers.run(words, here)
            if run is None:
                break
            out, here = out + run.text, run.last + 1
        else:
            break
        last = here
    digits = sum(map(str.isdigit, out))
    lone = letters == 1 and (words[at].text in SPELLED or words[at].text in _NOT_CODE)
    month = letters == 1 and words[at].text in _MONTHLY
    if month or letters == 0 or letters + digits < 2 or (letters == 1 and not digits and not spelled):
        return None
    if lone and not spelled and digits < 2:
        return None
    if letters == 2 and not digits and not spelled and any(w.text in _NOT_CODE for w in words[at:last]):
        return None
    return Kind.CODE, out, last, letters + digits


def _letters_follow(words: list[Word], at: int) -> bool:
    if at >= len(words):
        return False
    text = words[at].text
    if text in numbers.JOINTS and at + 1 < len(words):
        at, text = at + 1, words[at + 1].text
    if len(text) == 1 and text.isalpha() and text not in ZEROS:
        more = words[at + 1].text if at + 1 < len(words) else ""
        half = text in {"a", "p"} and more == "m"
        return not half and (text not in _NOT_CODE or len(more) == 1 or numbers.starts(words, at + 1))
    return text in SPELLED and text not in MONTHS


def _next_is_number(words: list[Word], at: int) -> bool:
    if at + 1 >= len(words):
        return False
    after = at + 2 if words[at + 1].text == "the" else at + 1
    return numbers.starts(words, after) or (
        after < len(words) and (words[after].text in ORDINALS or words[after].form == "rank")
    )


def _of_time(words: list[Word], at: int, after: int) -> bool:
    """Whether "second" is the sixtieth of a minute here."""
    if words[at].text != "second" or after != at + 1:
        return False
    return at > 0 and words[at - 1].text in _SECONDS


def _suffix(value: int) -> str:
    if value % 100 in {11, 12, 13}:
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")


def _plain(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.2f}"
