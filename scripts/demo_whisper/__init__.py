"""The parts of `scripts/train_demo_whisper.py`: from sentences to score."""
