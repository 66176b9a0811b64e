"""Names: what a caller calls himself, spelled or not, and how alike two names are. Pure.

Limits are measured (`scripts/bench/identity.py`): a recogniser writes a name as it sounds, so two names agree
if they sound alike and few letters differ; short names must agree in every letter of their sound.
"""

from __future__ import annotations

import re
import unicodedata

from voicebot.core.number_words import SPELLED
from voicebot.safety.pii.spoken_form import normalise
from voicebot.safety.pii.words import Kind

_WIDTH = 24
"""Letters of a name that are compared; every comparison fills the whole table."""
_CARRIERS = re.compile(
    r"\b(?:(?:(?:my|the|full|first|last|family|sur)\s*)+name(?:s| is|'s)?|name(?: is|'s)?|i am|i'm|it is|it's"
    r"|this is|that is|that's|speaking|call me|here|under|for|please|yes|yeah|um|uh|er|well|sure|okay|ok"
    r"|mister|missus|miss|mrs|mr|ms|doctor|dr|spelled|spelt|spelling|as in|capital|the|is|and|so)\b",
    re.IGNORECASE,
)
_SPELT_OUT = re.compile(r"\b([a-z])\s+(?:for|as in|like)\s+([a-z]+)\b", re.IGNORECASE)
_DOUBLE = re.compile(r"\bdouble\s+([a-z])\b", re.IGNORECASE)
_SHORT = 4
_MOST = 4
"""Words a name has at most."""


def said_names(text: str) -> tuple[str, ...]:
    """Names that the words can mean, likeliest first: spelled letters before words.

    >>> said_names("my name is Ana Adams")
    ('ana adams',)
    >>> said_names("it's B for Bravo, A, K, E, R")[0]
    'baker'
    """
    found: list[str] = []
    words = _words(text)
    spelled, plain = _spelled(text)
    if spelled:
        found.append(" ".join((*[word for word in plain if word not in spelled][:2], *spelled)))
        found.append(" ".join(spelled))
    if words and len(words) <= _MOST and not spelled:
        found.append(" ".join(words))
    return tuple(dict.fromkeys(name for name in found if len(name) > 1))


def introduces(text: str) -> bool:
    """Whether the words say plainly that a name follows, or spell one."""
    own = re.search(r"\b(?:name(?:'s| is)|i am|i'm|this is|it's)\b", text, re.IGNORECASE) is not None
    return bool(_spelled(text)[0]) or (own and bool(said_names(text)))


def same_name(said: str, held: str) -> bool:
    """Whether what was said is the name that is held: each part of the held name, in any order.

    Compares every part with every part, and each comparison takes the same steps whatever the letters.
    """
    parts, owns = _parts(said)[:_MOST], _parts(held)[:_MOST]
    agreed = [[alike(one, own) for one in parts] for own in owns]
    return bool(owns) and len(parts) >= len(owns) and _assigned(agreed, len(parts))


def alike(said: str, held: str) -> bool:
    """Whether two single names are the same one, as far as a recogniser can tell.

    The vowels of a short name count: Dan is not Don.
    """
    edits = distance(said, held)
    short = min(len(said), len(held)) <= _SHORT
    sounds = sound(said, vowels=short) == sound(held, vowels=short)
    return edits == 0 or (sounds and edits <= (1 if short else 2))


def sound(name: str, *, vowels: bool = False) -> str:
    """How a name sounds in English, roughly: consonants in classes, vowels as one mark where they stand.

    ``vowels``: which vowel it is counts.

    >>> sound("stephen") == sound("steven"), sound("dan", vowels=True) == sound("don", vowels=True)
    (True, False)
    """
    text = name
    for old, new in _SPELLINGS:
        text = re.sub(old, new, text)
    text = re.sub(r"(?<=..)e$", "", re.sub(r"ee|ei|ea|ie", "e", text).replace("y", "i")) if vowels else text
    text = text if vowels else re.sub(r"[aeiouy]+", "a", text)
    text = re.sub(r"(.)\1+", r"\1", text)
    return text if vowels else re.sub(r"(?<=.)a$", "", text)


_SPELLINGS = (
    (r"^kn|^gn|^pn", "n"), (r"^wr", "r"), (r"^x", "s"), (r"ph", "f"), (r"tch", "ch"), (r"sch", "sh"),
    (r"ck|q|c(?=[aoulrktn]|$)", "k"), (r"c(?=[eiy])", "s"), (r"x", "ks"), (r"z", "s"),
    (r"(?<=[aeiou])gh", ""),
    (r"(?<=[aeiou])h(?![aeiou])", ""), (r"(?<=[^aeiouscpt])h", ""), (r"dg|j", "j"),
    (r"(?<=[aeiou])w(?![aeiou])", ""), (r"th(?=[mo])", "t"), (r"v", "f"),
)  # fmt: skip


def distance(one: str, other: str) -> int:
    """Letters to add, drop, change or swap with their neighbour (Damerau and Levenshtein).

    Both are padded to one width and the whole table is filled, so that its time tells nothing of the letters.
    """
    a, b = one[:_WIDTH].ljust(_WIDTH, "\0"), other[:_WIDTH].ljust(_WIDTH, "\1")
    before, last = list(range(_WIDTH + 1)), list(range(_WIDTH + 1))
    answer = last
    for i in range(1, _WIDTH + 1):
        row = [i] + [0] * _WIDTH
        for j in range(1, _WIDTH + 1):
            cost = int(a[i - 1] != b[j - 1])
            row[j] = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + cost)
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                row[j] = min(row[j], before[j - 2] + 1)
        before, last = last, row
        if i == len(one[:_WIDTH]):
            answer = row
    return answer[len(other[:_WIDTH])]


def _assigned(agreed: list[list[bool]], said: int) -> bool:
    """Whether each held part has a said part of its own."""
    free = {frozenset[int]()}
    for row in agreed:
        free = {taken | {at} for taken in free for at in range(said) if row[at] and at not in taken}
    return bool(free)


def _parts(name: str) -> list[str]:
    flat = unicodedata.normalize("NFKD", name.lower())
    bare = "".join(c for c in flat if not unicodedata.combining(c))
    return re.findall(r"[a-z]+", bare.replace("'", "").replace("’", ""))


def _words(text: str) -> list[str]:
    return _parts(_CARRIERS.sub(" ", text.replace("’", "'")))


def _letter(found: re.Match[str]) -> str:
    letter, word = str(found[1]), str(found[2])
    return letter if word.startswith(letter) else str(found[0])


def _letter_of(word: str) -> str:
    return SPELLED.get(word, word)


def _spelled(text: str) -> tuple[list[str], list[str]]:
    """Names spelled letter by letter, and the words beside them."""
    spaced = _DOUBLE.sub(r"\1 \1", text.lower())
    spaced = _SPELT_OUT.sub(_letter, spaced)
    spaced = re.sub(r"(?<=\b[a-z])[-.](?=[a-z]\b)", " ", spaced)
    tokens = normalise(re.sub(r"[,.]", " ", spaced))
    spelled: list[str] = []
    words: list[str] = []
    for token in tokens:
        if token.kind is Kind.CODE and token.text.isalpha() and len(token.text) > 1:
            spelled.append(token.text)
        elif token.kind is Kind.WORD:
            words.append(token.text)
    letters = [str(w) for w in re.findall(r"[a-z]+", spaced) if len(w) == 1 or w in SPELLED]
    if not spelled and len(letters) >= 3:
        spelled = ["".join(map(_letter_of, letters))]
    return spelled, _words(" ".join(word for word in words if len(word) > 1 and word not in SPELLED))
