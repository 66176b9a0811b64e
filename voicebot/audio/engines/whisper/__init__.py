"""Whisper while the caller speaks: short windows, partials by agreement, one model for all calls.

Pure and synchronous: ``windows`` (how much audio and how many tokens), ``levels`` (is it still speech),
``agreement`` (which words stand), ``gate`` (which words are invented), ``pace`` (how often), ``line`` (who is
next), ``utterance`` (one caller's turn, made of these). Blocking: ``model`` (CTranslate2). The asynchronous
shell is ``transcriber``; ``engine`` is what a host loads. No gRPC here.
"""
