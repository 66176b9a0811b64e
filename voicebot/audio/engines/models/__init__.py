"""The models a server can have: the manifest, where each one lies, pulling and checking them.

Blocking code for the command line; nothing here runs beside a call, loads a model, or picks an engine
(``choice`` does). The only part of the server that fetches a model because an operator typed its name.
"""
