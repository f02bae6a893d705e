"""Parses a page of the report."""

from html.parser import HTMLParser

_EMPTY = {"br", "col", "hr", "img", "link", "meta"}


class Page(HTMLParser):
    """The words, pictures and headings of a page, what it would load, and whether its tags are balanced."""

    def __init__(self, path_or_html):
        super().__init__()
        self.words, self.images, self.loads, self.tags, self.headings, self.links = [], [], [], [], [], []
        self.attributes, self.ids, self.unbalanced, self._open = [], [], [], []
        html = path_or_html if isinstance(path_or_html, str) else path_or_html.read_text("utf-8")
        self.feed(html)
        self.close()
        self.unbalanced += self._open
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        self.attributes += given
        if "id" in given:
            self.ids.append(given["id"])
        if tag not in _EMPTY and tag not in ("rect",):
            self._open.append(tag)
        if tag == "img":
            self.images.append(given)
        if tag == "a":
            self.links.append(given.get("href"))
        if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
            self.headings.append(int(tag[1]))
        if tag not in ("a", "link"):
            self.loads += [
                value for name, value in given.items() if name in ("src", "href", "action", "data", "poster")
            ]

    def handle_endtag(self, tag):
        if tag in ("rect", *_EMPTY):
            return
        if self._open and self._open[-1] == tag:
            self._open.pop()
        else:
            self.unbalanced.append(tag)

    def handle_data(self, data):
        if not {"style", "script"} & set(self._open):
            self.words.append(data)
