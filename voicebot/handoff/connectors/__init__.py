"""Where handoffs go besides the queue of this server, behind one interface (`connector`).

`webhook` sends them, signed, to a system outside; the built-in one is the queue itself. `deliveries` is the
only place that sends. No connector decides who has a handoff: that is `voicebot.core.store.handoffs.claim`.
"""
