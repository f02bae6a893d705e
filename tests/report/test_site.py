"""The folder that `netra-sim report` writes: pages, summaries, manifest."""

import base64
import hashlib
import json
import re
from html import unescape
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_output
from pages import Page
from tiny_notebooks import check_result, code, finding, judged, notebook, picture, text, validation, verdict

from netra_sim.exit_code import ExitCode
from netra_sim.notebooks import NOTEBOOKS
from netra_sim.notebooks.outcome import Outcome
from netra_sim.notebooks.runner import NotebookRun
from netra_sim.site import summaries
from netra_sim.site.html import notebook_page
from netra_sim.site.report import make_report, plan
from netra_sim.site.safe_html import SafeHtml
from netra_sim.site.site import index_page
from netra_sim.site.writing import write_site
from netra_sim.verdict import CLAIMS, Claim, JudgedClaim, Source, State
from netra_sim.verdict.verdict import save_verdict

NASTY = "<script>alert('x')</script>"
ALT = "A line chart: 95 of 100 events arrive within the objective of 100 ms"
PRINTS_PDF = True
FALLEN = 5
"""The number of the claim that is refuted."""
SITE_FILES = {
    "index.html", "isolation.html", "isolation-code.html", "isolation.ipynb", "validation.html", "validation-code.html",
    "validation.ipynb", "verdict.json", "summary.md", "junit.xml", "results.sarif", "manifest.json", "isolation/kept.txt",
}  # fmt: skip


@pytest.fixture(scope="module")
def begun():
    """The notebook of each cell that the site's report has begun, in order."""
    return []


@pytest.fixture(scope="module")
def site(tmp_path_factory, begun):
    """A NO-GO report with hostile user names."""
    folder = tmp_path_factory.mktemp("site")
    late = check_result("latency", inconclusive="the machine was busy: an echo took 250 ms")
    found = finding(f"{NASTY} received an event of bob's", user=NASTY, run="r|1", event="agent_started", time=1.25)
    claims = [judged(one) for one in CLAIMS]
    refuted = f"content-isolation (simulated): {NASTY} received an event of bob's"
    claims[FALLEN] = JudgedClaim(claim=CLAIMS[FALLEN], state=State.REFUTED, evidence=refuted)
    told = verdict(
        "NO-GO",
        claims=claims,
        seen={"cross-user-isolation": ["a defect"], "order": []},
        reasons=[f"simulated: cross-user-isolation: {NASTY} received an event of bob's"],
        evidence={Source.SIMULATED: [check_result("cross-user-isolation", found), check_result("order"), late]},
        caught={"one-manager": {"cross-user-isolation": 20}, "shared-bridge": {}},
        changes=["the verdict was GO and is NO-GO", "the parameter users was 100 and is 200"],
        regressions=["simulated: cross-user-isolation had passed, and is failed"],
    )
    notebooks = [
        notebook(
            folder, "isolation", text(f"# Isolation\n\nWho received whose? {NASTY}\n\n### Deep"), code(picture(ALT), "key"),
            "import pandas\npandas.DataFrame({'user': ['" + NASTY.replace("'", "") + "']}).style.hide()",
            f"print({NASTY!r}, '\\x1b[31mred\\x1b[0m')\nimport warnings\nwarnings.warn('beware')",
            "print('long ' * 10000)", "open('kept.txt', 'w').write(str(seed)) and None",
        ),
        validation(folder, told, text("## Evidence"), picture("A second picture, that is not for the index")),
    ]  # fmt: skip
    before = [judged(one) for one in CLAIMS]
    before[1] = JudgedClaim(claim=CLAIMS[1], state=State.REFUTED, evidence="")
    save_verdict(folder / "base.json", verdict(version="0.0.9", claims=before))
    tasks = plan([("isolation.seed", "7")], notebooks=notebooks)
    base = folder / "base.json"
    report = make_report(tasks, folder / "report", jobs=1, base=base, on_cell=lambda name, _: begun.append(name))
    return report, folder / "report"


def test_the_validation_begins_first_as_it_takes_longest(site, begun):
    assert list(dict.fromkeys(begun)) == ["validation", "isolation"]


def test_the_index_says_the_verdict_first_and_why_and_what_changed(site):
    report, folder = site
    assert report.code is ExitCode.NO_GO
    said = Page(folder / "index.html").text
    assert said.startswith("NO-GO: Verdict Skip to the content Verdict Isolation Remediation validation Verdict ")
    order = [
        "with its evidence. NO-GO ",
        "Tested",
        "Failed",
        "It means",
        "Refuted",
        "some claims are proven",
        "Why",
        "simulated: cross-user-isolation: ",
        "Worse than the last run in this folder simulated: cross-user-isolation had passed",
        "Scores",
    ]
    order += ["claims that are proven", "9.2 of 10", "What is not proven", "What changed", "users was 100 and is 200"]
    order += ["Key pictures", "What the plan claims", "Words", "Notebooks", "Files", "How this report was made"]
    places = [said.index(words) for words in order]
    assert places == sorted(places)


