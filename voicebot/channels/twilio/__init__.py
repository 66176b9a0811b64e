"""Twilio: wire codec, webhooks, media socket, REST."""
