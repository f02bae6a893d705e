"""Prints a page as a tagged PDF, with an installed Chromium."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge", "msedge")
_PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
)
_QUIET = (
    "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions",
)  # fmt: skip
_PATIENCE = 60.0
"""Seconds that printing a page may take."""


def find_chromium() -> str | None:
    """Find a Chromium on ``PATH`` or in the usual places; None if there is none."""
    return next(filter(None, map(shutil.which, (*_NAMES, *_PLACES))), None)


def write_pdf(page: Path, pdf: Path) -> str:
    """Print a page as a PDF.

    Returns:
        why there is no PDF, in a sentence; "" on success.
    """
    chromium = find_chromium()
    if chromium is None:
        return f"no Chromium was found; looked for {', '.join(_NAMES)}"
    # Chromium has no sandbox for root and in some containers. The page is ours, and its policy allows our own script only.
    attempts = [["--no-sandbox"]] if _is_root() else [[], ["--no-sandbox"]]
    reason = ""
    for extra in attempts:
        reason = _print(chromium, extra, page, pdf)
        if not reason:
            return ""
    pdf.unlink(missing_ok=True)
    return reason


def _is_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0


def _print(chromium: str, extra: list[str], page: Path, pdf: Path) -> str:
    with tempfile.TemporaryDirectory(prefix="netra-", ignore_cleanup_errors=True) as profile:
        command = [chromium, *_QUIET, *extra, f"--user-data-dir={profile}", "--no-pdf-header-footer",
                   "--generate-pdf-document-outline", f"--print-to-pdf={pdf}", page.resolve().as_uri()]  # fmt: skip
        try:
            done = subprocess.run(  # noqa: S603
                command, capture_output=True, encoding="utf-8", errors="replace", timeout=_PATIENCE, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{Path(chromium).name} printed nothing: {type(error).__name__}: {error}"
    if done.returncode or not pdf.exists() or not pdf.stat().st_size:
        last = done.stderr.strip().rpartition("\n")[2]
        return f"{Path(chromium).name} printed nothing and ended with {done.returncode}: {last}"
    return ""
