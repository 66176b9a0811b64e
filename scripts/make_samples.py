"""Makes the sample calls of recordings/samples/ from the scripts that lie there, NAME.yaml.

    .venv/bin/python scripts/make_samples.py                  # all of them
    .venv/bin/python scripts/make_samples.py --only '*card*'  # some
    .venv/bin/python scripts/make_samples.py --out DIR        # elsewhere

The callers are synthetic and phone in virtual time: the real pipeline, dialogue, recogniser and recorder.
What comes out depends on the code, so they are made anew when they no longer show what they are there for.
They are sealed like any recording, under a key that lies beside them for everybody: `samples.key`.
"""

from __future__ import annotations

import argparse
import os
import sys
from fnmatch import fnmatchcase
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("LOGURU_LEVEL", "ERROR")

from voicebot.audio.recording.reader import read_recording
from voicebot.core.settings import load_settings
from voicebot.proof.replay.finding import KEY_FILE, read_key
from voicebot.proof.replay.quiet import quietly
from voicebot.proof.replay.samples import SampleMaker, read_sample
from voicebot.proof.replay.turns import turns_in

SAMPLES = Path(__file__).resolve().parent.parent / "recordings" / "samples"


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", default="*", help="a pattern of names")
    parser.add_argument("--out", type=Path, default=SAMPLES)
    options = parser.parse_args()
    quietly("samples")
    key = read_key(SAMPLES / KEY_FILE)
    options.out.mkdir(parents=True, exist_ok=True)
    scripts = [path for path in sorted(SAMPLES.glob("*.yaml")) if fnmatchcase(path.stem, options.only)]
    fine = True
    with SampleMaker.open(load_settings(stt="sphinx", tts="espeak")) as maker:
        for path in scripts:
            script = read_sample(path)
            made = maker.make(path.stem, script, options.out, key)
            turns = turns_in(read_recording(made.path, key).events)
            ended = " then ".join(f"{one.kind} ({one.reason})" for one in made.held.outcomes)
            print(f"{path.stem}: {made.held.virtual_s:.0f} s, {ended}")
            for turn in turns:
                print(f"  {turn.number} {turn.kind} {turn.words!r} -> {turn.gist} {turn.after} {turn.tools}")
                print(f"      {turn.heard!r}{'' if turn.complete else ' (cut)'}")
            for text in script.expect.missed(turns, ended) if script.expect is not None else ():
                fine = False
                print(f"  NOT AS EXPECTED: {text}")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
