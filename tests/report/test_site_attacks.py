"""Hostile HTML of a notebook cannot harm the page."""

import re

import pytest
from pages import Page

from netra_sim.site.safe_html import SafeHtml

IMAGE = "data:image/png;base64,AAAA"
LINK = re.compile(r"https?://|mailto:|#|data:text/csv;base64,[\w+/=]*\Z|[\w.-]+(/[\w.-]+)*\Z")
HARMLESS = {
    "a", "b", "caption", "details", "div", "figcaption", "figure", "h2", "h3", "i", "img", "li", "p", "span", "summary",
    "table", "tbody", "td", "th", "tr", "ul",
}  # fmt: skip
AROUND = ["{}", "<p>{}", "<table><tr><td>{}</table>", "<figure title='{}'>{}</figure>", "<a>{}<h1>{}"]
ATTACKS = [
    "<svg><script>alert(1)</script></svg>",
    "<svg onload=alert(1)><animate onbegin=alert(1) attributeName=x></svg>",
    '<svg><a xlink:href="javascript:alert(1)"><text>x</text></a></svg>',
    "<svg><use href='data:image/svg+xml,<svg id=x><script>alert(1)</script></svg>#x'></svg>",
    "<a href='javascript:alert(1)'>x</a>",
    "<a href=' JaVa&#9;ScRiPt&colon;alert(1)'>x</a>",
    "<a href='\x01javascript:alert(1)'>x</a>",
    "<a href='data:text/html;base64,PHNjcmlwdD4='>x</a>",
    "<a href='data:text/csv;base64,QUJD\" onclick=alert(1) x=\"'>x</a>",
    "<a href='//evil.example/x'>x</a>",
    "<a href='vbscript:alert(1)'>x</a>",
    "<img src=x onerror=alert(1)>",
    "<img src='data:text/html,<script>alert(1)</script>'>",
    "<img src='https://evil.example/x.png'>",
    f"<img src='{IMAGE}' srcset='https://evil.example/x.png 2x'>",
    f"<img src='{IMAGE}' style='background:url(https://evil.example/)'>",
    f"<img alt='\"><script>alert(1)</script>' src='{IMAGE}' onload=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data='data:text/html,<script>alert(1)</script>'></object><embed src=x>",
    "<style>@import 'https://evil.example/x.css'; body { display: none }</style>",
    "<p style='position:fixed;inset:0;background:url(https://evil.example/)'>x</p>",
    "<link rel=stylesheet href=https://evil.example/x.css><base href=https://evil.example/>",
    "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
    "<form action=https://evil.example/><input name=x autofocus onfocus=alert(1)><button formaction=x>x</button></form>",
    "<details open ontoggle=alert(1)><summary>x</summary></details>",
    "<video poster=https://evil.example/x><source src=x onerror=alert(1)></video>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'></noscript>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<math><annotation-xml encoding='text/html'><style><img src=x onerror=alert(1)></style></annotation-xml></math>",
    "<form><math><mtext></form><form><mglyph><svg><mtext><style><path id='</style><img onerror=alert(1) src>'>",
    "<svg></p><style><a id='</style><img src=1 onerror=alert(1)>'>",
    "<table><caption><svg><desc></caption><img src=x onerror=alert(1)></table>",
    "<template><script>alert(1)</script></template><xmp><img src=x onerror=alert(1)></xmp>",
    "<textarea></textarea><img src=x onerror=alert(1)>",
    "<!--x--><script>alert(1)</script>--><![CDATA[<img src=x onerror=alert(1)>]]>",
    "<scr<script>ipt>alert(1)</scr</script>ipt><<b onclick=alert(1)>x",
    "<b/onclick=alert(1)/x='>'>x</b>",
    "<figure><img alt='</figure><script>alert(1)</script>' src=x onerror=alert(1)></figure>",
    "</div></main><script>alert(1)</script>",
    "<p id=content>x</p><p id=table-1>x</p><script>alert(1)</script>",
    "<plaintext><script>alert(1)</script>",
]


def harm(html):
    """The parts of some HTML that a browser would find harmful."""
    page = Page(html)
    found = [tag for tag in page.tags if tag not in HARMLESS]
    found += [name for name in page.attributes if name.startswith("on") or name in ("style", "srcdoc", "srcset")]
    found += [one for one in page.loads if not re.match(r"data:image/(png|jpeg);base64,", one or "")]
    found += [one for one in page.links if one is not None and not LINK.match(one.strip())]
    return found + [name for name in page.ids if name in ("content", "failed")] + page.unbalanced


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("around", AROUND)
def test_no_attack_leaves_anything_but_words(attack, around):
    html = around.replace("{}", attack)
    assert harm(html)
    safe = SafeHtml()(html)
    assert harm(safe) == []
    assert "<script" not in safe.lower()


@pytest.mark.parametrize("attack", ATTACKS)
def test_rebuilt_html_parses_the_same_again(attack):
    """Mutation XSS needs HTML that parses differently the second time."""
    once = SafeHtml()(f"<p>{attack}</p>")
    assert words_and_tags(SafeHtml()(once)) == words_and_tags(once)


def words_and_tags(html):
    page = Page(html)
    return page.text, [tag for tag in page.tags if tag not in ("div", "span")]  # the boxes around tables


def test_harmless_html_keeps_what_its_reader_needs():
    html = (
        f'<figure class="chart"><img src="{IMAGE}" alt="A chart" width="10"><figcaption>Words &amp; <b>more</b>'
        '<a download="n.csv" href="data:text/csv;base64,QUJD">CSV</a></figcaption></figure>'
    )
    assert SafeHtml()(html) == html
