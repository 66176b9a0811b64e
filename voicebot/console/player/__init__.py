"""Recordings to look at and listen to: the list, one call on one timeline, its sound and replay. REST."""
