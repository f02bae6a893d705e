"""HTML that a notebook made, rebuilt so that it can do no harm to the page that shows it, and can be read by everybody."""

import re
from collections.abc import Iterator
from html import escape
from html.parser import HTMLParser


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_VOID = _words("br col hr img")
_ALLOWED = _VOID | _words(
    "a abbr b blockquote caption code colgroup dd del details div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 i kbd li"
    " mark ol p pre s section small span strong sub summary sup table tbody td tfoot th thead tr ul"
)
_DROPPED_WHOLE = _words(
    "audio button canvas form head iframe math noembed noframes noscript object script select style svg template"
    " textarea title video xmp"
)
_ATTRIBUTES = _words(
    "alt aria-label class colspan dir download headers height id lang open rowspan scope start title width"
)
_PICTURE = re.compile(r"data:image/(png|jpeg|gif|webp|svg\+xml);base64,[A-Za-z0-9+/=\s]*\Z")
_LINK = re.compile(r"(https?://|mailto:|#|data:text/csv;base64,[A-Za-z0-9+/=]*\Z|[\w.-]+(/[\w.-]+)*\Z)", re.I)
_FIGURE = re.compile(r"<figure\b.*?</figure>", re.S)
NO_DESCRIPTION = "A picture that its notebook does not describe"


class SafeHtml:
    """Rebuilds pieces of HTML for one page: ids stay unique and headings in order from piece to piece.

    Tags and attributes that are not known to be harmless are left out, everything else is escaped anew and closed. Every
    table gets a box of its own to scroll in, which the keyboard reaches, and scopes for its headers.
    """

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._level = 1
        self._tables = 0

    def __call__(self, html: str) -> str:
        """The piece, rebuilt."""
        parser = _Rebuilder(self)
        parser.feed(html)
        parser.close()
        return parser.finished()

    def level(self, wanted: int) -> int:
        """The level that a heading gets: below the page's own, and never more than one below the heading before it."""
        self._level = max(2, min(wanted, self._level + 1))
        return self._level

    def is_new(self, name: str) -> bool:
        """Whether no element has had this id so far; the page's own are never new."""
        if name in self._ids or name == "content" or name.startswith("table-"):
            return False
        self._ids.add(name)
        return True

    def next_table(self) -> int:
        """The table's number on the page."""
        self._tables += 1
        return self._tables


def figures(html: str) -> list[str]:
    """The figures in HTML that has been rebuilt."""
    return _FIGURE.findall(html)


class _Rebuilder(HTMLParser):
    def __init__(self, page: SafeHtml) -> None:
        super().__init__(convert_charrefs=True)
        self._page = page
        self._parts: list[str] = []
        self._open: list[tuple[str, str]] = []
        self._dropping: list[str] = []
        self._boxes: list[int] = []

    def finished(self) -> str:
        while self._open:
            self._close_last()
        return "".join(self._parts)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in _DROPPED_WHOLE:
            self._dropping.append(tag)
        if self._dropping or tag not in _ALLOWED:
            return
        given = {name: value or "" for name, value in attributes}
        if tag == "div" and given.get("class") == "scroll":
            del given["class"]  # the table in it gets a box of its own
        if tag == "table":
            self._boxes.append(len(self._parts))
            self._parts.append(_box('aria-label="Table"'))
        if tag == "th" and "scope" not in given:
            given["scope"] = "col" if any(one == "thead" for one, _ in self._open) else "row"
        if tag == "img":
            given["alt"] = given.get("alt", "").strip() or NO_DESCRIPTION
            if not _PICTURE.match(given.get("src", "")):
                return
        name = f"h{self._page.level(int(tag[1]))}" if re.match(r"h[1-6]\Z", tag) else tag
        kept = "".join(f' {key}="{escape(value)}"' for key, value in self._kept(tag, given))
        self._parts.append(f"<{name}{kept}>")
        if tag not in _VOID:
            self._open.append((tag, name))
        if tag == "caption" and self._boxes:
            number = self._page.next_table()
            self._parts.append(f'<span id="table-{number}">')
            self._parts[self._boxes[-1]] = _box(f'aria-labelledby="table-{number}"')

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._dropping:
            if tag in self._dropping:
                del self._dropping[self._dropping.index(tag) :]
            return
        if any(tag == one for one, _ in self._open):
            while self._close_last() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not self._dropping:
            self._parts.append(escape(data))

    def _kept(self, tag: str, given: dict[str, str]) -> Iterator[tuple[str, str]]:
        for name, value in given.items():
            if (
                (name == "id" and self._page.is_new(value))
                or (name in _ATTRIBUTES and name != "id")
                or (tag == "img" and name == "src")
                or (tag == "a" and name == "href" and _LINK.match(value.strip()))
            ):
                yield name, value

    def _close_last(self) -> str:
        tag, name = self._open.pop()
        if tag == "caption" and self._boxes:
            self._parts.append("</span>")
        self._parts.append(f"</{name}>")
        if tag == "table":
            self._boxes.pop()
            self._parts.append("</div>")
        return tag


def _box(label: str) -> str:
    return f'<div class="scroll" tabindex="0" role="group" {label}>'
