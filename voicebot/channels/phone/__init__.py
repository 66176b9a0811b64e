"""A phone call as a pipeline of events: listening, conversing, speaking.

Audio never becomes a frame here: the listening part turns sound into turns, the speaking
part turns clauses into sound, and what runs between them is words.
"""
