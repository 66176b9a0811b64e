"""Recorded calls through today's code: from their sound, in virtual time or over the wire; what differs."""
