"""Who writes the words, and how they become clauses as soon as each stands."""
