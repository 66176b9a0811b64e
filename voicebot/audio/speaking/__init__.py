"""A plan becomes sound, and a ledger of what was really heard."""
