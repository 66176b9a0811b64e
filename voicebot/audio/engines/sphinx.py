"""PocketSphinx: the recogniser that needs no download. Streaming, with a grammar for what was asked.

A decoder is one utterance's and not thread safe, so there is a pool of them, made on demand up to a bound
and used again. Making one is cheap because it holds only the words that this deployment can hear: 70-90 ms
and 4-13 MB with its model and grammars (the whole dictionary alone: 106 ms, 29 MB). Its language model is
the deployment's phrases; its own is poor on the telephone.
"""

from __future__ import annotations

import itertools
import math
import shutil
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pocketsphinx
import structlog

from voicebot.audio.engines import grammar
from voicebot.audio.engines.phrases import (
    DEFAULT_PHRASES,
    build_language_model,
    normalise,
    read_phrases,
    select,
    weigh,
)
from voicebot.audio.engines.types import Transcript, Word
from voicebot.audio.engines.work import PlacesTaken
from voicebot.core.conversation import FREE, Expects

log = structlog.get_logger(__name__)

FREE_SEARCH = "free"
MAX_DECODERS = 32
"""Utterances at once in one host; while one speaks, a digit answer costs 0.07 of a core, free speech 0.04."""

EXTRA_PRONUNCIATIONS = {"postcode": ["P OW S T K OW D"], "refunded": ["R IY F AH N D IH D"]}
"""Words of the telephone that the dictionary lacks, in its phones."""

EXTRA_VARIANTS = {"four": ["F AO"]}
"""Other ways to say a word that the dictionary knows."""

TELEPHONE = {"S": "TH", "Z": "DH"}
"""What is left of a hiss when the line cuts off everything above 4 kHz. Each word with one is known both
ways. Measured on 128 six-digit numbers in 8 voices: whole with this, exact lengths and the word penalty 98,
without any of them 62 ("six" was heard as "eight")."""

WORD_PENALTY = 0.01
"""Word insertion probability for grammars; PocketSphinx's 0.65 hears digits that nobody said."""

TELEPHONE_MEAN = "50.8,-1.7,2.5,6.6,2.8,-6.6,-3.5,-3.3,-6.9,2.4,-4.5,1.8,-1.4"
"""Cepstral mean of upsampled telephone speech, over 96 numbers in 8 voices. Of 128 other numbers, each as the
first of its call, 95 come out whole with it and 77 with PocketSphinx's own, which is of wide-band speech."""

LINES_KEPT = 1000
"""Calls whose line is remembered; 80 bytes each."""

MAX_READINGS = 15
MAX_ALTERNATIVES = 4
"""Of the readings looked at, those that differ; all within a millisecond."""

_NO_WORD = ("<", "[", "+", "(")
"""How silence, noise and a grammar's empty transitions begin in a segmentation."""

_MS_PER_FRAME = 10


