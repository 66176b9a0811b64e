"""What a person gets who takes over: payload, summary, queue, transfer."""
