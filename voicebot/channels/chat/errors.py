"""What a chat message can run into. Each says what the customer, or his program, can do."""

from __future__ import annotations


class ChatError(Exception):
    """Base: ``status`` for HTTP, ``code`` for programs, the text for people."""

    status = 500
    code = "failed"
    retry_after_s: int | None = None


class MessageRefused(ChatError):
    """The message cannot be used as it is."""

    status = 422
    code = "message_refused"


class UnknownChat(ChatError):
    """No chat has this id (those of other channels do not count)."""

    status = 404
    code = "unknown_conversation"

    def __init__(self) -> None:
        super().__init__("no such conversation: send conversation_id null to begin one")


class ChatOver(ChatError):
    """The chat has ended, by a goodbye or by silence."""

    status = 410
    code = "conversation_ended"

    def __init__(self) -> None:
        super().__init__("this conversation has ended: send conversation_id null to begin a new one")


class ChatCrowded(ChatError):
    """Too many messages at once, for one conversation or from one address."""

    status = 429
    code = "too_many_messages"

    def __init__(self, retry_after_s: int = 1) -> None:
        super().__init__(f"too many messages at once: wait {retry_after_s} s, then send it again")
        self.retry_after_s = retry_after_s


class ChatUnavailable(ChatError):
    """The server cannot answer now. What was written before is kept."""

    status = 503
    code = "unavailable"
    retry_after_s = 5


class ChatFailed(ChatError):
    """A fault of ours, already logged."""

    status = 500
    code = "failed"

    def __init__(self) -> None:
        super().__init__("something went wrong here: send the message again, or ask for a person")
