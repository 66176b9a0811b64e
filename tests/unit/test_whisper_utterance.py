"""One utterance: words as they are spoken, nothing decoded for silence, bounded however long it is."""

from __future__ import annotations

import numpy as np
import pytest

from tests.whisper_kit import GAP_MS, VOCABULARY, WORD_MS, ToneReader, packets, silence, spoken
from voicebot.audio.engines.types import Transcript
from voicebot.audio.engines.whisper import windows
from voicebot.audio.engines.whisper.agreement import HeardWord
from voicebot.audio.engines.whisper.line import Urgency
from voicebot.audio.engines.whisper.model import Reading
from voicebot.audio.engines.whisper.utterance import Utterance
from voicebot.core.conversation import FREE, Expects

PARTIAL_MS = 400
SENTENCE = "where is my order please can you tell me"


def _feed(utterance: Utterance, reader: ToneReader, pcm: bytes) -> list[Transcript]:
    """Feeds it as a caller's audio comes and decodes whenever it says so."""
    heard = []
    for packet in packets(pcm):
        utterance.feed(packet)
        if utterance.due(PARTIAL_MS) is not None:
            asked = utterance.ask(final=False)
            if utterance.hear(asked, reader.read([asked.window])[0]):
                heard.append(utterance.transcript(final=False))
    return heard


def _finish(utterance: Utterance, reader: ToneReader) -> Transcript:
    if not utterance.settled():
        asked = utterance.ask(final=True)
        utterance.hear(asked, reader.read([asked.window])[0])
    return utterance.transcript(final=True)


def test_partials_grow_and_the_final_is_what_was_said() -> None:
    utterance, reader = Utterance(FREE), ToneReader()
    partials = _feed(utterance, reader, spoken(SENTENCE, trail_ms=200))
    final = _finish(utterance, reader)
    assert final.text == SENTENCE
    assert len(partials) >= 5
    assert [len(p.words) for p in partials] == sorted(len(p.words) for p in partials)
    for partial in partials:
        standing = " ".join(w.text for w in partial.words[: partial.standing])
        assert SENTENCE.startswith(standing)
    assert max(p.standing for p in partials[:-1]) >= 5


def test_standing_words_are_forced_so_that_only_new_ones_are_decoded() -> None:
    utterance, reader = Utterance(FREE), ToneReader()
    _feed(utterance, reader, spoken(SENTENCE))
    forced = [len(w.standing) for w in reader.windows]
    assert forced[0] == 0
    assert forced == sorted(forced)
    assert forced[-1] >= 5


def test_the_tail_is_read_in_the_first_silence_and_more_silence_never_costs_a_decode() -> None:
    utterance, reader = Utterance(FREE), ToneReader()
    _feed(utterance, reader, spoken(SENTENCE, trail_ms=160))
    assert utterance.settled()
    count = len(reader.windows)
    _feed(utterance, reader, silence(3000))
    assert _finish(utterance, reader).text == SENTENCE
    assert len(reader.windows) == count


def test_a_tail_is_urgent_and_a_partial_is_not() -> None:
    utterance = Utterance(FREE)
    utterance.feed(spoken("where is my"))
    assert utterance.due(PARTIAL_MS) is Urgency.PARTIAL
    utterance.feed(silence(100))
    assert utterance.due(PARTIAL_MS) is Urgency.PEEK


@pytest.mark.parametrize("noise_level", [0, 60, 250])
def test_noise_of_the_line_is_silence_too(noise_level: int) -> None:
    """Speech over noise, then 5 s of the noise alone: read once when it ends, never again."""
    rng = np.random.default_rng(3)
    speech = np.frombuffer(spoken(SENTENCE, trail_ms=5000), np.int16)
    noisy = (speech + rng.normal(0, noise_level, speech.size)).astype(np.int16)
    utterance, asked_at = Utterance(FREE), []
    reading = Reading((HeardWord("where", (0,), 0, 300, 0.9),), -0.2, 0.01)
    for packet in packets(noisy.tobytes()):
        utterance.feed(packet)
        if utterance.due(PARTIAL_MS) is not None:
            asked_at.append(utterance.fed_ms)
            utterance.hear(utterance.ask(final=False), reading)
    speech_ends = utterance.fed_ms - 5000
    assert asked_at[-1] <= speech_ends + 240
    assert utterance.settled()


@pytest.mark.parametrize("pcm", [b"", b"\x00", silence(2000)])
def test_nothing_said_is_nothing_decoded(pcm: bytes) -> None:
    utterance, reader = Utterance(FREE), ToneReader()
    _feed(utterance, reader, pcm)
    final = _finish(utterance, reader)
    assert (final.text, final.words, final.no_speech_prob, reader.windows) == ("", (), 1.0, [])


