"""E-mail and web addresses out of words: "a dot b at g mail dot com". Pure."""

from __future__ import annotations

from voicebot.core.number_words import SPELLED
from voicebot.safety.pii.numbers import FILLERS, SMALL, STARTS, run, starts
from voicebot.safety.pii.words import Word, listed

TOP_LEVEL = listed(
    "com net org edu gov io ai co uk us ca de fr es it nl eu info biz dev app me tv au nz ie ch at jp in"
)
_CONNECTORS = {"dot": ".", "underscore": "_", "dash": "-", "hyphen": "-", "plus": "+", "minus": "-",
               ".": ".", "_": "_", "-": "-", "+": "+", "period": "."}  # fmt: skip
_AT = frozenset({"at", "@"})
_STOP = listed(
    "is it its it's my mine email e mail address to send sent the reach me on you can use under that "
    "would be yes sure please with for from i'm so well name contact was he's she's they're here there "
    "here's that's okay ok hi hello write account login user username one's just right yeah no not in of "
    "have has got want i"
)
_DETERMINERS = frozenset({"the", "my", "this", "your", "our"})
_LOCAL = 10
_NAMES = 2
"""Words side by side in front of the "at": a first name and a last name."""
_LABELS = 6
_LETTERS = 24


def email(words: list[Word], at: int) -> tuple[str, int, int] | None:
    """The address around an "at" at place ``at``: the address, its first place and the place behind it."""
    if words[at].text not in _AT or at == 0:
        return None
    host = _host(words, at + 1)
    if host is None or "." not in host[0]:
        return None
    first, parts, after_connector, plains = at, [], True, 0
    while first > 0 and len(parts) < _LOCAL + _LETTERS:
        word = words[first - 1]
        if word.text in _CONNECTORS:
            if after_connector:
                break
            parts.append(_CONNECTORS[word.text])
            after_connector, first = True, first - 1
            continue
        if word.text in FILLERS:
            first -= 1
            continue
        single = len(word.text) == 1
        if word.text in _STOP and not (single and first > 1 and _spells(words, first)):
            break
        plain = not (single or starts(words, first - 1) or word.text in SMALL)
        if plain and plains >= _NAMES and not after_connector:
            break
        plains += plain
        parts.append(word.text)
        after_connector, first = False, first - 1
    begin = first
    while begin < at and (words[begin].text in FILLERS or words[begin].text in _CONNECTORS):
        begin += 1
    local = _joined(words, begin, at)
    return (f"{local}@{host[0]}", begin, host[1]) if local else None


def url(words: list[Word], at: int) -> tuple[str, int] | None:
    """A web address that begins here."""
    here, scheme = at, ""
    letters = "".join(word.text for word in words[at : at + 5])
    for name in ("https", "http"):
        if letters.startswith(name) and all(len(w.text) == 1 for w in words[at : at + len(name)]):
            here, scheme = at + len(name), name
            break
        if words[at].text == name:
            here, scheme = at + 1, name
            break
    if scheme:
        if [word.text for word in words[here : here + 3]] != ["colon", "slash", "slash"]:
            return None
        here, scheme = here + 3, f"{scheme}://"
    host = _host(words, here)
    if host is None or "." not in host[0]:
        return None
    text, here = host
    known = text.rpartition(".")[2] in TOP_LEVEL or scheme or text.startswith("www.")
    if not known and len(words[at].text) > 1:
        return None
    while here + 1 < len(words) and words[here].text in {"slash", "/"}:
        end = here + 1
        while (
            end < len(words) and (len(words[end].text) == 1 or end == here + 1) and words[end].text != "slash"
        ):
            end += 1
            if len(words[end - 1].text) > 1:
                break
        text, here = f"{text}/{_joined(words, here + 1, end)}", end
    return scheme + text, here


def _host(words: list[Word], at: int) -> tuple[str, int] | None:
    """Labels with dots between them."""
    labels: list[str] = []
    here = at
    while len(labels) < _LABELS:
        end = here
        while end < len(words) and words[end].text not in {"dot", "."}:
            word = words[end].text
            if (
                word in _DETERMINERS
                or not (word.isalnum() or word in {"dash", "hyphen", "-"})
                or word in {"slash", "at"}
            ):
                break
            end += 1
            if end - here > (_LETTERS if len(word) == 1 else 4):
                break
        dot = end < len(words) and words[end].text in {"dot", "."} and end + 1 < len(words)
        if dot and end > here and (labels or not _wordy(words, here, end)):
            labels.append(_joined(words, here, end))
            here = end + 1
            continue
        if not labels:
            return None
        last = here + 1
        if here < len(words) and len(words[here].text) == 1:
            while last < len(words) and len(words[last].text) == 1 and last - here < 4:
                last += 1
        if here >= len(words) or not words[here].text.isalnum():
            return None
        labels.append(_joined(words, here, last))
        return ".".join(labels), last
    return None


def _wordy(words: list[Word], here: int, end: int) -> bool:
    """More words than a label has."""
    return sum(len(word.text) > 1 for word in words[here:end]) > 3


def _spells(words: list[Word], first: int) -> bool:
    """Whether a single letter before place ``first`` belongs to letters that are being spelled."""
    return len(words[first].text) == 1 or words[first].text in _CONNECTORS or words[first].text in SPELLED


def _digit_beside(words: list[Word], at: int, begin: int, end: int) -> bool:
    """Whether an "o" stands beside a digit, and so is a zero."""
    beside = [words[one] for one in (at - 1, at + 1) if begin <= one < end]
    return any(word.form == "figure" or (word.text != "o" and word.text in STARTS) for word in beside)


def _joined(words: list[Word], begin: int, end: int) -> str:
    out, here = "", begin
    while here < end:
        word = words[here].text
        spelled = word == "o" and not _digit_beside(words, here, begin, end)
        if starts(words, here) and not spelled:
            read = run(words[:end], here)
            if read is not None:
                out, here = out + read.text, read.last + 1
                continue
        out += "" if word in FILLERS else _CONNECTORS.get(word, word)
        here += 1
    return out
