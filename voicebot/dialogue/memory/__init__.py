"""What is known of a customer beyond this conversation, and who may use it for what.

Nothing here is reached without the identity gate: every way in takes a `VerifiedCustomer`.
"""
