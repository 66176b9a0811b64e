"""Trains the demo Whisper from nothing, on one core, and ships it as int8 with its card.

    pip install torch==2.13.0 ctranslate2 faster-whisper tokenizers soxr soundfile pyyaml
    apt-get install flite espeak-ng festival festvox-kallpc16k festvox-us-slt-hts festvox-kdlpc16k
    OMP_NUM_THREADS=1 python scripts/train_demo_whisper.py --work /tmp/demo-whisper

Five stages: synthetic speech, tokenizer, training, export, score. Speech and tokenizer are skipped when they
are in the work folder; training goes on from the last minute there, so a larger --clips makes a better model.
PyTorch is needed here only, so use an environment of its own. The model is for synthetic voices in demo and
tests; it is no use for people. On a free core training sees 40 to 60 clips a second.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8192")  # before PyTorch is loaded

from demo_whisper import card, corpus, grammar, measuring, tokenizer, training
from demo_whisper.export import export, scaled
from tokenizers import Tokenizer

REPOSITORY = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("/tmp/demo-whisper"), help="speech and checkpoints")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "models" / "demo-whisper")
    parser.add_argument("--sentences", type=int, default=13_000)
    parser.add_argument("--clips", type=int, default=260_000, help="to train on, repeats included")
    parser.add_argument("--remark", default="", help="about this run, for the card")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    work: Path = options.work
    work.mkdir(parents=True, exist_ok=True)
    lines = REPOSITORY / "recordings" / "lines"
    shop = grammar.load(
        REPOSITORY / "business" / "intents.yaml", [lines / "lines.yaml", lines / "texts.yaml"]
    )
    facts_file = work / "facts.json"
    facts = json.loads(facts_file.read_text()) if facts_file.exists() else {}

    def timed(stage: str, result: Path, make) -> None:
        if result.exists():
            print(f"{stage}: already there")
            return
        print(f"{stage} ...", flush=True)
        started = time.monotonic()
        make()
        facts[f"{stage} minutes"] = round((time.monotonic() - started) / 60, 1)
        facts_file.write_text(json.dumps(facts, indent=1))

    def make_speech() -> None:
        facts["patterns"] = [len(shop.training), len(shop.choosing), len(shop.scoring)]
        facts["words"] = len(shop.vocabulary)
        corpus.make(shop, options.sentences, work, options.seed)

    timed("speech", work / "training.json", make_speech)
    tokens = work / "tokenizer.json"
    timed("tokenizer", tokens, lambda: tokenizer.train(shop, tokens, options.seed))
    # The demo callers' lines may have changed since the speech was made.
    clips = [
        clip
        for clip in corpus.load(work / "training")
        if len(clip.text.split()) < 3 or clip.text not in shop.reserved
    ]
    checkpoint = work / "model.pt"
    print("training ...", flush=True)
    plan = training.Plan(clips=options.clips, seed=options.seed)
    seen, minutes = training.train(clips, Tokenizer.from_file(str(tokens)), plan, checkpoint)
    facts["seen clips"], facts["training minutes"] = seen, round(minutes, 1)
    facts["speech hours"] = round(corpus.seconds(clips) / 3600, 1)
    facts["sentences"] = len(clips)
    facts["remark"] = options.remark
    model = training.restore(checkpoint)
    facts["parameters"] = model.parameter_count()

    print("confidence scale ...", flush=True)
    scale, tried = measuring.choose_scale(model, tokens, work)
    print(f"  {scale}; tried {tried}", flush=True)
    export(scaled(model, scale), tokens, options.out)
    export(scaled(model, scale), tokens, work / "float32", quantization=None)
    print("score ...", flush=True)
    score = measuring.measure(options.out, work / "float32", work, lines)
    (work / "score.json").write_text(
        json.dumps({"facts": facts, "scale": scale, "tried": tried, **score}, indent=1)
    )
    (options.out / "card.md").write_text(card.written(facts, scale, tried, score, options.out))
    print((options.out / "card.md").read_text())


if __name__ == "__main__":
    main()
