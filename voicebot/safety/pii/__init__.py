"""Personal data in what callers say: read out of spoken words, found, masked. Pure; no asyncio, no SQL.

`spoken_form.normalise` reads words into written tokens that know their characters, `finding.find` says which
of them are personal and of what kind, `masking.Masker` puts tokens such as ``[card 1]`` in their place and
carries what is not finished from turn to turn. The values behind the tokens go to `core.store.vault`.
"""
