# ruff: noqa: RUF001 (the marks of other scripts look like those of this one)
"""What Markdown and HTML look like, as lines that can be read one after the other.

A heading, an item of a list and a row of a table end like a sentence, links keep their text and addresses their host.
A block of code is only announced: nobody understands code that is read aloud.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from markdown_it.token import Token

_MARKDOWN = (
    # In what people write, an indented line is text, and so is "[Ann]: hi". An image is a link for those who listen.
    MarkdownIt("commonmark").enable(["table", "strikethrough"]).disable(["code", "reference", "html_block", "image"])
)
_PRODUCT = re.compile(r"(?<=\d) ?(\*\*?) ?(?=\d)")
_IMAGE = re.compile(r"(?<!\w)!(?=\[)")
_ADDRESS = re.compile(r"(?:(?:https?|ftp|wss?)://(?:[^\s/@]{0,100}@)?|(?<!\w)(?=www\.))([^\s/?#:)]+)\S*")
_PUNCTUATION = ".,;:!?)'\""
_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}")
_LINE_BREAK = re.compile(r"<\s*br\b", re.IGNORECASE)
_TASK = re.compile(r"\[([ xX])\]\s+")
_FOOTNOTE = re.compile(r"\[\^[^\[\]\s]{1,20}\]:?")
_ROW = "|"
_RULER = re.compile(r"[\s|:-]+")
_EMPHASIS = re.compile(r"[*`]+|~~|(?<!\w)_+|_+(?!\w)")
_END = re.compile(r"[.!?…:;,。！？][\"'”’»)\]*_]*$")


def lines(text: str) -> str:
    """Return `text` without its marks of layout, paragraphs and other blocks apart by an empty line."""
    text = _PRODUCT.sub(lambda sign: "^" if len(sign[1]) > 1 else " × ", text)
    text = _IMAGE.sub("", text)
    page = _Page()
    for token in _MARKDOWN.parse(text):
        page.add(token)
    return page.text


@dataclass
class _Page:
    """The lines so far."""

    text: str = ""
    _tight: bool = False
    _lists: int = 0
    _number: str = ""
    _heading: bool = False
    _task: bool = False
    _cells: list[str] | None = field(default=None)

    def add(self, token: Token) -> None:
        match token.type:
            case "inline":
                self._inline(token)
            case "fence":
                language = next(iter(token.info.split()), "")
                self._write(f"Code block, {language}." if language.isalpha() else "Code block.")
            case "bullet_list_open" | "ordered_list_open":
                self._tight = bool(self._lists)
                self._lists += 1
            case "bullet_list_close" | "ordered_list_close":
                self._lists -= 1
                self._tight = bool(self._lists)
            case "list_item_open":
                self._number = f"{token.info}: " if token.info else ""
                self._task = True
            case "list_item_close" if self._number:
                self._write(_ended(self._number.rstrip(": ")))
            case "heading_open" | "heading_close":
                self._heading = token.nesting > 0
            case "table_open":
                self._tight = False
            case "tr_open":
                self._cells = []
            case "tr_close":
                self._write(_row(self._cells or []))
                self._cells, self._tight = None, True
            case "table_close":
                self._tight = bool(self._lists)
            case _:
                pass

    def _inline(self, token: Token) -> None:
        text = "".join(_plain(token.children or []))
        if self._cells is not None:
            self._cells.append(text)
            return
        if self._task:
            text = (
                _TASK.sub(lambda box: "" if box[1] == " " else "Done: ", text, count=1) if _TASK.match(text) else text
            )
            self._task = False
        text = "\n".join(_line(line) for line in text.split("\n"))
        listed = bool(self._lists) or self._heading
        self._write(_ended(self._number + text) if listed else text)
        self._number = ""

    def _write(self, text: str) -> None:
        if text.strip():
            self.text += ("\n" if self._tight else "\n\n") + text
        self._number = ""
        self._tight = bool(self._lists)


def _plain(tokens: Iterable[Token]) -> Iterator[str]:
    for token in tokens:
        match token.type:
            case "text":
                yield _unmarked(token.content)
            case "code_inline":
                yield _unmarked(token.content)
            case "html_inline":
                yield "\n" if _LINE_BREAK.match(token.content) else " "
            case "softbreak" | "hardbreak":
                yield "\n"
            case _:
                pass


def _unmarked(text: str) -> str:
    text = _FOOTNOTE.sub("", text)
    text = _ADDRESS.sub(_host, text)
    text = _EMAIL.sub(lambda address: _dotted(address[0]).replace("@", " at "), text)
    return _EMPHASIS.sub("", text).replace("_", " ")


def _host(address: re.Match[str]) -> str:
    """Return the host of an address and the punctuation of the sentence that it stands in."""
    after = address[0][len(address[0].rstrip(_PUNCTUATION)) :]
    return _dotted(address[1].rstrip(_PUNCTUATION)) + after


def _dotted(name: str) -> str:
    return name.replace(".", " dot ")


def _line(line: str) -> str:
    """Return a line of a paragraph; one that came without the rest of its table is still a row."""
    if not line.startswith(_ROW):
        return line
    return "" if _RULER.fullmatch(line) else _row(line.strip().strip(_ROW).split(_ROW))


def _row(cells: list[str]) -> str:
    return _ended(", ".join(filter(None, (cell.strip() for cell in cells))))


def _ended(text: str) -> str:
    """Return the text with a full stop, or it would run into the next line."""
    text = text.rstrip()
    return f"{text}." if text and not _END.search(text) else text