def test_the_index_names_every_claim_that_is_not_proven_with_its_reason_and_a_given_figure_once(site):
    said = Page(site[1] / "index.html").text
    told = said[said.index("What is not proven") : said.index("What changed")]
    for one in verdict().claims:
        if one.state is State.UNPROVEN:
            assert f"{one.claim.says}. {one.evidence}" in told
    assert told.count("MRR") == 1


def test_refuted_claims_are_named_first_with_cause_and_a_link_to_the_evidence(site):
    page = Page(site[1] / "index.html")
    told = page.text[page.text.index("Refuted") : page.text.index("Why")]
    assert f"content-isolation (simulated): {NASTY} received an event of bob's. {CLAIMS[FALLEN].says}" in told
    cause = f"1 found in 5,000 events, promised none (first: {NASTY} received an event of bob's)"
    assert f"Users received events of other users in the simulation: {cause}. No claim of the plan rests on it." in told
    assert f"validation.html#claim-{FALLEN + 1}" in page.links
    summary = (site[1] / "summary.md").read_text("utf-8")
    assert summary.index("## Refuted") < summary.index("## Why")
    listed = summary[summary.index("## Refuted") : summary.index("## Why")]
    assert re.search(rf"\n- \[[^\n]+\]\(validation\.html#claim-{FALLEN + 1}\): content-isolation \(simulated\)", listed)
    assert (
        "\n- Users received events of other users in the simulation: 1 found in 5,000 events, promised none" in listed
    )


def test_the_summary_of_a_run_in_ci_says_where_the_pages_are_that_it_links_to():
    told, elsewhere = (summaries.markdown(outcome("x"), run=run) for run in ("https://ci/7", ""))
    assert "The links lead to pages of the report, which is among the files of [the run in CI](https://ci/7)." in told
    assert "The links lead" not in elsewhere


def test_every_claim_can_be_linked_to_on_the_validations_page(tmp_path):
    save_verdict(tmp_path / "told.json", verdict())
    path = str(tmp_path / "told.json")
    show = f"import pathlib\nfrom netra_sim.verdict.verdict import read_verdict\ntold = read_verdict(pathlib.Path({path!r}))"
    made = validation(tmp_path, verdict(), show, "told.section('Executive summary')", "told.section('Conclusion')")
    make_report(plan((), notebooks=[made]), tmp_path / "report")
    ids = set(Page(tmp_path / "report" / "validation.html").ids)
    shown = [n for n, one in enumerate(CLAIMS) if one.heading in ("Executive summary", "Conclusion")]
    assert {f"claim-{number + 1}" for number in shown} <= ids


def test_the_digests_of_code_and_data_stand_on_the_first_page_and_in_the_summary(site):
    about = json.loads((site[1] / "verdict.json").read_text("utf-8"))["about"]
    index, summary = Page(site[1] / "index.html").text, (site[1] / "summary.md").read_text("utf-8")
    for name in ("package", "claims", "scenarios", "notebooks", "tests"):
        assert f"{name} {about[name][:12]}" in index
        assert f"{name} {about[name][:12]}" in summary


def test_the_words_say_what_go_requires(site):
    assert "GO No check failed, every claim with a proof is proven," in Page(site[1] / "index.html").text


def test_a_page_has_one_name_in_its_title_its_heading_and_the_links_to_it(site):
    for name, title in (("index", "Verdict"), ("isolation", "Isolation"), ("validation", "Remediation validation")):
        html = (site[1] / f"{name}.html").read_text("utf-8")
        assert f"{title}</title>" in html
        assert f"<h1>{title}</h1>" in html
        assert f'aria-current="page">{title}</a>' in html


def test_the_callers_python_and_pytest_settings_do_not_reach_a_notebook(tmp_path, monkeypatch):
    for name in ("PYTHONOPTIMIZE", "PYTHONPATH", "PYTHONUSERBASE", "PYTEST_ADDOPTS"):
        monkeypatch.setenv(name, "2")
    look = "import os, site\nprint(sorted(name for name in os.environ if name.startswith(('PYTHON', 'PYTEST'))), __debug__)"
    made = notebook(tmp_path, "isolation", look, "print(site.ENABLE_USER_SITE)")
    make_report(plan((), notebooks=[made]), tmp_path / "report")
    said = Page(tmp_path / "report" / "isolation.html").text
    assert "['PYTHONHASHSEED', 'PYTHONNOUSERSITE', 'PYTHONPATH'] True" in said
    assert "False" in said


