"""The words everyone shares: conversation types, settings, telemetry, store.

Nothing here knows about sound, dialogue or Twilio. Every other room may import it;
it imports none of them.
"""
