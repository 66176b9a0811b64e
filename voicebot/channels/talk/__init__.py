"""An agent at a desk speaks with a caller: the node that has the caller's media socket is the bridge.

The desk opens a socket to the node (``/api/talks/{id}/audio``) and both sides send 20 ms of mu-law; what is
to happen is decided in `voicebot.handoff.talk` and `voicebot.handoff.talks`. No WebRTC here: the browser ends
at the desk (`voicebot.channels.browser`).
"""
