"""The caller makes a sound while the bot speaks: do they want the turn? Pure: facts in, a decision out.

The bot has fallen silent already; what is decided is whether it goes on. People say "mm-hm" and "okay" to
show that they listen, they cough, and televisions talk: then the answer goes on. "Stop", "wait" and "no" take
the turn at once, new words do as soon as they are believed, and where no words come, length decides: who
sounds for so long means it. An acknowledgement answers a question that is open. A decision to go on may be
taken back: the words are read to their end all the same (``takes_the_turn``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["backchannel", "noise", "echo", "interruption"]


@dataclass(frozen=True)
class OverlapRules:
    """Times in ms, levels in dB. Fitted on recorded lines of two voices (``scripts/bench/overlap.py``).

    Attributes:
        limit: the caller is never left in silence for longer than this without a decision.
        pause: silence after which what was said is taken for complete; ``pause_unvouched`` the same for words
            whose engine does not say how sure it is.
        click: voiced sound up to this length without words is a click, a knock, a cough.
        click_silence: silence behind it after which that is decided.
        murmur: sound up to this length whose words nobody believes is a backchannel.
        wordless_silence: silence after which words are no longer waited for.
        long: sound of this length without any words from the recogniser means the turn.
        acknowledging: whoever says only "yeah" and "okay" for longer than this wants to say more.
        believed: confidence from which words are believed; ``heeded`` the same for "stop" and its like while
            they go on, ``heeded_whole`` once they are over: a "stop" that is ignored costs more than a pause.
        alone: the same for a single word that is neither.
        echo: share of the sound that is our own from which it is taken for that.
        faint: so far below the caller's usual level it is somebody else, decided after ``faint_after``.
    """

    limit: int = 1100
    pause: int = 160
    pause_unvouched: int = 256
    click: int = 160
    click_silence: int = 160
    murmur: int = 640
    wordless_silence: int = 400
    long: int = 700
    acknowledging: int = 900
    believed: float = 0.5
    heeded: float = 0.3
    heeded_whole: float = 0.1
    alone: float = 0.8
    echo: float = 0.5
    faint: float = 15.0
    faint_after: int = 400


DEFAULT_RULES = OverlapRules()


@dataclass(frozen=True)
class OverlapFacts:
    """What is known in this moment.

    Attributes:
        since_ms: since the bot fell silent.
        voiced_ms: voiced sound so far.
        silence_ms: since its last voiced window.
        words: the words so far; None while none were decoded yet ("" = decoded, nothing in it).
        words_current: whether they cover everything voiced so far.
        confidence: of these words, 0..1; None: the engine gives none (then length decides more).
        below_caller_db: how far its loudest window lies below the caller's earlier turns (0: unknown).
        echo: share of the voiced sound that is our own coming back, 0..1.
        question_open: the bot asked for a yes or no, or proposed something: "mm-hm" is an answer.
        bot_done: the bot had said all it wanted to say, but for its last word at the most.
        under_way: the caller had been speaking before the bot began.
        again: they said something just before, which was not believed and gone on over.
        vouched: the engine said how sure it was while they spoke. One that does not is too sure of every
            short sound once it is over.
    """

    since_ms: int
    voiced_ms: int
    silence_ms: int
    words: str | None = None
    words_current: bool = False
    confidence: float | None = None
    below_caller_db: float = 0.0
    echo: float = 0.0
    question_open: bool = False
    bot_done: bool = False
    under_way: bool = False
    again: bool = False
    vouched: bool = True


@dataclass(frozen=True)
class OverlapDecision:
    """``verdict`` None: wait. ``why`` names the rule."""

    verdict: Verdict | None
    why: str


_COMMANDS = re.compile(
    r"\b(stop|wait|no|nope|nah|sorry|pardon|excuse|listen|hang on|hold on|hold it|hold up|one moment|"
    r"just a|shut up|be quiet|never mind|not that)\b"
)
_ACKNOWLEDGING = re.compile(
    r"ah|aha|alright|cool|fine|gotcha|good|great|h+m+|hum|huh|isee|m+|m+h+m+|oh|ok|okay|perfect|right|sure|"
    r"thanks|thankyou|uh?huh|understood|yeah|yep|yes|yup|ya"
)
_FILLER = re.compile(r"uh|uhm|um|er|erm")
_PHRASES = (("i see", "isee"), ("thank you", "thankyou"), ("uh huh", "uhhuh"))
"""Words that acknowledge only together. "Um" and "uh" alone are how people begin to speak."""

_WORD = re.compile(r"[a-z']+")


def words_of(text: str) -> list[str]:
    """Lower case, without punctuation; "mm-hm" is two words."""
    return _WORD.findall(text.lower().replace("’", "'"))


def acknowledges(text: str) -> bool:
    """Whether it only shows that somebody listens ("uh-huh", "yeah okay", "I see")."""
    words = _joined(text)
    return any(_ACKNOWLEDGING.fullmatch(word) for word in words) and not _content(text)


def commands(text: str) -> bool:
    """Whether it tells the bot to be quiet."""
    return _COMMANDS.search(" ".join(words_of(text))) is not None


def _content(text: str) -> list[str]:
    """Words that say something: neither acknowledgements nor fillers."""
    words = _joined(text)
    return [word for word in words if not (_ACKNOWLEDGING.fullmatch(word) or _FILLER.fullmatch(word))]


def _joined(text: str) -> list[str]:
    joined = " ".join(words_of(text))
    for phrase, word in _PHRASES:
        joined = re.sub(rf"\b{phrase}\b", word, joined)
    return joined.split()


def decide(facts: OverlapFacts, rules: OverlapRules = DEFAULT_RULES) -> OverlapDecision:
    """Weighs the facts. Call it at every window and whenever a fact changes, until it decides."""
    if facts.under_way:
        return OverlapDecision("interruption", "under_way")
    if facts.echo >= rules.echo:
        return OverlapDecision("echo", "echo")
    words = words_of(facts.words or "")
    decision = _by_words(facts, words, rules) if words else _by_sound(facts, rules)
    if decision.verdict is None and facts.since_ms >= rules.limit:
        return _at_the_limit(facts, words, rules)
    return decision


def takes_the_turn(facts: OverlapFacts, rules: OverlapRules = DEFAULT_RULES) -> bool:
    """Whether the final words of a sound that was passed over are a turn after all."""
    text = facts.words or ""
    if not words_of(text):
        return False
    if commands(text):
        sure = _heeded(facts, rules, complete=True) if facts.vouched else _believed(facts, rules.believed)
        return sure and not _faint(facts, rules)
    if acknowledges(text):
        return facts.question_open
    if _faint(facts, rules) or not facts.vouched:
        return False
    content = _content(text)
    return bool(content) and _believed(facts, rules.believed if len(content) > 1 else rules.alone)


def _by_words(facts: OverlapFacts, words: list[str], rules: OverlapRules) -> OverlapDecision:
    text = " ".join(words)
    complete = facts.words_current and facts.silence_ms >= rules.pause
    if _faint(facts, rules):
        if complete or facts.since_ms >= rules.faint_after:
            return OverlapDecision("noise", "faint")
        return OverlapDecision(None, "faint_so_far")
    if commands(text) and _heeded(facts, rules, complete=complete):
        return OverlapDecision("interruption", "command")
    if acknowledges(text):
        if facts.question_open:
            return OverlapDecision("interruption", "answer")
        if complete and facts.bot_done:
            return OverlapDecision("interruption", "bot_done")
        if complete:
            return OverlapDecision("backchannel", "acknowledges")
        if facts.voiced_ms >= rules.acknowledging:
            return OverlapDecision("interruption", "more_than_acknowledges")
        return OverlapDecision(None, "acknowledges_so_far")
    content = _content(text)
    # The last word of somebody who is still speaking is a guess.
    if not complete and len(content) > 1 and _believed(facts, rules.believed):
        return OverlapDecision("interruption", "words")
    if facts.voiced_ms >= rules.long:
        return OverlapDecision("interruption", "long")
    if complete and content and _believed(facts, rules.believed if len(content) > 1 else rules.alone):
        return OverlapDecision("interruption", "words")
    if complete and (facts.confidence is not None or facts.silence_ms >= rules.pause_unvouched):
        if facts.question_open or facts.voiced_ms > rules.murmur or _insists(facts):
            return OverlapDecision("interruption", "doubted_words")
        return OverlapDecision("backchannel", "murmur")
    return OverlapDecision(None, "doubted_so_far")


def _by_sound(facts: OverlapFacts, rules: OverlapRules) -> OverlapDecision:
    decoded = facts.words is not None and facts.words_current
    if decoded and facts.silence_ms >= rules.pause:
        return OverlapDecision("noise", "no_words")
    if facts.voiced_ms <= rules.click and facts.silence_ms >= rules.click_silence and not facts.again:
        return OverlapDecision("noise", "click")
    if _faint(facts, rules) and facts.since_ms >= rules.faint_after:
        return OverlapDecision("noise", "faint")
    if facts.voiced_ms >= rules.long and not _faint(facts, rules):
        return OverlapDecision("interruption", "long")
    if facts.silence_ms >= rules.wordless_silence:
        return _at_the_limit(facts, [], rules)
    return OverlapDecision(None, "no_words_so_far")


def _at_the_limit(facts: OverlapFacts, words: list[str], rules: OverlapRules) -> OverlapDecision:
    """No more waiting: what it is most likely."""
    if facts.question_open and facts.voiced_ms > rules.click:
        return OverlapDecision("interruption", "answer_unheard")
    if _faint(facts, rules):
        return OverlapDecision("noise", "faint")
    if facts.voiced_ms > rules.murmur:
        return OverlapDecision("interruption", "long")
    if words or facts.voiced_ms > rules.click:
        return OverlapDecision("backchannel", "short")
    return OverlapDecision("noise", "short")


def _heeded(facts: OverlapFacts, rules: OverlapRules, *, complete: bool) -> bool:
    if facts.confidence is None:
        return complete
    return facts.confidence >= (rules.heeded_whole if complete else rules.heeded)


def _insists(facts: OverlapFacts) -> bool:
    """Whoever was not heeded says it again, in words that somebody vouches for."""
    return facts.again and facts.confidence is not None


def _believed(facts: OverlapFacts, least: float) -> bool:
    """Words that their engine does not vouch for prove nothing: PocketSphinx reads a cough as "how long"."""
    return facts.confidence is not None and facts.confidence >= least


def _faint(facts: OverlapFacts, rules: OverlapRules) -> bool:
    return facts.below_caller_db >= rules.faint
