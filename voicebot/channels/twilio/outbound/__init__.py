"""Calls that we make: placed once each, followed to their end, given to the bot when a person answers.

`answering` decides (pure), `calls` writes and asks Twilio, `hooks` are the webhooks, `keeping` the loop.
What is due and what came of it stands in `voicebot.core.store.callbacks`, the rules in
`voicebot.handoff.outbound`.
"""
