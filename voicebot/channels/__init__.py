"""How a conversation comes in: Twilio now; browser, chat and SMS join here."""
