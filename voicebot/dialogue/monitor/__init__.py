"""What the caller wants, by a small local model: numpy only, no network, under 5 ms a turn."""
