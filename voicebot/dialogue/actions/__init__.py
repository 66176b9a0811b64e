"""What the bot may do: typed tools, their registry, and how one is called."""
