"""The master key of every test."""

MASTER_KEY = bytes(range(32))
