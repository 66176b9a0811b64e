"""Puts browser calls onto a node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import FastAPI

from voicebot.channels.browser import ice
from voicebot.channels.browser.access import BrowserAccess
from voicebot.channels.browser.gate import BrowserGate
from voicebot.channels.browser.router import CLIENT, ClientFiles, browser_router
from voicebot.channels.browser.session import BrowserSession
from voicebot.channels.legs import CallOutcome
from voicebot.channels.twilio.closing import Closing
from voicebot.channels.twilio.live import LiveSessions
from voicebot.channels.twilio.services import TwilioServices
from voicebot.channels.twilio.unwritten import Unwritten
from voicebot.core.settings import SettingsError


def add_browser(
    app: FastAPI,
    services: TwilioServices,
    live: LiveSessions,
    unwritten: Unwritten,
    run_call: Callable[[BrowserSession], Awaitable[CallOutcome]],
) -> BrowserGate:
    """Routes, page and gate.

    Args:
        app: the node's.
        services: the phone channel's.
        live: the calls of this node, with the phone's.
        unwritten: ends of calls that wait for the database, with the phone's.
        run_call: the deployment's ``pipelines/browser.py``.

    Raises:
        SettingsError: ``VOICEBOT_WEBRTC_ICE`` cannot be used.
    """
    try:
        servers = ice.parse(services.settings.webrtc_ice)
    except ice.IceRefused as error:
        raise SettingsError(f"settings cannot be used:\n  {error}") from None
    access = BrowserAccess(services.settings, insecure_local=services.insecure_local, clock=services.clock)
    gate = BrowserGate(services, live, Closing(services, unwritten), access, servers, run_call)
    app.include_router(browser_router(gate, access, servers))
    app.mount(CLIENT, ClientFiles())
    return gate
