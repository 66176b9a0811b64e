"""What may be done and said: guardrails, policy, identity, access. Decisions are pure."""