def test_a_page_names_controls_that_only_jupyterlab_shows(tmp_path):
    made = notebook(tmp_path, "isolation", "import ipywidgets\nipywidgets.VBox([ipywidgets.IntText(7)])")
    make_report(plan((), notebooks=[made]), tmp_path / "report")
    said = Page(tmp_path / "report" / "isolation.html").text
    assert "In JupyterLab this cell shows controls" in said
    assert "VBox" not in said


@pytest.mark.parametrize("made", NOTEBOOKS.values(), ids=lambda made: made.name)
def test_a_page_asks_its_question_once_and_mentions_no_hidden_cell(made):
    (task,) = plan((), notebooks=[made])
    run = NotebookRun(task=task, executed=task.source(), problem="", seconds=1.0)
    said = Page(notebook_page(run, links=[])).text
    assert said.count(made.question) == 1
    assert "cell below" not in said


@pytest.mark.parametrize(
    ("texts", "origin"),
    [
        ([], "0.5 ms of CPU time (assumed; netra-sim calibrate measures it)"),
        ([("step_cost", "0.001")], "1 ms of CPU time (given"),
    ],
)
def test_what_figures_rest_on_stands_on_their_page_and_below_their_picture_on_the_index(texts, origin):
    (task,) = plan(texts, names=["concurrency"])
    executed = task.source()
    (cell,) = [cell for cell in executed.cells if "key" in cell.metadata.get("tags", ())]
    figure = f"<figure class='chart'><img src='data:image/png;base64,AAAA' alt='{ALT}'></figure>"
    cell.outputs = [new_output("display_data", {"text/html": figure})]
    run = NotebookRun(task=task, executed=executed, problem="", seconds=1.0)
    told = Outcome(decision="NO VERDICT", reasons=[], verdict=None, runs=[run])
    for html in (notebook_page(run, links=[]), index_page(told, facts={}, files={})):
        said = Page(str(html)).text
        assert "Simulated, not measured in production: the times of the network" in said
        assert f"Every step of the event loop takes {origin}" in said


def test_key_pictures_stand_on_the_index_with_their_words_and_numbers(site):
    page = Page(site[1] / "index.html")
    assert [image["alt"] for image in page.images] == [ALT]
    assert "The numbers" in page.text
    assert "alice" in page.text


def test_the_index_links_to_every_file_of_the_folder_and_to_nothing_else(site):
    _, folder = site
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files - {"validation.pdf"} == SITE_FILES
    links = {link.partition("#")[0] for link in Page(folder / "index.html").links if not link.startswith("#")}
    assert links == files


def test_a_notebook_has_a_page_without_its_code_and_one_with_it_and_each_links_to_the_other(site):
    plain, coded = Page(site[1] / "isolation.html"), Page(site[1] / "isolation-code.html")
    assert "import pandas" not in plain.text
    assert "import" in coded.text
    assert "pandas" in coded.text
    assert "beware" not in plain.text
    assert "beware" in coded.text
    assert "isolation-code.html" in plain.links
    assert "isolation.html" in coded.links
    assert "isolation.ipynb" in plain.links


@pytest.mark.parametrize("name", ["index", "isolation", "isolation-code", "validation", "validation-code"])
def test_every_page_is_self_contained_and_accessible(site, name):
    path = site[1] / f"{name}.html"
    page, html = Page(path), path.read_text("utf-8")
    assert [load for load in page.loads if not load.startswith("data:image/png;base64,")] == []
    assert not {"iframe", "object", "form"} & set(page.tags)
    scripts = re.findall(r"<script>(.*?)</script>", html, re.S)
    assert len(scripts) == page.tags.count("script") == (0 if name == "index" else 1)
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"script-src 'sha256-{digest}';" in unescape(html)
    assert "url(" not in html
    assert "default-src 'none'" in unescape(html)
    assert not [attribute for attribute in page.attributes if attribute.startswith("on")]
    assert page.unbalanced == []
    assert page.headings.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(page.headings, page.headings[1:], strict=False))
    assert len(page.ids) == len(set(page.ids))
    assert {"header", "nav", "main", "footer"} <= set(page.tags)
    assert 'lang="en"' in html
    assert page.links[0] == "#content"
    assert all(len(image["alt"]) > 20 for image in page.images)
    assert html.count("<table") == html.count('<div class="scroll" tabindex="0"')
    assert NASTY in page.text


