"""Sound becomes the caller's turn: voice activity, transcription, end of turn, barge-in."""
