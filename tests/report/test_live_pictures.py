"""Pictures that a page draws again, to point at, to zoom and to take apart; without that, the static picture is there."""

import hashlib
import re
from html import unescape
from pathlib import Path

import msgspec
import pytest
from browser import chromium, violations

import netra_sim.site
from netra_sim import check
from netra_sim.charts import around_faults, by_user, isolation_matrix, latency_ecdfs, latency_over_time, recovery
from netra_sim.simulation import find_scenario, simulate
from netra_sim.site.run_page import RunPage, run_page
from netra_sim.site.safe_html import SafeHtml

LIBRARY = Path(netra_sim.site.__file__).parent / "live" / "uPlot.iife.min.js"


@pytest.fixture(scope="module")
def history():
    return simulate(find_scenario("stalled-sockets"), seed=7)


@pytest.fixture(scope="module")
def page(history, tmp_path_factory):
    path = tmp_path_factory.mktemp("live") / "run.html"
    path.write_text(run_page(history, check(history), RunPage("a run", "netra-sim check x")), "utf-8")
    return path


@pytest.fixture(scope="module")
def browser():
    with chromium() as tab:
        yield tab


@pytest.fixture
def tab(browser, page):
    browser.open(page)
    browser.evaluate("document.querySelector('.live-box').scrollIntoView({block: 'center', behavior: 'instant'})")
    return browser


def place(tab, share):
    """Where the pixel is that lies at a share of the first live picture's width, in its middle."""
    left, top, width, height = tab.evaluate(
        "(box => [box.left, box.top, box.width, box.height])"
        "(document.querySelector('.live-box .u-over').getBoundingClientRect())"
    )
    return {"x": left + share * width, "y": top + height / 2}


def mouse(tab, kind, share, **more):
    tab.call("Input.dispatchMouseEvent", type=kind, **place(tab, share), **more)
    tab.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def readout(tab):
    return tab.evaluate("document.querySelector('.readout').textContent")


def style(tab, selector, name="display"):
    return tab.evaluate(f"getComputedStyle(document.querySelector('{selector}')).{name}")


def drawn(picture):
    found = re.search(r' data-live="([^"]*)"', picture._repr_html_())
    return msgspec.json.decode(unescape(found[1])) if found else None


def test_pointing_at_a_picture_reads_the_values_of_all_its_lines_from_a_page_on_disk(tab):
    mouse(tab, "mouseMoved", 0.6)
    assert re.fullmatch(r"[\d.]+ m?s: before [\d.]+%; during [\d.]+%; after [\d.]+%", readout(tab))
    assert [url for url in tab.requests if not url.startswith(("data:", "file:"))] == []
    assert tab.complaints == []


def test_dragging_zooms_and_a_button_shows_all_again(tab):
    mouse(tab, "mouseMoved", 0.99)
    before = readout(tab).partition(":")[0]
    for kind, share in (("mouseMoved", 0.3), ("mousePressed", 0.3), ("mouseMoved", 0.5), ("mouseReleased", 0.5)):
        mouse(tab, kind, share, button="left", clickCount=1, buttons=1)
    mouse(tab, "mouseMoved", 0.99)
    assert readout(tab).partition(":")[0] != before
    tab.evaluate("document.querySelector('.toggles button:not([hidden]):not([aria-pressed])').click()")
    mouse(tab, "mouseMoved", 0.98)
    mouse(tab, "mouseMoved", 0.99)
    assert readout(tab).partition(":")[0] == before


def test_a_line_is_taken_out_and_put_back_by_its_name(tab):
    tab.evaluate("document.querySelector('.toggles button').click()")
    assert tab.evaluate("document.querySelector('.toggles button').getAttribute('aria-pressed')") == "false"
    mouse(tab, "mouseMoved", 0.6)
    assert "before" not in readout(tab)
    tab.evaluate("document.querySelector('.toggles button').click()")
    mouse(tab, "mouseMoved", 0.5)
    assert "before" in readout(tab)


def test_the_keyboard_reads_values_too(tab):
    tab.evaluate("document.querySelector('.live-box').focus()")
    told = []
    for _ in range(2):
        tab.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight")
        tab.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        told.append(readout(tab))
    assert "before" in told[0]
    assert told[0] != told[1]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(browser, page, width, dark):
    browser.open(page, width=width, dark=dark)
    assert violations(browser) == []
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert style(browser, ".is-live .drawing") == "none"


def test_print_shows_the_static_picture(tab):
    tab.call("Emulation.setEmulatedMedia", media="print")
    try:
        assert style(tab, ".is-live .drawing") == "block"
        assert style(tab, ".live") == "none"
    finally:
        tab.call("Emulation.setEmulatedMedia", media="")


def test_without_javascript_the_static_picture_is_there(browser, page):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(page)
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert style(browser, "[data-live] .drawing") == "block"
    assert browser.evaluate("document.querySelectorAll('.is-live, canvas').length") == 0


def test_numbers_that_nobody_can_draw_leave_the_static_picture(browser, page, tmp_path):
    axis = '{"limits": [0, 1], "log": true, "unit": "share", "label": ""}'
    for number, broken in enumerate(
        ("{", "{}", f'{{"panels": [{{"x": {axis}, "y": {axis}, "series": [], "rules": []}}], "faults": []}}')
    ):
        path = tmp_path / f"{number}.html"
        text = re.sub(
            r' data-live="[^"]*"', lambda _, new=broken: f" data-live='{new}'", page.read_text("utf-8"), count=1
        )
        path.write_text(text, "utf-8")
        browser.open(path)
        assert style(browser, "[data-live] .drawing") == "block"
        assert browser.evaluate("document.querySelectorAll('.is-live').length") > 0


def test_lines_and_cells_are_those_of_the_static_picture(history):
    parts = around_faults(history)
    panel = drawn(latency_ecdfs(parts, 0.1))["panels"][0]
    assert [one["name"] for one in panel["series"]] == list(parts)
    assert [(one["name"], one["along"], one["at"]) for one in panel["rules"]] == [("objective", "y", 0.1)]
    cells = drawn(latency_over_time(history, 0.1))
    assert sum(count for _, _, count in cells["panels"][0]["cells"]["filled"]) == sum(map(len, parts.values()))
    assert cells["faults"] == [["stalled-socket", [6.0, 21.0]]]
    assert [[one["name"] for one in panel["series"]] for panel in drawn(recovery(history, 0.1))["panels"]] == [
        ["p95 of events"],
        ["users connected"],
    ]


def test_many_small_panels_become_one_with_each_line_once(history):
    series = by_user(history)
    panels = drawn(latency_ecdfs(series, 0.1))["panels"]
    assert [one["name"] for one in panels[0]["series"]] == list(series)[:12]
    assert len(panels) == 1


def test_a_picture_that_gains_nothing_stays_as_it_is(history):
    assert drawn(isolation_matrix(history)) is None


def test_only_a_figure_keeps_its_numbers():
    safe = SafeHtml()('<figure data-live="{}"><p data-live="{}" data-other="x">x</p></figure>')
    assert safe == '<figure data-live="{}"><p>x</p></figure>'


def test_the_library_is_the_one_that_its_authors_released():
    digest = "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f"  # version 1.6.32
    assert hashlib.sha256(LIBRARY.read_bytes().replace(b"\r\n", b"\n")).hexdigest() == digest
