"""Cleans the HTML of a notebook: it cannot harm the page, and it is accessible."""

import re

from nh3 import Cleaner

from netra_sim.tables import Html


def _words(text: str) -> set[str]:
    return set(text.split())


_PICTURE = re.compile(r"data:image/(png|jpeg|gif|webp|svg\+xml);base64,[A-Za-z0-9+/=\s]*\Z")
_LINK = re.compile(r"(https?://|mailto:|#|data:text/csv;base64,[A-Za-z0-9+/=]*\Z|[\w.-]+(/[\w.-]+)*\Z)", re.I)
_TAG = re.compile(r'<(/?)(\w+)((?: [\w-]+="[^"]*")*)>')
_ID = re.compile(r' id="([^"]*)"')
_BLANK_ALT = re.compile(r' alt="\s*"')
_FIGURE = re.compile(r"<figure\b.*?</figure>", re.S)
_EMPTY_HEADER = re.compile(r'<th((?: (?!scope)[\w-]+="[^"]*")*) scope="col">(?:\s|&nbsp;)*</th>')
NO_DESCRIPTION = "A picture that its notebook does not describe"


def _harmless(tag: str, attribute: str, value: str) -> str | None:
    """The value; None if it would run code or load something from elsewhere."""
    allowed = {"src": _PICTURE, "href": _LINK}.get(attribute)
    return None if allowed and not allowed.match(value.strip()) else value


_CLEANER = Cleaner(
    tags=_words(
        "a abbr b blockquote br caption code col colgroup dd del details div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 hr"
        " i img kbd li mark ol p pre s section small span strong sub summary sup table tbody td tfoot th thead tr ul"
    ),
    clean_content_tags=_words(
        "audio button canvas form head iframe math noembed noframes noscript object script select style svg template"
        " textarea title video xmp"
    ),
    attributes={
        "*": _words(
            "alt aria-label class colspan dir download headers height id lang open rowspan scope start title width"
        ),
        "a": {"href"},
        "figure": {"data-live"},  # numbers, which a script of our own reads as JSON
        "img": {"src"},
    },
    attribute_filter=_harmless,
    url_schemes=_words("data http https mailto"),
    link_rel=None,
)


class SafeHtml:
    """Rebuilds pieces of HTML for one page: ids stay unique, and headings stay in order, across pieces.

    It drops tags and attributes that are not known to be harmless. Every table gets a scrollable box that the keyboard
    reaches, and scopes for its headers.
    """

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._level = 1
        self._headings: list[int] = []
        self._captions = 0
        self._is_head = False

    def __call__(self, html: str) -> Html:
        """Rebuild a piece."""
        rebuilt = _TAG.sub(self._rebuilt, _CLEANER.clean(html))
        return Html(_EMPTY_HEADER.sub(r"<td\1></td>", rebuilt))  # a header without words heads nothing

    def is_new(self, name: str) -> bool:
        """Register an id; False if an element of the page already has it."""
        if name in self._ids or name == "content" or name.startswith("table-"):
            return False
        self._ids.add(name)
        return True

    def _rebuilt(self, tag: re.Match[str]) -> str:
        """Rebuild one cleaned tag: every ``<`` begins a tag, and no attribute value contains a quotation mark."""
        end, name, attributes = tag.groups()
        attributes = _ID.sub(lambda given: given[0] if self.is_new(given[1]) else "", attributes)
        match name:
            case "h1" | "h2" | "h3" | "h4" | "h5" | "h6":
                name = f"h{self._headings.pop() if end else self._heading(int(name[1]))}"
            case "thead":
                self._is_head = not end
            case "th" if not end and ' scope="' not in attributes:
                attributes += f' scope="{"col" if self._is_head else "row"}"'
            case "img" if ' src="' not in attributes:
                return ""
            case "img" if ' alt="' not in (attributes := _BLANK_ALT.sub("", attributes)):
                attributes += f' alt="{NO_DESCRIPTION}"'
            case "div" if ' class="drawing"' in attributes:
                attributes += ' tabindex="0" role="group" aria-label="Picture"'  # a narrow screen scrolls it sideways
            case "div" if ' class="scroll"' in attributes:
                attributes = attributes.replace(' class="scroll"', "")  # its table gets its own box
            case "table":
                return "</table></div>" if end else f"{self._box(tag)}<table{attributes}>"
            case "caption":
                return "</span></caption>" if end else f"<caption{attributes}>{self._label()}"
        return f"<{end}{name}{attributes}>"

    def _heading(self, wanted: int) -> int:
        """The level of a heading: below the page's own, and at most one below the previous heading."""
        self._level = max(2, min(wanted, self._level + 1))
        self._headings.append(self._level)
        return self._level

    def _box(self, table: re.Match[str]) -> str:
        has_caption = re.match(r"\s*<caption\b", table.string[table.end() :])
        label = f'aria-labelledby="table-{self._captions + 1}"' if has_caption else 'aria-label="Table"'
        return f'<div class="scroll" tabindex="0" role="group" {label}>'

    def _label(self) -> str:
        self._captions += 1
        return f'<span id="table-{self._captions}">'


def figures(html: str) -> list[Html]:
    """The figures in rebuilt HTML."""
    return [Html(figure) for figure in _FIGURE.findall(html)]
