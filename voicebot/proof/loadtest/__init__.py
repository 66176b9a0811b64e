"""Many synthetic callers at once over the Twilio wire, and what they make of it: how much a server holds.

The callers are those of ``simulation``, in processes of their own. What they measure comes from the sound at
their end of the line; a run whose own clocks were late says so and counts as nothing.
"""