def test_a_long_output_is_cut_and_says_so(site):
    page = Page(site[1] / "isolation.html")
    assert re.search(r"30,00\d more characters in the executed notebook", page.text)


def test_the_manifest_has_versions_parameters_times_and_the_digest_of_every_file(site):
    _, folder = site
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert manifest["decision"] == "NO-GO"
    assert manifest["complete"]
    assert manifest["command"] == "netra-sim report --notebook isolation --notebook validation -p isolation.seed 7"
    assert manifest["notebooks"]["isolation"]["parameters"]["seed"] == 7
    assert manifest["notebooks"]["validation"]["seconds"] > 0
    assert manifest["headline"] == "NO-GO: some claims are proven"
    assert manifest["histories"] == {"simulated": "ab" * 32}
    assert manifest["packages"]["papermill"]
    on_disk = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(manifest["files"]) == on_disk - {"manifest.json"}
    for name, about in manifest["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == about["sha256"]
    assert (folder / "isolation" / "kept.txt").read_text() == "7"


def test_the_pdf_is_there_or_the_index_says_why_not(site):
    _, folder = site
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    if (folder / "validation.pdf").exists():
        assert (folder / "validation.pdf").read_bytes().startswith(b"%PDF")
        assert b"StructTreeRoot" in (folder / "validation.pdf").read_bytes()
        assert manifest["no_pdf"] == ""
    else:
        assert manifest["no_pdf"]
        assert f"no PDF: {manifest['no_pdf']}" in Page(folder / "index.html").text


def test_without_a_chromium_the_report_is_whole_and_says_why_there_is_no_pdf(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("netra_sim.site.pdf._PLACES", ())
    (task,) = plan((), notebooks=[validation(tmp_path, verdict())])
    run = NotebookRun(task=task, executed=task.source(), problem="", seconds=1.0)
    (tmp_path / "report").mkdir()
    write_site(Outcome(decision="GO", reasons=[], verdict=verdict(), runs=[run]), tmp_path / "report", seconds=1.0)
    assert "no PDF: no Chromium was found" in Page(tmp_path / "report" / "index.html").text
    assert "no Chromium" in json.loads((tmp_path / "report" / "manifest.json").read_text("utf-8"))["no_pdf"]


def test_the_summary_counts_the_claims_by_heading_and_shows_no_markup_of_the_logs(site):
    summary = (site[1] / "summary.md").read_text("utf-8")
    assert summary.startswith("# Validation: NO-GO\n\n")
    assert re.search(r"^(.*; )?on \w+ .* with \d+ CPUs, Python 3", summary, re.M)
    assert re.search(
        r"^\d+ of \d+ claims of the plan are proven; 1 refuted, \d+ unproven, 0 not enough evidence, \d+ given\.$",
        summary,
        re.M,
    )
    assert "| Executive summary | 4 | 0 | 0 | 0 | 1 |" in summary
    assert (
        "## Worse than the last run in this folder\n\n- simulated: cross-user-isolation had passed, and is failed"
        in summary
    )
    assert "<" not in summary


def test_junit_has_a_case_for_each_claim_check_defect_and_notebook(site):
    cases = {
        (suite.get("name"), case.get("name")): case
        for suite in ElementTree.parse(site[1] / "junit.xml").getroot()
        for case in suite
    }
    told = json.loads((site[1] / "verdict.json").read_text("utf-8"))
    assert {name for suite, name in cases if suite == "claims"} == {one["claim"]["says"] for one in told["claims"]}
    failure = cases["simulated", "cross-user-isolation"].find("failure")
    assert failure.text == f"{NASTY} received an event of bob's ({NASTY}, r|1, agent_started, at 1.250 s)"
    assert len(cases["simulated", "order"]) == 0
    assert len(cases["defects", "one-manager"]) == 0
    assert cases["defects", "shared-bridge"].find("failure").get("message") == "no check caught this defect"
    assert len(cases["notebooks", "isolation"]) == 0
    assert cases["simulated", "latency"].find("skipped").get("message").startswith("not judged: the machine was busy")
    assert len(cases["self-proofs", "cross-user-isolation"]) == 0
    assert cases["self-proofs", "order"].find("failure").get("message").endswith("never seen to detect anything")
    assert cases["verdict", "NO-GO: some claims are proven"].find("failure") is not None


def test_sarif_says_which_verdict_it_belongs_to(site):
    run = json.loads((site[1] / "results.sarif").read_text("utf-8"))["runs"][0]
    assert run["automationDetails"]["description"]["text"] == "NO-GO: some claims are proven"


def test_a_base_verdict_names_what_has_changed_since(site):
    _, folder = site
    index = Page(folder / "index.html").text
    worse = "Worse than the base the verdict was GO and is NO-GO"
    assert worse in index
    assert worse in " ".join((folder / "summary.md").read_text("utf-8").replace("- ", "").split())
    for said in (index, (folder / "summary.md").read_text("utf-8")):
        assert "ince the base" in said
        assert "the version was 0.0.9 and is 0.1.0" in said
        assert "was refuted, is proven" in said


texts = st.text() | st.sampled_from(
    [
        NASTY,
        "</ul></main>",
        '"><img src=x onerror=alert(1)>',
        "<!--",
        "]]>",
        "&lt;",
        "\x00",
        "javascript:alert(1)",
        "a|b\n# c",
    ]
)


def outcome(reason, change="x", score="x", heading="x", **fields):
    claim = Claim(says=reason, heading=heading, why="y")
    claims = [JudgedClaim(claim=claim, state=State.REFUTED, evidence=change)]
    told = verdict(
        "NO-GO", headline=reason, reasons=[reason], changes=[change], scores={score: 5.0}, claims=claims, **fields
    )
    return Outcome(decision="NO-GO", reasons=told.reasons, verdict=told, runs=[], no_pdf=reason)


@given(reason=texts, change=texts, score=texts, heading=texts)
def test_no_text_can_add_anything_but_words_to_the_index(reason, change, score, heading):
    plain = Page(index_page(outcome(reason="x", change="x", score="x", heading="x"), facts={"x": "x"}, files={"x": 1}))
    facts, files = {heading: reason}, {score: 1}
    page = Page(
        index_page(outcome(reason=reason, change=change, score=score, heading=heading), facts=facts, files=files)
    )
    assert page.tags == plain.tags
    assert page.attributes == plain.attributes
    assert page.unbalanced == []


tags = st.sampled_from(
    ["<b>", "<table><th>", "<p onclick=x>", "<h1>", "<a href='javascript:x'>", "<link rel=stylesheet href=x>",
     "<base href=x>",
     "<meta http-equiv=refresh content='0;url=x'>", "<input autofocus onfocus=x>", "<embed src=x>", "<marquee>"]
)  # fmt: skip


@given(st.lists(texts | tags))
def test_html_of_a_notebook_is_rebuilt_without_anything_that_runs_or_loads(pieces):
    safe = SafeHtml()
    page = Page("".join(safe(piece) for piece in pieces) + safe("".join(pieces)))
    assert page.unbalanced == []
    assert set(page.tags) <= {"a", "b", "div", "h2", "h3", "img", "p", "table", "tbody", "tr", "th", "ul", "li"}
    assert not [name for name in page.attributes if name.startswith("on") or name == "style"]
    assert [load for load in page.loads if not load.startswith("data:image/")] == []
    assert not [link for link in page.links if link and not re.match(r"https?://|mailto:|#|[\w.-]+(/[\w.-]+)*\Z", link)]
    assert 1 not in page.headings


def test_a_header_without_words_over_a_column_becomes_a_cell_and_one_with_words_stays():
    html = (
        "<table><thead><tr><th colspan='2'> </th><th>user</th></tr></thead><tbody><tr><th>0</th></tr></tbody></table>"
    )
    rebuilt = SafeHtml()(html)
    assert '<td colspan="2"></td><th scope="col">user</th>' in rebuilt
    assert '<th scope="row">0</th>' in rebuilt


def test_scripts_and_styles_in_the_html_of_a_notebook_go_with_all_that_is_in_them():
    html = "<p>a</p><script>if (1<b>2) x()</script><style>p {}</style><svg><a>x</a></svg><iframe>y</iframe>z"
    assert SafeHtml()(html) == "<p>a</p>z"


@given(message=texts, user=texts, name=texts)
def test_no_text_breaks_the_junit_file(message, user, name):
    evidence = {Source.SIMULATED: [check_result(name, finding(message, user=user))]}
    root = ElementTree.fromstring(summaries.report_junit(outcome(message, name, evidence=evidence)))
    assert {suite.get("name"): len(list(suite)) for suite in root} == {
        "verdict": 1, "claims": 1, "simulated": 1, "self-proofs": 1, "defects": 1,
    }  # fmt: skip


@given(texts)
def test_no_text_adds_markup_or_lines_to_the_summary(reason):
    plain, summary = (summaries.markdown(outcome(text, text, text, text)) for text in ("x", reason))
    assert "<" not in summary
    assert summary.count("\n") == plain.count("\n")
    written = summary.partition("## Refuted")[2].partition("## Claims of the plan")[0]
    assert not re.search(r"(?<!\\)[`|]", written)
