"""What waits for a person's approval: approved, reworded or rejected, before the caller's patience ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui

from voicebot.console.desk import parts
from voicebot.console.desk.client import ApiError, DeskApi
from voicebot.console.desk.panels import Seat
from voicebot.safety.pii.masking import TOKEN

EVERY_S = 1.0
"""The countdown, and what others decide, are as old as this at most."""
_CLOSE_S = 15.0
"""With so little left it is shown as urgent."""
_KINDS = {"words": "The bot would say", "act": "The bot would do, once the caller agrees"}
_VERDICTS = {"approve": "approved it", "edit": "changed the words", "reject": "rejected it"}


class DraftsPanel:
    """All that waits in one conversation, or (without one) everywhere. One per open page.

    ``opens``: the agent may open conversations that nobody handed over.
    """

    def __init__(self, api: DeskApi, agent: str, seat: Seat | None, *, opens: bool = False) -> None:
        self._api = api
        self._agent = agent
        self._opens = opens
        self._conversation = seat.conversation_id if seat is not None else None
        self._cards: dict[str, _Card] = {}
        self._judged: set[str] = set()
        self._first = True

    async def show(self) -> None:
        """Draws a place that is seen as soon as something waits."""
        self._news = parts.text("p", "", "unseen", role="status", aria_live="polite")
        self._notice = parts.text("p", "", "notice", role="status")
        self._place = parts.card("For approval", "lead", name="for approval")
        with self._place:
            self._list = parts.box("ul", "rows")
        self._place.set_visibility(False)
        await self._look()
        ui.timer(EVERY_S, self._look)

    async def _look(self) -> None:
        query: dict[str, Any] = {"status": "waiting", "limit": 50}
        if self._conversation is not None:
            query["conversation"] = self._conversation
        try:
            rows = await self._api.get(self._agent, "/api/drafts", **query)
        except ApiError:
            return  # the line at the bottom says it
        waiting = {row["id"]: row for row in rows}
        for gone in self._cards.keys() - waiting.keys():
            await self._left(gone)
        new = [row for row in rows if row["id"] not in self._cards]
        for row in rows:
            card = self._cards.get(row["id"])
            if card is None:
                with self._list:
                    card = self._cards[row["id"]] = _Card(self, row, link=self._opens)
            card.tick(row["left_s"])
        if new and not self._first:
            self._news.text = f"Waits for your approval: {new[0]['question'] or new[0]['words']}"
        self._first = False
        self._place.set_visibility(bool(rows))

    async def _left(self, draft_id: str) -> None:
        """It waits no more: said so, unless this agent decided. Who only watches opens no values for that."""
        card = self._cards.pop(draft_id)
        card.delete()
        if draft_id in self._judged:
            self._judged.discard(draft_id)
            return
        try:
            rows = await self._api.get(
                self._agent, "/api/drafts", conversation=card.conversation_id, limit=500
            )
        except ApiError:
            return
        row = next((one for one in rows if one["id"] == draft_id), None)
        if row is None:
            return
        done = _VERDICTS.get(row["status"])
        self._notice.text = (
            f"{row['decided_by']} {done}."
            if done is not None
            else "The caller has left, or a person has them: nothing waits there any more."
        )

    async def judge(self, draft_id: str, verdict: str, text: str | None = None) -> str | None:
        """Decides; what is wrong with the words, if that is why it was refused."""
        body = {} if text is None else {"text": text}
        try:
            await self._api.post(self._agent, f"/api/drafts/{draft_id}/{verdict}", body)
        except ApiError as error:
            if error.status == 422:
                return f"Not sent: {error}"
            self._notice.text = f"Not done: {error}"
            if error.status not in (409, 410):
                return None  # it still waits
        else:
            self._notice.text = (
                "Rejected: the caller goes to a person."
                if verdict == "reject"
                else "The caller hears it now."
            )
        self._judged.add(draft_id)
        await self._look()
        return None

    async def opened(self, draft_id: str) -> dict[str, Any] | None:
        """One with the caller's values; that this agent looked is logged."""
        try:
            return await self._api.get(self._agent, f"/api/drafts/{draft_id}")
        except ApiError as error:
            self._notice.text = str(error)
            return None


class _Card:
    """One that waits. Its buttons stay where they are; only the countdown changes."""

    def __init__(self, panel: DraftsPanel, row: dict[str, Any], *, link: bool) -> None:
        self._panel = panel
        self._id = row["id"]
        self.conversation_id = row["conversation_id"]
        self._words = row["words"]
        self._item = parts.box("li", "row draft", data_row="1")
        self._form: ui.element | None = None
        about = row["question"] or row["intent"].replace("_", " ")
        with self._item:
            with parts.box("div", "about"):
                with parts.box("p", "tags"):
                    self._left = parts.text("span", "", "tag strong", role="timer")
                    parts.text("span", row["channel"], "tag")
                    parts.text("span", row["intent"].replace("_", " "), "tag")
                if row["question"]:
                    parts.text("p", f"Asked: {row['question']}", "soft")
                parts.text("h3", _KINDS[row["kind"]])
                self._shown = parts.text("p", self._words, "big")
                self._why = parts.text("p", "", "soft small")
                self._edit = parts.box("div")
            with parts.box("div", "actions") as self._buttons:
                parts.button("Approve", self._send("approve"), first=True, about=about, key="y")
                if row["kind"] == "words":
                    parts.button("Change", self._change, about=about, key="e")
                parts.button("Reject", self._send("reject"), about=about, key="r")
                if TOKEN.search(f"{self._words} {row['question']}"):
                    parts.button("Show values", self._open, about=about)
                if link:
                    made = parts.link("Open", f"/desk/conversations/{row['conversation_id']}", "act")
                    made.props["aria-label"] = f"Open {about}"

    def tick(self, left_s: float | None) -> None:
        """So many seconds are left."""
        left = 0.0 if left_s is None else left_s
        self._left.text = f"{left:.0f} s left"
        self._left.classes(replace="tag strong alarm" if left <= _CLOSE_S else "tag strong")

    def delete(self) -> None:
        """It waits no more."""
        self._item.delete()

    def _send(self, verdict: str) -> Callable[[], Awaitable[None]]:
        async def act() -> None:
            await self._panel.judge(self._id, verdict)

        return act

    async def _open(self) -> None:
        one = await self._panel.opened(self._id)
        if one is not None:
            self._words = self._shown.text = one["words"]
            self._why.text = "; ".join(one["reasons"])

    async def _change(self) -> None:
        """The words in a field, with the caller's values in them; sent, the caller hears exactly that."""
        if self._form is not None:
            return
        await self._open()
        with self._edit:
            self._form = parts.form(self._reworded, "stack")
            with self._form:
                field = parts.area("text", "Say this instead", required=True, most=600, value=self._words)
                self._wrong = parts.alert()
                parts.submit("Say this")
        field.run_method("focus")

    async def _reworded(self, given: parts.Filled) -> None:
        wrong = await self._panel.judge(self._id, "edit", given.get("text", ""))
        if wrong is not None:
            self._wrong.text = wrong
