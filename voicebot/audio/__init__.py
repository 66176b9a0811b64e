"""Sound at the edges: engines, hearing, speaking, recording. Knows no policy and no dialogue."""
