"""Warm transfer on Twilio: documents, webhooks, and what is done by REST.

What follows from what is decided in `voicebot.handoff.transfer`, which is pure; here is only how Twilio
tells it and how it is told to Twilio.
"""
