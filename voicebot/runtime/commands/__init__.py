"""Groups of the `voicebot` command, one module for each; each imports what it needs when it is called."""
