"""The timeline page: both runs with their lanes, holds and first difference, in one file that any browser shows offline."""

import asyncio
import re

import pytest
from browser import chromium

from netra_sim.exploration import explore, run_trial, shrink
from netra_sim.simulation import Scenario, find_scenario
from netra_sim.site.timeline import timeline_page


async def oversold(steps=12, others=0):
    sold = []

    async def book(user, steps_before):
        for _ in range(steps_before):
            await asyncio.sleep(0)
        if not sold:
            await asyncio.sleep(0)
            sold.append(user)

    async def look_on(number):
        await asyncio.sleep(number)

    await asyncio.gather(book("<ann>", 0), book("bob", steps), *map(look_on, range(others)))
    assert len(sold) == 1, "the seat was sold <twice>"


async def many_tasks():
    await oversold(others=20)


async def many_steps():
    for _ in range(300):
        await asyncio.sleep(0.001)
    await oversold()


SHARED_ANSWER = """
import asyncio, json

last = {}

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    last.update(json.loads((await receive())["body"]))
    await asyncio.sleep(0.05)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    answer = {"type": "token", "content": last["text"]}
    await send({"type": "http.response.body", "body": b"data: %s\\n\\n" % json.dumps(answer).encode()})
"""


def page_of(main):
    return timeline_page(explore(main, seeds=2_000, jobs=1).failure, "seats.py:main")


@pytest.fixture(scope="module")
def page():
    return page_of(oversold)


@pytest.fixture(scope="module")
def crashed():
    trial = run_trial(
        find_scenario("agent-crashes").with_settings({"expect": [], "users": 2, "faults.0.share": 1.0}), 1
    )
    return timeline_page(shrink(trial), "agent-crashes", "netra-sim simulate agent-crashes")


def lanes(page):
    return re.findall(r'<li style="height: \d+px" title="([^"]*)">', page)


def test_both_runs_are_there_with_a_lane_for_each_task(page):
    assert re.findall(r'<h3 id="(\w+)">', page) == ["passing", "failing"]
    assert lanes(page)[:4] == [
        "oversold(12, 0)",
        "book(&#39;&lt;ann&gt;&#39;, 0)",
        "book(&#39;bob&#39;, 12)",
        "callbacks of the loop",
    ]


def test_the_hold_is_a_bar_with_the_line_at_which_the_task_is_held(page):
    passing, failing = page.split('<h3 id="failing">')
    bar = r'<rect class="hold" x="[\d.]+" y="[\d.]+" width="([\d.]+)"[^>]*><title>held at test_timeline\.py:\d+ \(await'
    assert re.search(bar, passing) is None
    assert float(re.search(bar, failing)[1]) > 12 * 15


def test_the_first_difference_is_at_the_same_place_in_both(page):
    places = re.findall(r'<line class="divergence" x1="([\d.]+)"', page)
    assert len(places) == 2
    assert places[0] == places[1]


def test_the_failure_is_told_as_text_and_what_a_program_says_is_escaped(page):
    assert "AssertionError: the seat was sold &lt;twice&gt;" in page
    assert "Traceback (most recent call last):" in page
    assert "<twice>" not in page
    assert re.search(r"netra-sim explore \S*test_timeline\.py:oversold --seed \d+ --order holds:", page)


def test_each_picture_has_its_content_in_words(page):
    for name, words in (("passing", "The run passes."), ("failing", "is held for 12 steps at test_timeline.py:")):
        assert words in re.search(rf'<desc id="{name}-words">(.*?)</desc>', page)[1]


def test_many_tasks_share_the_lane_of_their_coroutine_and_the_held_one_keeps_its_own():
    named = lanes(page_of(many_tasks))
    assert len(named) <= 2 * 13
    assert "look_on" in named
    assert "book(&#39;&lt;ann&gt;&#39;, 0)" in named


def test_a_long_run_is_cut_and_the_page_says_so():
    page = page_of(many_steps)
    assert re.search(r"\d{3} of its steps are left out: the picture has those around the holds", page)
    assert re.search(r">\d{3} steps left out</text>", page)
    assert page.count('<circle class="step') < 2 * 160
    assert "held at test_timeline.py:" in page


def test_faults_and_messages_of_a_scenario_are_drawn(crashed):
    assert {"faults", "published", "received"} <= set(lanes(crashed))
    assert "agent-crash begins" in crashed
    assert "agent_error #" in crashed
    assert '<line class="link"' in crashed
    assert "netra-sim simulate agent-crashes" in crashed


def test_what_a_check_finds_is_drawn_with_the_steps_around_it(tmp_path, monkeypatch):
    (tmp_path / "shared_answer.py").write_text(SHARED_ANSWER)
    monkeypatch.chdir(tmp_path)
    scenario = Scenario.from_mapping(
        {
            "users": 2,
            "platform": {"order": "random"},
            "workload": {"arrivals": {"kind": "burst", "at": 0.5, "width": 0.0}},
            "system": {"app": "shared_answer:app"},
            "client": {"kind": "sse-json", "path": "/", "body": {"text": "{text}"}, "end_of_body": True},
        }
    )
    trial = shrink(run_trial(scenario, 1))
    page = timeline_page(trial, "shared-answer")
    (finding,) = {result.check: result for result in trial.results}["content-isolation"].findings
    assert "findings" in lanes(page)
    assert re.search(r'<path class="findings" d="M[^"]*"><title>t=\d\.\d+  user-\d received data of user-\d', page)
    steps = re.findall(r"<td>([\d.]+)</td>", page)
    assert any(abs(float(time) - finding.time) < 1e-5 for time in steps if "." in time)


def test_a_trial_that_was_not_shrunk_is_refused_with_what_to_do():
    with pytest.raises(ValueError, match="hand the trial to shrink"):
        timeline_page(run_trial(find_scenario("thin-line"), 1), "thin-line")


@pytest.mark.parametrize("look", [{}, {"dark": True}, {"width": 390, "height": 844}], ids=["light", "dark", "phone"])
def test_a_browser_shows_it_without_the_network_and_no_wider_than_the_window(tmp_path, page, crashed, look):
    with chromium() as tab:
        for name, html in (("program", page), ("scenario", crashed)):
            (tmp_path / f"{name}.html").write_text(html, "utf-8")
            tab.open(tmp_path / f"{name}.html", **look)
            assert [url for url in tab.requests if not url.startswith(("file:", "data:"))] == []
            assert len([url for url in tab.requests if url.startswith("file:")]) == 1
            assert tab.complaints == []
            assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            heights = "[...document.querySelectorAll('.timeline')].map(one => one.querySelector('ol').clientHeight)"
            assert all(height > 40 for height in tab.evaluate(heights))
