"""The pages in a real browser: accessible, quiet, self-contained, no wider than a phone, and readable in the dark."""

import io

import pytest
from browser import chromium, violations
from PIL import Image
from tiny_notebooks import check_result, code, finding, notebook, picture, text, validation, verdict

from netra_sim.site.report import make_report, plan

WIDE = "from netra_sim.tables import Html, table\nHtml(table('Wide', list('abcdefghij'), [['word' * 4] * 10] * 3))"
BESIDE = (
    "from netra_sim.tables import Html\nHtml('<div class=\"side-by-side\">' + '<div><p>One</p></div>' * 4 + '</div>')"
)
CHART = "from netra_sim.charts.picture import nothing_to_show\nnothing_to_show('no load was tried.')"
NAMES = ["index", "load", "load-code", "validation", "validation-code"]


@pytest.fixture(scope="module")
def tab():
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    told = verdict(
        "NO-GO",
        reasons=["unproven: a claim with a" + "very" * 40 + "long word"],
        evidence={"simulated": [check_result("order", finding("one event came twice", user="u" * 80))]},
    )
    notebooks = [
        notebook(folder, "load", text("## Load\n\n| a | b |\n|---|---|\n| 1 | 2 |"),
                 code(picture("Load. " * 9), "key"), WIDE, BESIDE, CHART,
                 "import pandas as pd\npd.DataFrame({'user': ['alice'], 'late (ms)': [1.5]})", "print('x' * 300)", "1 / 0"),
        validation(folder, told, text("## Claims"), "from pathlib import Path",
                   "from netra_sim.verdict.claim_tables import claims_table, scores_table",
                   "from netra_sim.verdict.verdict import read_verdict",
                   CHART, f"v = read_verdict(Path({str(folder / 'kept_verdict.json')!r}))",
                   "claims_table(list(enumerate(v.claims, 1))) + scores_table(v.scores)"),
    ]  # fmt: skip
    report = make_report(plan((), notebooks=notebooks), folder / "report")
    assert not [reason for reason in report.reasons if "validation" in reason]  # only the other one divides by zero
    return folder / "report"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing(tab, site, name, width, dark):
    tab.open(site / f"{name}.html", width=width, dark=dark)
    assert violations(tab) == []


def test_a_chart_on_a_phone_keeps_its_words_readable_and_scrolls_in_a_box_of_its_own(tab, site):
    tab.open(site / "load.html", width=390, height=844)
    shown, drawn = tab.evaluate(
        "(one => [one.getBoundingClientRect().width, one.naturalWidth])(document.querySelector('.chart img'))"
    )
    assert 12 * 120 / 72 * shown / drawn >= 9  # pixels of a label of 12 points; charts have 120 dots per inch
    box = tab.evaluate("(one => [one.clientWidth, one.scrollWidth, one.tabIndex])(document.querySelector('.drawing'))")
    assert (box[0] <= 350, box[1] > box[0], box[2]) == (True, True, 0)
    assert tab.evaluate("document.querySelector('.finding').textContent") == "Nothing to show"
    assert tab.evaluate("document.querySelector('.finding').getBoundingClientRect().height") > 0


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_chart_lies_on_the_pages_own_ground(tab, site, dark):
    tab.open(site / "load.html", dark=dark)
    tab.evaluate("document.querySelector('.chart').scrollIntoView({behavior: 'instant'})")
    left, top = tab.evaluate(
        "(box => [box.left, box.top])(document.querySelector('.chart img').getBoundingClientRect())"
    )
    shot = Image.open(io.BytesIO(tab.screenshot())).convert("RGB")
    inside, beside = (shot.getpixel((int(left) + by, int(top) + 5)) for by in (4, -4))
    assert max(abs(one - other) for one, other in zip(inside, beside, strict=True)) <= 2
    assert (sum(inside) < 150) is dark


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_quiet_asks_for_nothing_and_fits_a_phone(tab, site, name):
    tab.open(site / f"{name}.html", width=390, height=844)
    assert [url for url in tab.requests if not url.startswith(("file:", "data:"))] == []
    assert len([url for url in tab.requests if url.startswith("file:")]) == 1
    assert tab.complaints == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_first_stop_of_the_keyboard_leads_to_the_content(tab, site):
    tab.open(site / "index.html")
    for kind in ("keyDown", "keyUp"):
        tab.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert tab.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    for kind in ("rawKeyDown", "char", "keyUp"):
        tab.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r", windowsVirtualKeyCode=13)
    assert tab.evaluate("location.hash") == "#content"


