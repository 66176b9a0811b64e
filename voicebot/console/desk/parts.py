"""The small parts of the desk's pages: text in a tag of its meaning, buttons, lists. All text is text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement


def text(tag: str, words: str, classes: str = "") -> TextElement:
    """Words in a tag; nothing in them is markup."""
    return TextElement(tag=tag, text=words).classes(classes)


def box(tag: str, classes: str = "", **attributes: str) -> ui.element:
    """An element that holds others."""
    made = ui.element(tag).classes(classes)
    for name, value in attributes.items():
        made.props[name.replace("_", "-")] = value
    return made


def button(
    words: str, act: Callable[[], Awaitable[None]], *, first: bool = False, about: str = ""
) -> TextElement:
    """A button; ``about`` says to a screen reader what it acts on."""
    made = text("button", words, "act first" if first else "act")
    made.props["type"] = "button"
    if about:
        made.props["aria-label"] = f"{words} {about}"
    made.on("click", act)
    return made


def link(words: str, to: str, classes: str = "") -> TextElement:
    """A link within the desk."""
    made = text("a", words, classes)
    made.props["href"] = to
    return made


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values, one line each."""
    with box("dl", "facts"):
        for name, value in pairs:
            text("dt", name)
            text("dd", value)
