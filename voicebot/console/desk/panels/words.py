"""What an agent says of a hand-over: whether a person was needed, and how it was left."""

from __future__ import annotations

from typing import Any

from voicebot.console.desk import parts, words
from voicebot.console.desk.client import ApiError, DeskApi
from voicebot.console.desk.panels import Seat

_VERDICTS = (("agree", "Yes"), ("disagree", "No, the bot could have gone on"))


class WordsPanel:
    """Verdict and disposition; for who has or had the hand-over, and supervisors."""

    def __init__(self, api: DeskApi, agent: str, seat: Seat) -> None:
        self._api = api
        self._agent = agent
        self._seat = seat
        self._drawn = False

    async def show(self) -> None:
        """Draws the panel, or a place for it until the agent has the hand-over."""
        if self._seat.handoff is None:
            return
        self._place = parts.box("div")
        self._seat.on_change(self._again)
        await self._again()

    async def _again(self) -> None:
        one = self._seat.handoff
        assert one is not None
        if self._drawn or not may_judge(one, self._agent, supervisor=self._seat.supervisor):
            return
        self._drawn = True
        said = await self._said()
        with self._place, parts.card("After the call", name="after the call"):
            self._now = parts.box("div", "said-now", role="status")
            with parts.form(self._judge, "stack"):
                parts.choice(
                    "verdict", "Was a person needed?", _VERDICTS, _mine(said, "verdict", self._agent)
                )
                parts.area("why", "Why not (needed for No)", value=_text(said, "verdict", self._agent))
                self._verdict_wrong = parts.alert()
                parts.submit("Save answer", first=False)
            with parts.form(self._leave, "stack"):
                chosen = _mine(said, "disposition", self._agent)
                parts.choice("disposition", "How was it left?", words.DISPOSITIONS, chosen)
                parts.area("text", "Anything to add", value=_text(said, "disposition", self._agent))
                self._left_wrong = parts.alert()
                parts.submit("Save how it was left", first=False)
        self._tell(said)

    async def _said(self) -> list[dict[str, Any]]:
        try:
            return await self._api.get(self._agent, f"{self._path}/words")
        except ApiError:
            return []  # nothing is claimed to have been said; saving says what is wrong

    @property
    def _path(self) -> str:
        assert self._seat.handoff is not None
        return f"/api/handoffs/{self._seat.handoff['id']}"

    async def _judge(self, given: parts.Filled) -> None:
        body: dict[str, Any] = {"verdict": given.get("verdict", "")}
        if body["verdict"] == "disagree":
            if not given.get("why"):
                self._verdict_wrong.text = "Say why a person was not needed: others learn from it."
                return
            body["why"] = given["why"]
        await self._send("verdict", body, self._verdict_wrong)

    async def _leave(self, given: parts.Filled) -> None:
        body: dict[str, Any] = {"disposition": given.get("disposition", "")}
        if given.get("text"):
            body["text"] = given["text"]
        await self._send("disposition", body, self._left_wrong)

    async def _send(self, what: str, body: dict[str, Any], wrong: Any) -> None:
        try:
            said = await self._api.post(self._agent, f"{self._path}/{what}", body)
        except ApiError as error:
            wrong.text = f"Not saved: {error}"
            return
        wrong.text = ""
        self._tell(said)

    def _tell(self, said: list[dict[str, Any]]) -> None:
        self._now.clear()
        with self._now:
            for one in said:
                if one["kind"] == "verdict":
                    needed = "a person was needed" if one["value"] == "agree" else "no person was needed"
                    parts.text("p", f"{one['who']}: {needed}", "well")
                if one["kind"] == "disposition":
                    parts.text("p", f"{one['who']}: {words.disposition(one['value']).lower()}", "well")


def may_judge(one: dict[str, Any], agent: str, *, supervisor: bool) -> bool:
    """Who has or had it; a supervisor, once somebody has it or nobody came."""
    if one["claimed_by"] == agent:
        return True
    if supervisor and one["status"] not in ("waiting", "offered"):
        return True
    return any((step["what"], step["who"]) == ("accepted", agent) for step in one["changes"])


def _mine(said: list[dict[str, Any]], kind: str, agent: str) -> str:
    return next((one["value"] for one in said if (one["kind"], one["who"]) == (kind, agent)), "")


def _text(said: list[dict[str, Any]], kind: str, agent: str) -> str:
    return next((one["text"] or "" for one in said if (one["kind"], one["who"]) == (kind, agent)), "")
