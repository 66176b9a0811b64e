"""Help for the person who speaks with a caller: from the lines of both, what may be of use. Pure.

Finished lines, what the monitor reads in them and what the search found go in; a board of suggestions comes
out (`board.board`), the same on every node. No asyncio, no SQL, no sockets here. Nothing of it is ever spoken
or written to a caller by the bot: only `voicebot.console` and the composition root may import it.
"""
