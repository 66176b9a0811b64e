"""``python -m voicebot.proof.ears.process``: reads clauses from stdin, writes words to stdout.

JSON lines. First ``{"cues": [...], "also": [...]}``, answered by ``{"ready": true}`` or ``{"error": "..."}``;
then ``{"id": n, "ulaw": base64}``, answered in order by ``{"id": n, "text": "..."}``. Ends with its stdin.
"""

from __future__ import annotations

import base64
import json
import os
import sys

from voicebot.audio.mulaw import decode

from .recogniser import Recogniser, UnknownWordsError


def main() -> int:
    """Serves one caller."""
    os.nice(5)  # listening may lag; the call's clock may not
    asked = json.loads(sys.stdin.readline())
    try:
        recogniser = Recogniser(asked["cues"], asked["also"])
    except UnknownWordsError as error:
        _write({"error": str(error)})
        return 1
    _write({"ready": True})
    for line in sys.stdin:
        clause = json.loads(line)
        _write({"id": clause["id"], "text": recogniser.read(decode(base64.b64decode(clause["ulaw"])))})
    return 0


def _write(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
