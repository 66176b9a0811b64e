"""What the bot must do, as data, and runs of it against the real dialogue.

Golden conversations live in the deployment (``business/golden/*.yaml``); here are their format, the
comparison (pure), and the shell that talks to a real orchestrator on a database of its own. No sound,
no sockets, and nothing that a server under load would import.
"""
