"""The small parts of the desk's pages: text in a tag of its meaning, buttons, forms. All text is text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from html import escape
from itertools import starmap
from typing import Any

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement
from nicegui.events import GenericEventArguments

Filled = dict[str, str]
"""What was filled in, by the field's name."""

Piece = tuple[str, str, str, Mapping[str, str]]
"""A tag, its words, its classes and other attributes."""


def text(tag: str, words: str, classes: str = "", **attributes: str) -> TextElement:
    """Words in a tag; nothing in them is markup."""
    made = TextElement(tag=tag, text=words).classes(classes)
    _set(made, attributes)
    return made


def box(tag: str, classes: str = "", **attributes: str) -> ui.element:
    """An element that holds others."""
    made = ui.element(tag).classes(classes)
    _set(made, attributes)
    return made


def spans(*pieces: Piece) -> ui.element:
    """Words in several tags as one element; nothing in them is markup.

    For what a page has many of: each element weighs some kB in the desk for as long as the page lives.
    """
    return ui.html("".join(starmap(_drawn, pieces)), sanitize=False).classes("spans")


def _drawn(tag: str, words: str, classes: str, more: Mapping[str, str]) -> str:
    attributes = "".join(f' {name}="{escape(value)}"' for name, value in {"class": classes, **more}.items())
    return f"<{tag}{attributes}>{escape(words)}</{tag}>"


def card(title: str, classes: str = "", *, name: str = "") -> ui.element:
    """A section with its heading; open it with ``with`` and go on below the heading."""
    made = box("section", f"card {classes}".strip(), aria_label=name or title.lower())
    with made:
        text("h2", title)
    return made


def button(
    words: str,
    act: Callable[[], Awaitable[None]],
    *,
    first: bool = False,
    about: str = "",
    key: str = "",
    classes: str = "",
) -> TextElement:
    """A button; ``about`` says to a screen reader what it acts on, ``key`` is its shortcut."""
    made = text("button", words, f"act first {classes}" if first else f"act {classes}")
    made.props["type"] = "button"
    if about:
        made.props["aria-label"] = f"{words} {about}"
    if key:
        shortcut(made, key)
    made.on("click", act)
    return made


def shortcut(element: ui.element, key: str) -> None:
    """``key`` alone presses the element (`desk.js`)."""
    for name, value in pressed_by(key).items():
        element.props[name] = value


def pressed_by(key: str) -> dict[str, str]:
    """The attributes of an element that ``key`` alone presses."""
    return {"data-key": key, "aria-keyshortcuts": key}


def link(words: str, to: str, classes: str = "") -> TextElement:
    """A link within the desk."""
    return text("a", words, classes, href=to)


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values, one line each."""
    with box("dl", "facts"):
        for name, value in pairs:
            text("dt", name)
            text("dd", value)


def form(act: Callable[[Filled], Awaitable[None]], classes: str = "") -> ui.element:
    """A form; sent, ``act`` gets what was filled in. What is typed stays in the browser until then."""
    made = box("form", classes, autocomplete="off")

    async def sent(event: GenericEventArguments) -> None:
        given: dict[str, Any] = event.args or {}
        await act({name: str(value).strip() for name, value in given.items()})

    made.on(
        "submit",
        sent,
        js_handler="(e) => { e.preventDefault(); emit(Object.fromEntries(new FormData(e.target))) }",
    )
    return made


def submit(words: str, *, first: bool = True) -> TextElement:
    """The button that sends the form it stands in."""
    return text("button", words, "act first" if first else "act", type="submit")


def area(name: str, label: str, *, required: bool = False, most: int = 2000, value: str = "") -> ui.element:
    """A field for sentences with its label."""
    with box("label", "field"):
        text("span", label)
        # its first words are text, no `value`: Vue would write that again over what was typed
        made = text("textarea", value, "", name=name, rows="3", maxlength=str(most))
        if required:
            made.props["required"] = True
    return made


def choice(name: str, label: str, options: Iterable[tuple[str, str]], chosen: str = "") -> ui.element:
    """One of a few, all in sight: radio buttons that look like buttons."""
    with box("fieldset", "choice") as made:
        text("legend", label)
        for value, words in options:
            with box("label"):
                one = box("input", "", type="radio", name=name, value=value)
                one.props["required"] = True
                if value == chosen:
                    one.props["checked"] = True
                text("span", words)
    return made


def alert() -> TextElement:
    """Where a form says what is wrong; empty until then."""
    return text("p", "", "alarm", role="alert")


def put_at(element: ui.element, index: int) -> None:
    """Moves an element to its place among its siblings, if it stands elsewhere."""
    slot = element.parent_slot
    if slot is not None and slot.children.index(element) != index:
        element.move(target_index=index)


def _set(element: ui.element, attributes: dict[str, str]) -> None:
    for name, value in attributes.items():
        element.props[name.replace("_", "-")] = value
