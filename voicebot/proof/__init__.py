"""Instruments: the local Twilio, synthetic callers, later replay, load and evals."""
