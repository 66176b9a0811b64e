"""A stand-in for Twilio that keeps its protocol and timing, and callers who phone through it."""
