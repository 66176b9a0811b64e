"""How a conversation goes: an input and a state become a draft of the turn. Pure but for the reads."""
