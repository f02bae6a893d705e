"""Where a report was made: the CI's run, the revision, and the machine."""

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

_URL = re.compile(r"https?://[^\s<>()\[\]|\\]+\Z")


def made_here(revision: str) -> str:
    """A line of Markdown that says where a report was made.

    Args:
        revision: of the code that was judged; "" if it is unknown.
    """
    link = run_link(os.environ)
    parts = [f"[The run in CI, with all pages]({link})" if link else "", f"revision {revision}" if revision else ""]
    return "; ".join([*filter(None, parts), f"on {machine()}"]) + "."


def run_link(environment: Mapping[str, str]) -> str:
    """The address of the CI's run by its environment variables (GitHub, GitLab, Jenkins); "" outside a CI."""
    have = environment.get
    link = ""
    if have("GITHUB_ACTIONS"):
        link = f"{have('GITHUB_SERVER_URL')}/{have('GITHUB_REPOSITORY')}/actions/runs/{have('GITHUB_RUN_ID')}"
    elif job := have("CI_JOB_URL"):
        link = f"{job}/artifacts/browse"
    elif build := have("BUILD_URL"):
        link = build
    return link if _URL.match(link) else ""


def machine() -> str:
    """The machine in a few words, and how busy it is now, which bounds what latencies of real servers mean."""
    words = f"{platform.system()} {platform.machine()} with {os.cpu_count()} CPUs, Python {platform.python_version()}"
    if not hasattr(os, "getloadavg"):  # Windows
        return words
    return f"{words}, load average {os.getloadavg()[0]:.1f} at the end"


def revision_of(folder: Path) -> str:
    """The Git revision of a checkout; "" outside a checkout."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(  # noqa: S603 - fixed but for the path
            command, capture_output=True, encoding="utf-8", errors="replace", check=False
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
