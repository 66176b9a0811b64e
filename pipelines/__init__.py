"""A call's parts in order. Edit these files to put a part of your own into a call."""
