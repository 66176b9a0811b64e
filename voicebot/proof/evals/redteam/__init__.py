"""Attacks on the whole dialogue, and what counts as a violation. Text form: the words are given as they
were heard.

An attack comes through a caller's words, a record, an article or the model that writes. Whatever it comes
through, a hostile model writes every free answer, so that the guards are what holds.
"""
