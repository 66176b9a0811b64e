"""One typed settings class, read once at start from the environment and ``.env``.

An unknown ``VOICEBOT_*`` name is refused, so that a misspelt setting never passes for a
default. ``voicebot doctor`` prints what is in force, secrets masked.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from dotenv import dotenv_values
from pydantic import Field, SecretStr, StringConstraints, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "VOICEBOT_"

# Read by our own scripts and child processes, not part of the server's settings.
_OTHER_NAMES = frozenset({"VOICEBOT_LOG_LEVEL", "VOICEBOT_ENV_FILE"})

_PASSWORD_CHARS = 12

PhoneNumber = Annotated[str, StringConstraints(pattern=r"^\+[1-9]\d{4,14}$")]


class SettingsError(Exception):
    """The settings cannot be used; the message names each one and what to write instead."""


class Settings(BaseSettings):
    """Everything that can be set.

    Names in the environment are the upper-case field names, with ``VOICEBOT_`` in front except where
    ``validation_alias`` says otherwise.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True, populate_by_name=True
    )

    stt: str = Field("auto", description="auto | whisper:NAME_OR_DIR | sphinx | pipecat:SERVICE")
    tts: str = Field("auto", description="auto | piper:VOICE_OR_PATH | espeak")
    llm: str = Field("grounded", description="grounded | openai:MODEL | anthropic:MODEL")
    llm_strong: str | None = Field(
        None, description="as VOICEBOT_LLM, for what policy routes to the strong model"
    )
    embedding: str = Field("auto", description="auto | blend | lsa | minilm: finds articles by meaning")
    data_dir: Path = Field(Path(".voicebot"), description="database, keys, recordings, models")
    deployment: Path = Field(Path("."), description="folder with pipelines/, tools/, business/")
    public_url: str | None = Field(None, description="https://... as Twilio reaches this server")
    desk_url: str | None = Field(None, description="where the desk process answers")
    api_token: SecretStr | None = Field(None, description="bearer token of /api")
    handoff_secret: SecretStr | None = Field(
        None, description="signs what is sent to the webhook of business/people.yaml"
    )
    master_key: SecretStr | None = Field(None, description="32 bytes, base64 or hex; wraps all other keys")
    fallback_number: PhoneNumber | None = Field(None, description="a person, in E.164")
    nats_url: str | None = Field(
        None, description="nats://... for live transcripts between machines (Postgres without it)"
    )
    models_mirror: str | None = Field(None, description="a hub to pull models from instead of huggingface.co")
    language: str = Field("en", description="language of recognition and speech")
    speculation: str = Field("on", description="on | off: turns are planned before they have ended")
    silence_s: float = Field(7.0, gt=1, le=60, description="seconds of caller silence before asking")
    drain_s: float = Field(300.0, gt=0, description="seconds that calls may go on after SIGTERM")
    max_calls: int = Field(40, ge=1, description="calls one node takes before it says it is full")
    admission: Literal["learned", "configured"] = Field(
        "learned", description="learned | configured: do calls bound each other by what they cost"
    )
    when_full: Literal["person", "busy", "queue"] = Field(
        "person", description="person | busy | queue: what a new caller gets when there is no room"
    )

    audit_days: int = Field(2555, ge=1, description="days that the audit of acts and refusals is kept")
    access_log_days: int = Field(365, ge=1, description="days that the log of reads is kept")

    chat: str = Field("off", description="off | open: customers' text chat under /chat")
    chat_origins: str = Field("", description="https://shop.example, ...: pages of others that may use /chat")
    chat_idle_s: float = Field(1800.0, ge=60, description="seconds of silence after which a chat is over")
    browser: str = Field("off", description="off | password | open: calls from a browser at /")
    browser_password: SecretStr | None = Field(
        None, description="what a caller types in, with VOICEBOT_BROWSER=password; at least 12 characters"
    )
    browser_calls: int = Field(10, ge=1, description="browser calls one node takes at once")
    webrtc_ice: str = Field(
        "", description="stun:... and turn:... with commas, or a JSON list with user names: for browser calls"
    )
    proxies: int = Field(0, ge=0, le=5, description="reverse proxies in front, whose X-Forwarded-For counts")

    twilio_api: str = Field("https://api.twilio.com", description="base URL of Twilio's REST API")
    twilio_account_sid: str | None = Field(None, validation_alias="TWILIO_ACCOUNT_SID")
    twilio_auth_token: SecretStr | None = Field(None, validation_alias="TWILIO_AUTH_TOKEN")
    pay_connector: str = Field("Default", description="unique name of the Twilio account's <Pay> connector")
    card_processor: str | None = Field(None, description="https://... that charges cards (`cards: keypad`)")
    card_processor_token: SecretStr | None = Field(None, description="bearer token of the card processor")
    database_url: SecretStr | None = Field(None, validation_alias="DATABASE_URL")
    openai_base_url: str | None = Field(None, validation_alias="OPENAI_BASE_URL")
    openai_api_key: SecretStr | None = Field(None, validation_alias="OPENAI_API_KEY")
    anthropic_base_url: str | None = Field(None, validation_alias="ANTHROPIC_BASE_URL")
    anthropic_api_key: SecretStr | None = Field(None, validation_alias="ANTHROPIC_API_KEY")

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.match(r"^postgres(ql)?://", value.get_secret_value()):
            raise ValueError("must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
        return value

    @field_validator("stt")
    @classmethod
    def _stt_known(cls, value: str) -> str:
        return _choice(value, {"auto", "sphinx"}, {"whisper", "pipecat"})

    @field_validator("tts")
    @classmethod
    def _tts_known(cls, value: str) -> str:
        return _choice(value, {"auto", "espeak"}, {"piper"})

    @field_validator("llm")
    @classmethod
    def _llm_known(cls, value: str) -> str:
        return _choice(value, {"grounded"}, {"openai", "anthropic"})

    @field_validator("llm_strong")
    @classmethod
    def _llm_strong_known(cls, value: str | None) -> str | None:
        return _choice(value, set(), {"openai", "anthropic"}) if value else None

    @field_validator("chat")
    @classmethod
    def _chat_known(cls, value: str) -> str:
        return _choice(value, {"off", "open"}, set())

    @field_validator("browser")
    @classmethod
    def _browser_known(cls, value: str) -> str:
        return _choice(value, {"off", "password", "open"}, set())

    @model_validator(mode="after")
    def _browser_has_password(self) -> Self:
        given = self.browser_password.get_secret_value() if self.browser_password is not None else ""
        if self.browser == "password" and len(given) < _PASSWORD_CHARS:
            raise ValueError(
                "VOICEBOT_BROWSER=password needs VOICEBOT_BROWSER_PASSWORD, "
                f"{_PASSWORD_CHARS} characters or more"
            )
        return self

    @field_validator("speculation")
    @classmethod
    def _speculation_known(cls, value: str) -> str:
        return _choice(value, {"on", "off"}, set())

    @field_validator("chat_origins")
    @classmethod
    def _origins(cls, value: str) -> str:
        origins = [one.strip().rstrip("/").lower() for one in value.split(",") if one.strip()]
        if wrong := [one for one in origins if not re.fullmatch(r"https?://[^/\s]+", one)]:
            raise ValueError(f"{wrong} are no origins: write https://HOST, several with commas")
        return ",".join(origins)

    @field_validator("embedding")
    @classmethod
    def _embedding_known(cls, value: str) -> str:
        return _choice(value, {"auto", "blend", "lsa", "minilm"}, set())

    @field_validator("card_processor")
    @classmethod
    def _card_processor(cls, value: str | None) -> str | None:
        if value and not re.match(r"^(https://[^/\s]+|http://(127\.0\.0\.1|localhost)(:\d+)?(/|$))", value):
            raise ValueError("card data leaves this machine: https://HOST")
        return value.rstrip("/") if value else None

    @field_validator("public_url", "desk_url", "twilio_api", "models_mirror")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        if value is None or value == "":
            return None
        if not re.match(r"^https?://[^/\s]+", value):
            raise ValueError("must start with http:// or https:// and name a host")
        return value.rstrip("/")


def _unknown(name: str) -> str:
    known = [PREFIX + field.upper() for field in Settings.model_fields]
    near = difflib.get_close_matches(name, known, n=1)
    meant = f"did you mean {near[0]}?" if near else "`voicebot doctor` lists those that exist"
    return f"{name} is not a setting: {meant}"


def _choice(value: str, plain: set[str], prefixed: set[str]) -> str:
    head, _, tail = value.partition(":")
    if value in plain or (head in prefixed and tail):
        return value
    known = sorted(plain) + [f"{p}:..." for p in sorted(prefixed)]
    raise ValueError(f"{value!r} is not one of {', '.join(known)}")


def load_settings(**overrides: Any) -> Settings:
    """Reads the environment and ``.env`` (or ``VOICEBOT_ENV_FILE``); ``overrides`` win.

    Raises:
        SettingsError: a value is unusable, or a ``VOICEBOT_*`` name is unknown.
    """
    env_file = Path(os.environ.get("VOICEBOT_ENV_FILE", ".env"))
    names = set(os.environ)
    if env_file.is_file():
        names |= set(dotenv_values(env_file))
    known = {PREFIX + name.upper() for name in Settings.model_fields} | _OTHER_NAMES
    unknown = sorted(n for n in names if n.startswith(PREFIX) and n not in known)
    if unknown:
        raise SettingsError("settings cannot be used:\n  " + "\n  ".join(map(_unknown, unknown)))
    try:
        return Settings(
            _env_file=env_file,  # pyright: ignore[reportCallIssue]  # pydantic-settings' own argument
            **{k: v for k, v in overrides.items() if v is not None},
        )
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise SettingsError("settings cannot be used:\n  " + "\n  ".join(lines)) from error
