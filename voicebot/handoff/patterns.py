"""The reviewed library of next actions and reasons: ``business/handoff.yaml``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from voicebot.core.conversation import Strict


class PatternsError(Exception):
    """The handoff patterns cannot be used; the message names file and key."""


class HandoffPatterns(Strict):
    """What an agent is told to do next, by trigger or intent, and why the call came.

    ``policy:INTENT`` triggers look their intent up. ``topics`` names intents for people.
    """

    default_action: str = Field(min_length=1)
    next_actions: dict[str, str]
    reasons: dict[str, str]
    topics: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> HandoffPatterns:
        """Reads the file.

        Raises:
            PatternsError: it is missing or has another shape.
        """
        try:
            document: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
            return cls.model_validate_json(json.dumps(document))
        except OSError as error:
            raise PatternsError(f"{path}: {error.strerror}") from error
        except (yaml.YAMLError, TypeError) as error:
            raise PatternsError(f"{path}: is not usable YAML: {error}") from error
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise PatternsError(f"{path}: {wrong}") from error

    def next_action(self, trigger: str, intent: str) -> str:
        """One line for the agent: by trigger first, then by intent, else the default."""
        return self.next_actions.get(trigger) or self.next_actions.get(intent) or self.default_action

    def reason(self, trigger: str) -> str:
        """Why the call came, in words."""
        name = trigger.partition(":")[0]
        return self.reasons.get(trigger) or self.reasons.get(name) or trigger.replace("_", " ")

    def is_topic(self, intent: str) -> bool:
        """Whether an intent is something a caller can call about."""
        return intent in self.topics

    def topic(self, intent: str) -> str:
        """An intent in words."""
        return self.topics.get(intent, intent.replace("_", " "))
