"""The parts of `scripts/make_turn_corpus.py` and `scripts/fit_endpointing.py`: from turns to score."""
