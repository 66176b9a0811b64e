"""The hash chain over the audit: what was done, refused and read cannot be changed unnoticed.

`form` says what is hashed (pure), `sealing` holds the keys, `linking` appends a transaction's rows at its
commit, `walking` judges link after link (pure), `verifying` does so for a whole database, `anchors` writes
the heads into a file outside it, `pruning` deletes what is too old and signs for it, `adopting` takes in
the rows of before the chain. `voicebot.core.store.audit` is what others call.
"""
