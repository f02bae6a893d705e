"""The browser that tests drive."""

from browser import chromium


def test_an_expression_is_asked_again_in_a_page_that_loads_again_meanwhile(tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<title>page</title>")
    with chromium() as tab:
        tab.prepare("window.again = () => location.search || (location.search = 'again', new Promise(() => {}))")
        tab.open(page)
        assert tab.evaluate("again()") == "?again"