class SphinxEngine:
    """See ``RecognitionEngine``.

    Args:
        phrases: the deployment's phrases file, None for the few that every deployment has.
        places: utterances at once.
    """

    kind = "sphinx"
    threads = 2

    def __init__(self, phrases: Path | None = None, *, places: int = MAX_DECODERS) -> None:
        wanted = [*DEFAULT_PHRASES, *(weigh(read_phrases(phrases)) if phrases else ())]
        self._grammars = grammar.all_grammars()
        folder = Path(tempfile.mkdtemp(prefix="voicebot-sphinx-"))
        self._forget_folder = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        pronunciations = read_dictionary(Path(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict")))
        pronunciations |= EXTRA_PRONUNCIATIONS
        vocabulary = select((normalise(s) for s in wanted), pronunciations)
        if vocabulary.unknown:
            log.warning("words_not_in_dictionary", count=len(vocabulary.unknown), words=vocabulary.unknown)
        sentences = (*vocabulary.sentences, *_DIGIT_STRINGS)
        words = {w for s in sentences for w in s.split()}
        words |= {w for g in self._grammars for w in g.words()}
        self._dictionary = folder / "words.dict"
        write_dictionary(self._dictionary, on_the_telephone(pronunciations, words))
        self._model = folder / "phrases.arpa"
        build_language_model(sentences, self._model)
        self.model = f"en-us, {len(set(sentences))} sentences, {len(words)} words"
        self.notes = tuple(f"not in the dictionary, cannot be heard: {w}" for w in vocabulary.unknown)
        self._lines = LineMeans()
        self._places = places
        self._lock = threading.Lock()
        self._idle: list[Any] = []
        self._made = 0

    def close(self) -> None:
        """Deletes dictionary and model: no utterance may be opened afterwards."""
        self._forget_folder()

    def warm_up(self) -> None:
        """Makes the first decoder and runs each of its searches once."""
        noise = np.random.default_rng(0).normal(0, 200, 4000).astype(np.int16).tobytes()
        for expects in (FREE, Expects(kind="digits"), Expects(kind="yes_no"), Expects(kind="date")):
            decoding = self.open(expects)
            decoding.feed(noise)
            decoding.finish()
            decoding.close()

    def open(self, expects: Expects, call: str = "") -> SphinxDecoding:
        """See ``RecognitionEngine.open``."""
        with self._lock:
            decoder = self._idle.pop() if self._idle else None
            if decoder is None:
                if self._made >= self._places:
                    raise PlacesTaken(f"{self._places} utterances are being recognised")
                self._made += 1
        if decoder is None:
            try:
                decoder = self._make()
            except BaseException:
                with self._lock:
                    self._made -= 1
                raise
        try:
            return SphinxDecoding(decoder, _search_for(decoder, expects), self._give_back, self._lines, call)
        except BaseException:
            self._give_back(decoder)
            raise

    def _make(self) -> Any:
        decoder = pocketsphinx.Decoder(
            hmm=pocketsphinx.get_model_path("en-us/en-us"),
            dict=str(self._dictionary),
            lm=None,
            loglevel="FATAL",
            # Second passes at the end of an utterance. fwdflat: 80-90 ms for a few per cent. bestpath: 5 ms,
            # 5 of 24 sentences of the voice slt more; but with grammars it makes digits worse.
            fwdflat=False,
            bestpath=True,
        )
        model = pocketsphinx.NGramModel(decoder.config, decoder.logmath, str(self._model))
        decoder.add_lm(FREE_SEARCH, model)
        # A search reads the configuration when it is made.
        decoder.config["bestpath"] = False
        decoder.config["wip"] = WORD_PENALTY
        for each in self._grammars:
            decoder.add_jsgf_string(each.name, each.jsgf)
        return decoder

    def _give_back(self, decoder: Any) -> None:
        with self._lock:
            self._idle.append(decoder)


class SphinxDecoding:
    """See ``Decoding``."""

    def __init__(
        self, decoder: Any, search: str, give_back: Callable[[Any], None], lines: LineMeans, call: str
    ) -> None:
        self._decoder = decoder
        self._lines = lines
        self._call = call
        self._give_back = give_back
        self._upsampler = Upsampler()
        self._samples = 0
        self._last = ""
        self._free = search == FREE_SEARCH
        self._ended = False
        decoder.activate_search(search)
        decoder.start_stream()  # forgets the noise of whoever had it before, as set_cmn the line
        decoder.set_cmn(lines.of(call))
        decoder.start_utt()

    def feed(self, pcm16_8k: bytes) -> Transcript | None:
        """See ``Decoding.feed``."""
        self._samples += len(pcm16_8k) // 2
        self._decoder.process_raw(self._upsampler.feed(pcm16_8k), False, False)
        text = self._text()
        if text == self._last:
            return None
        self._last = text
        return Transcript(text, final=False, words=self._words(), audio_ms=self._audio_ms())

    def peek(self) -> Transcript:
        """See ``Decoding.peek``."""
        return Transcript(self._text(), final=False, words=self._words(), audio_ms=self._audio_ms())

    def finish(self) -> Transcript:
        """See ``Decoding.finish``.

        Free speech has a confidence (the mean posterior of its words; of two utterances, one right and one
        wrong, the right one has the higher in 87 of 100) and alternatives. A grammar's answer has neither:
        its lattice takes 1.5 s to read and holds nothing else, and its scores say how fast one spoke.
        """
        self._end()
        text = self._text()
        words = self._words(judged=self._free)
        if words:
            self._lines.learn(self._call, self._decoder.get_cmn(False))
        sure = [word.confidence for word in words if word.confidence is not None]
        return Transcript(
            text,
            final=True,
            words=words,
            confidence=sum(sure) / len(sure) if sure else None,
            alternatives=self._alternatives(text) if self._free and text else (),
            audio_ms=self._audio_ms(),
        )

    def close(self) -> None:
        """See ``Decoding.close``."""
        self._end()
        self._give_back(self._decoder)

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._decoder.end_utt()

    def _text(self) -> str:
        hypothesis = self._decoder.hyp()
        return hypothesis.hypstr if hypothesis is not None else ""

    def _words(self, *, judged: bool = False) -> tuple[Word, ...]:
        return tuple(
            Word(
                s.word.partition("(")[0],
                s.start_frame * _MS_PER_FRAME,
                (s.end_frame + 1) * _MS_PER_FRAME,
                min(1.0, float(s.prob)) if judged else None,
            )
            for s in self._decoder.seg() or ()
            if not s.word.startswith(_NO_WORD)
        )

    def _alternatives(self, text: str) -> tuple[str, ...]:
        readings = itertools.islice(self._decoder.nbest() or (), MAX_READINGS)
        texts = [str(r.hypstr) for r in readings if r is not None]
        others = dict.fromkeys(t for t in texts if t and t != text and not _stutters(t))
        return tuple(others)[:MAX_ALTERNATIVES]

    def _audio_ms(self) -> int:
        return self._samples * 1000 // 8000


def _stutters(text: str) -> bool:
    """A word three times running, digits aside: an artefact of the lattice, nobody's words."""
    words = text.split()
    threes = zip(words, words[1:], words[2:], strict=False)
    return any(a == b == c and a not in grammar.DIGITS for a, b, c in threes)


class LineMeans:
    """The cepstral mean of each call's line, which the decoder subtracts; from one utterance to the next.

    A decoder keeps its own from whoever had it before, so that what one caller says would depend on
    another. Kept per call instead, for the last ``LINES_KEPT`` calls, and only from utterances in which
    something was heard.
    """

    def __init__(self) -> None:
        self._means: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, call: str) -> str:
        """The mean to begin with."""
        with self._lock:
            return self._means.get(call, TELEPHONE_MEAN)

    def learn(self, call: str, mean: str) -> None:
        """What the line sounded like at the end of an utterance; a call without a name is not kept."""
        if not call:
            return
        with self._lock:
            self._means[call] = mean
            self._means.move_to_end(call)
            if len(self._means) > LINES_KEPT:
                self._means.popitem(last=False)


class Upsampler:
    """8 kHz to 16 kHz by repeating each sample.

    Deliberately crude: the images it leaves above 4 kHz look more like speech to a wide-band acoustic
    model than the empty band that a good resampler leaves (digits by the voice slt: 25 % word errors
    against 35 %).
    """

    def feed(self, pcm16_8k: bytes) -> bytes:
        """The next piece; no state is needed for this method, a better one may have some."""
        return np.repeat(np.frombuffer(pcm16_8k, dtype=np.int16), 2).tobytes()


def read_dictionary(path: Path) -> dict[str, list[str]]:
    """CMU pronunciations: word -> its lines of phones (``word(2)`` belongs to ``word``)."""
    pronunciations: dict[str, list[str]] = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            entry, _, phones = line.strip().partition(" ")
            if phones:
                pronunciations.setdefault(entry.partition("(")[0], []).append(phones.strip())
    return pronunciations


def on_the_telephone(pronunciations: dict[str, list[str]], words: Iterable[str]) -> dict[str, list[str]]:
    """The part of the dictionary that ``words`` need, each also as the telephone leaves it.

    Words without a pronunciation are left out.
    """
    heard: dict[str, list[str]] = {}
    for word in sorted(set(words)):
        clean = pronunciations.get(word, []) + EXTRA_VARIANTS.get(word, [])
        muffled = [" ".join(TELEPHONE.get(phone, phone) for phone in line.split()) for line in clean]
        if clean:
            heard[word] = list(dict.fromkeys(clean + muffled))
    return heard


def write_dictionary(path: Path, pronunciations: dict[str, list[str]]) -> None:
    """In PocketSphinx's format: ``word phones``, then ``word(2) phones``."""
    with path.open("w", encoding="utf-8") as out:
        for word, lines in pronunciations.items():
            for nth, phones in enumerate(lines, 1):
                out.write(f"{word} {phones}\n" if nth == 1 else f"{word}({nth}) {phones}\n")


def _search_for(decoder: Any, expects: Expects) -> str:
    """The name of the search; the grammar of a new length of digits is added to the decoder (1-3 ms)."""
    chosen = grammar.grammar_of(expects)
    if chosen is None:
        return FREE_SEARCH
    if decoder.get_fsg(chosen.name) is None:
        decoder.add_jsgf_string(chosen.name, chosen.jsgf)
    return chosen.name


def _digit_strings() -> list[str]:
    """Runs of digits, so that the free model hears a number too: every pair of digits occurs."""
    names = grammar.DIGITS
    return [
        " ".join(names[(start + step * nth) % len(names)] for nth in range(6))
        for start in range(len(names))
        for step in range(1, math.ceil(len(names) / 2) + 5)
    ]


_DIGIT_STRINGS = _digit_strings()
