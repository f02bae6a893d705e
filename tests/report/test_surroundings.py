"""A summary says where it was made: with a link to the CI's run, the revision and the machine."""

import os

import pytest

from netra_sim.site.surroundings import made_here, run_link

RUNS = {
    "GitHub": (
        {
            "GITHUB_ACTIONS": "true",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_REPOSITORY": "them/app",
            "GITHUB_RUN_ID": "7",
        },
        "https://github.com/them/app/actions/runs/7",
    ),
    "GitLab": ({"CI_JOB_URL": "https://gitlab.com/t/a/-/jobs/7"}, "https://gitlab.com/t/a/-/jobs/7/artifacts/browse"),
    "Jenkins": ({"BUILD_URL": "https://ci.example/job/a/7/"}, "https://ci.example/job/a/7/"),
    "no CI": ({}, ""),
    "an address with markup": ({"CI_JOB_URL": "https://x/) **GO** ["}, ""),
}


@pytest.mark.parametrize(("variables", "link"), RUNS.values(), ids=RUNS)
def test_the_link_leads_to_the_run_of_the_ci(variables, link):
    assert run_link(variables) == link


def test_the_line_names_revision_and_machine(monkeypatch):
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.setenv("CI_JOB_URL", "https://ci/7")
    line = made_here("abc")
    assert line.startswith("[The run in CI, with all pages](https://ci/7/artifacts/browse); revision abc; on ")
    assert f"with {os.cpu_count()} CPUs, Python 3." in line
