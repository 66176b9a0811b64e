"""A caller is put through to a person: every state, every sign, what is to be done. Pure: no I/O, no clock.

The caller waits in a room (a Twilio conference). One person after the other is rung, hears what it is
about, and presses 1 to take the call or 2 not to. Who takes it joins the room; if nobody does, the bot
gets the caller back.

    requested -> ringing -> briefing -> accepted -> bridged
        |           |           |           |          |        the caller may leave at any time: caller_left
        +-----------+-----------+-----------+----------+--> busy, no_answer, declined, agent_left, failed:
                                                            the next destination, or the caller comes back
    busy, no_answer, declined, agent_left, failed, cancelled -> returned
    all of these -> taken -> at_desk: somebody at a desk has the call, and speaks over the media socket

`states` what is remembered, `signs` what happens, `effects` what is to be done, `machine` the steps.
"""
