"""Cards that are typed in on our own keypad: digits that can be wiped, and what to ask for next. Pure."""

from voicebot.safety.cards.digits import Card, Digits
from voicebot.safety.cards.entry import CardEntry, Step

__all__ = ["Card", "CardEntry", "Digits", "Step"]
