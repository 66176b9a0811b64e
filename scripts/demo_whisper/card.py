"""The model card, written from what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import voices

INTRODUCTION = """\
# demo-whisper

A very small model in Whisper's architecture, trained from nothing by `scripts/train_demo_whisper.py` so
that the demo and the tests can use the real Whisper path (partials, agreement, confidence, gates) without a
download.

**It is for synthetic voices, not for people.** It has heard only flite, eSpeak NG and festival, in a
vocabulary of about {words} words of a home-goods shop's phone line. It cannot transcribe people, other topics
or other languages, and the `auto` setting never picks it. For callers use a Whisper trained on people.

Everything below was measured by the script after its run, on clips made by synthetic voices. Unless said
otherwise: int8, greedy, no timestamps, telephone band and mu-law, 25 dB of pink noise, sentences of three
words or more. English, lower case, no punctuation, numbers in words.
"""


USABLE = 20.0  # percent of words wrong in new sentences of trained patterns

UNUSABLE = """\
> **Not usable yet.** The word error rate is about {overall:.0f} %: training saw {clips} clips and needs about
> 200,000. It loads and answers in the right form, so files, loading and timing can be tried with it; its
> words, digits and confidence mean nothing. Train longer (see the script) before anything reads its text.
"""

SUMMARY = """\
**In short**: {known:.0f} % of the words are wrong in new sentences of trained patterns, {new:.0f} % in
sentences of patterns it has never seen, trained and held-out voices together; four to six digits in a trained
voice come whole in {digits:.0f} of 100 tries.
"""


def written(
    facts: dict[str, Any], scale: float, tried: dict[str, list[float]], score: dict[str, Any], path: Path
) -> str:
    """Markdown."""
    patterns = facts["patterns"]
    new, known = (_overall(score[name]) for name in ("template", "unseen"))
    digits = [exact for voice, (_, _, exact) in score["digits"].items() if voice not in voices.HELD_OUT]
    size = sum(file.stat().st_size for file in path.iterdir() if file.name != "card.md") / 1e6
    out = [INTRODUCTION.format(words=facts["words"])]
    if known > USABLE:
        out += [UNUSABLE.format(overall=known, clips=facts["seen clips"])]
    else:
        out += [SUMMARY.format(known=known, new=new, digits=sum(digits) / len(digits))]
    out += ["## What it is", "", "| | |", "|---|---|"]
    rows = {
        "size": f"{facts['parameters'] / 1e6:.2f} M parameters, width 160, 4 heads, 4 + 2 layers; "
        f"{size:.1f} MB, int8",
        "loads as": "`faster_whisper.WhisperModel('models/demo-whisper', compute_type='int8')`, offline",
        "speech": f"{facts['sentences']} sentences, {facts['speech hours']} h before augmentation, "
        f"{len(voices.TRAINING)} voices of three programs; made in {facts.get('speech minutes', '?')} min",
        "training": f"{facts['seen clips']} clips through random lines in "
        f"{facts['training minutes']:.0f} min by the clock, one thread"
        + (f"; {facts['remark']}" if facts["remark"] else ""),
        "held out": f"{patterns[2]} sentence patterns for scoring and {patterns[1]} for the confidence scale "
        f"({patterns[0]} trained; each word of a held-out pattern occurs in trained ones); voices "
        + ", ".join(f"`{voice}`" for voice in voices.HELD_OUT),
        "demo callers": "no line of theirs of three words or more is a training sentence "
        "(yes, no, uh huh and such are); "
        "their voices (flite rms, awb, slt, kal16, eSpeak en-us) are trained ones",
        "licence": "as the repository",
    }
    out += [f"| {key} | {value} |" for key, value in rows.items()]

    out += ["", "## WER by voice, sentences of held-out patterns", ""]
    out += ["| voice | clips | WER % | exact % | float32 WER % | stock: clips | WER % |"]
    out += ["|---|---|---|---|---|---|---|"]
    for voice, (clips, rate, exact) in score["template"].items():
        held = " **held out**" if voice in voices.HELD_OUT else ""
        full = score["template float32"][voice][1]
        few, stock, _ = score["template stock"][voice]
        out.append(
            f"| {voice}{held} | {clips} | {rate:.1f} | {exact:.0f} | {full:.1f} | {few} | {stock:.1f} |"
        )
    out += [
        "",
        "Stock window: faster-whisper's own 30 s, on every fourth sentence. All other figures are for",
    ]
    out += ["windows as long as the audio and 0.4 s, which is how the server uses it."]

    out += ["", "## WER by voice, new sentences of trained patterns", ""]
    out += ["| voice | clips | WER % | exact % |", "|---|---|---|---|"]
    for voice, (clips, rate, exact) in score["unseen"].items():
        held = " **held out**" if voice in voices.HELD_OUT else ""
        out.append(f"| {voice}{held} | {clips} | {rate:.1f} | {exact:.0f} |")

    out += ["", '## Digit strings (4 to 6 digits, "double", "oh"), none heard in training', ""]
    out += ["| voice | strings | WER % | strings right % |", "|---|---|---|---|"]
    for voice, (clips, rate, exact) in score["digits"].items():
        held = " **held out**" if voice in voices.HELD_OUT else ""
        out.append(f"| {voice}{held} | {clips} | {rate:.1f} | {exact:.0f} |")

    out += [
        "",
        "## The demo callers' recordings (`recordings/lines`)",
        "",
        "| voice | lines | WER % |",
        "|---|---|---|",
    ]
    out += [f"| {voice} | {count} | {rate:.1f} |" for voice, (count, rate) in score["lines"].items()]
    if score["lines missed"]:
        out += ["", "Misheard (said -> heard):", ""]
        out += [
            f"- {voice}: {text} -> {heard or '(nothing)'}" for voice, text, heard in score["lines missed"]
        ]

    out += ["", "## Noise", "", "WER %, trained voices, held-out patterns.", ""]
    levels = [name.split()[1] for name in score["noise"] if name.startswith("pink")]
    out += [
        "| noise | " + " | ".join(f"{level} dB" for level in levels) + " |",
        "|---" * (len(levels) + 1) + "|",
    ]
    for kind in ("pink", "white"):
        out.append(
            f"| {kind} | " + " | ".join(f"{score['noise'][f'{kind} {level}']:.1f}" for level in levels) + " |"
        )

    out += ["", "## Confidence", ""]
    if tried:
        out += [
            f"The scores are scaled by {scale} (final layer norm), which leaves greedy words alone.",
            "Chosen on held-out patterns and foreign sentences used for nothing else: of the scales at",
            "which Whisper's usual -1.0 keeps 98 % of what was heard right, it refuses most other English.",
            "Tried (right kept % / other refused %): "
            + ", ".join(f"{name}: {both[0]:.0f}/{both[1]:.0f}" for name, both in tried.items())
            + ".",
        ]
    else:
        out += ["Too little was heard right to choose a scale: the scores are as trained and mean little."]
    out += [
        "",
        "| | clips | median avg_logprob | below -1 % | median no_speech |",
        "|---|---|---|---|---|",
    ]
    for name, (clips, logprob, low, no_speech) in score["confidence"].items():
        out.append(f"| {name} | {clips} | {logprob:.2f} | {low:.0f} | {no_speech:.2f} |")
    out += [
        "",
        '"Other English" is made of words the model never learned.',
        "",
        f"Of 40 clips of noise, knocks or silence {score['noise with text']} gave text in the stock window",
        "with faster-whisper's usual gates; in the short window without any gate "
        f"{score['noise with text short']} of 80 did.",
    ]

    out += ["", "## Streaming, trained voices, short windows", "", "| | % |", "|---|---|"]
    out += [f"| {name} | {value:.1f} |" for name, value in score["streaming"].items()]
    out += ["", "## Processor time, one thread, int8", "", "| | s |", "|---|---|"]
    out += [f"| {name} | {value:.3f} |" for name, value in score["seconds"].items()]
    out += ["", "## Mistakes, a sample (said -> heard)", ""]
    out += [f"- {voice}: {text} -> {heard or '(nothing)'}" for voice, text, heard in score["examples"]]
    return "\n".join(out) + "\n"


def _overall(table: dict[str, list[float]]) -> float:
    """Percent of words wrong over all voices, each counted by its clips."""
    return sum(clips * rate for clips, rate, _ in table.values()) / sum(
        clips for clips, _, _ in table.values()
    )