def test_the_verdict_is_on_the_first_screen_of_a_phone(tab, site):
    tab.open(site / "index.html", width=390, height=844)
    assert tab.evaluate("document.querySelector('.decision').getBoundingClientRect().bottom") < 844


def test_the_count_of_the_claims_fits_a_phone_down_to_its_last_column(tab, site):
    tab.open(site / "index.html", width=390, height=844)
    assert tab.evaluate("document.querySelector('.counts table').getBoundingClientRect().right") <= 390


def test_pictures_beside_each_other_have_the_windows_width_and_no_more(tab, site):
    for width, least in ((1280, 600), (2560, 600), (390, 340)):
        tab.open(site / "load.html", width=width, height=844)
        boxes = tab.evaluate(
            "[...document.querySelectorAll('.side-by-side > div')].map(one => one.getBoundingClientRect())"
            ".map(box => [box.left, box.right])"
        )
        assert len(boxes) == 4
        assert all(right - left >= least and left >= 0 and right <= width for left, right in boxes)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width


SHOWN = (
    "[...document.querySelectorAll('main tbody tr')].filter(one => one.checkVisibility()).map(one => one.textContent)"
)


def told(tab):
    return tab.evaluate("document.querySelector('.filter output').textContent")


def go_to(tab, fragment):
    """Follow a link on the page, and wait until the page has noticed."""
    change = f"addEventListener('hashchange', () => done(), {{once: true}}); location.hash = '{fragment}'"
    tab.evaluate(f"new Promise(done => {{ {change} }})")


def test_the_rows_of_the_tables_can_be_found_by_words_from_the_keyboard_and_the_address_keeps_them(tab, site):
    page = site / "validation.html"
    tab.open(page)
    everything = tab.evaluate(SHOWN)
    assert told(tab) == f"{len(everything)} of {len(everything)} rows"
    assert tab.complaints == []
    tab.evaluate("document.querySelector('.filter input').focus()")
    tab.call("Input.insertText", text="WebSocket events")
    wanted = [one for one in everything if "websocket" in one.lower() and "events" in one.lower()]
    assert 0 < len(wanted) < len(everything)
    assert tab.evaluate(SHOWN) == wanted
    assert told(tab) == f"{len(wanted)} of {len(everything)} rows"
    address = tab.evaluate("location.href")
    assert address.endswith("#?find=WebSocket+events")
    tab.open(site / "index.html")
    tab.open(address)
    assert tab.evaluate(SHOWN) == wanted


def test_the_rows_of_the_tables_can_be_picked_by_their_state(tab, site):
    tab.open(site / "validation.html")
    everything = tab.evaluate(SHOWN)
    choices = tab.evaluate("[...document.querySelectorAll('.filter option')].map(one => one.value)")
    assert choices == ["", "given", "proven", "unproven"]
    tab.evaluate(
        "(one => { one.value = 'unproven'; one.dispatchEvent(new Event('input')) })(document.querySelector('select'))"
    )
    wanted = [one for one in everything if "unproven" in one]
    assert len(wanted) == 3
    assert tab.evaluate(SHOWN) == wanted
    assert (
        tab.evaluate("[...document.querySelectorAll('main figure')].filter(one => one.checkVisibility()).length") == 0
    )


def test_a_link_to_a_claim_shows_it_whatever_was_filtered(tab, site):
    tab.open(site / "validation.html")
    go_to(tab, "?find=nothing-has-this")
    assert told(tab).startswith("0 of ")
    go_to(tab, "claim-7")
    assert tab.evaluate("document.getElementById('claim-7').checkVisibility()")


def test_without_scripts_the_page_has_all_its_rows_and_no_control_that_does_nothing(tab, site):
    tab.open(site / "validation.html")
    rows = len(tab.evaluate(SHOWN))
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.open(site / "validation.html")
        assert tab.evaluate("document.querySelector('.filter')") is None
        assert len(tab.evaluate(SHOWN)) == rows
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)


def test_a_page_runs_no_script_but_its_own(tab, site):
    tab.open(site / "validation.html")
    tab.evaluate(
        "(one => { one.textContent = 'window.foreign = 1'; document.body.append(one) })(document.createElement('script'))"
    )
    assert tab.evaluate("window.foreign === undefined")