def test_speech_after_a_pause_is_read_again() -> None:
    utterance, reader = Utterance(FREE), ToneReader()
    _feed(utterance, reader, spoken("where is", trail_ms=500))
    assert utterance.settled()
    utterance.feed(spoken("my order", lead_ms=0))
    assert not utterance.settled()
    assert _finish(utterance, reader).text == "where is my order"


def test_words_have_times_from_the_first_sample() -> None:
    utterance, reader = Utterance(FREE), ToneReader()
    _feed(utterance, reader, spoken(SENTENCE, lead_ms=300, trail_ms=200))
    words = _finish(utterance, reader).words
    assert [w.start_ms for w in words] == [300 + n * (WORD_MS + GAP_MS) for n in range(len(words))]


def test_other_readings_come_when_they_were_asked_for() -> None:
    for expects, wanted in ((FREE, 0), (Expects(kind="digits", length=4), 4), (Expects(kind="name"), 4)):
        utterance, reader = Utterance(expects), ToneReader()
        _feed(utterance, reader, spoken("one two three four", trail_ms=200))
        assert len(_finish(utterance, reader).alternatives) == wanted
        assert any(w.readings > 1 for w in reader.windows) == bool(wanted)


def test_ten_minutes_without_a_pause_stay_bounded_and_complete() -> None:
    """Every word once, windows never long, memory that of a window."""
    rng = np.random.default_rng(5)
    text = " ".join(VOCABULARY[n] for n in rng.permutation(np.tile(np.arange(len(VOCABULARY)), 44))[:1500])
    utterance, reader = Utterance(FREE), ToneReader()
    utterance.feed(silence(300))
    for word in text.split():
        _feed(utterance, reader, spoken(word, lead_ms=0))
        reader.batches[:-1] = []
        assert utterance.held_ms <= windows.TRIM_ABOVE_MS + 3000
    final = _finish(utterance, reader)
    assert final.audio_ms == 300 + 1500 * (WORD_MS + GAP_MS)
    assert final.text == text
    starts = [w.start_ms for w in final.words]
    assert starts == sorted(starts)
    assert abs(starts[-1] - (final.audio_ms - WORD_MS - GAP_MS)) < 100


def test_a_model_that_falls_behind_loses_the_oldest_audio_and_says_so() -> None:
    utterance, reader = Utterance(FREE), ToneReader()
    _feed(utterance, reader, spoken("where is my"))
    for n in range(60):
        utterance.feed(spoken(VOCABULARY[n % 20], lead_ms=0) + silence(400))
    assert utterance.held_ms <= 30_000
    assert utterance.lost_ms > 10_000
    final = _finish(utterance, reader)
    assert final.text.startswith("where is")
    assert final.text.endswith(" ".join(VOCABULARY[10:20]))


def test_invented_words_are_an_empty_transcript_with_its_signals() -> None:
    utterance = Utterance(FREE)
    utterance.feed(spoken("where", trail_ms=100))
    asked = utterance.ask(final=True)
    words = tuple(HeardWord(w, (n,)) for n, w in enumerate(["thanks", "for", "watching"]))
    assert not utterance.hear(asked, Reading(words, -1.3, 0.8))
    final = utterance.transcript(final=True)
    assert final.text == ""
    assert (final.avg_logprob, final.no_speech_prob) == (-1.3, 0.8)
    assert final.confidence == 0.0
    assert sum(utterance.stopped.values()) == 1
    assert final.dropped == "no_speech"


def test_words_that_are_believed_after_all_were_not_dropped() -> None:
    """The end is read again when the caller went on: what counts is the last reading."""
    utterance = Utterance(FREE)
    utterance.feed(spoken("where", trail_ms=100))
    invented = tuple(HeardWord(w, (n,)) for n, w in enumerate(["thanks", "for", "watching"]))
    utterance.hear(utterance.ask(final=True), Reading(invented, -0.2, 0.1))
    assert utterance.transcript(final=False).dropped == "too_much_text"
    utterance.feed(spoken("is", trail_ms=100))
    words = (HeardWord("where", (1,)), HeardWord("is", (2,)))
    utterance.hear(utterance.ask(final=True), Reading(words, -0.2, 0.1, language="de", language_prob=0.9))
    final = utterance.transcript(final=True)
    assert (final.text, final.dropped) == ("where is", None)
    assert (final.language, final.language_prob) == ("de", 0.9)
