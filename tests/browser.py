"""A headless Chromium for tests, driven over its remote debugging protocol; nothing to install but the browser."""

import base64
import itertools
import json
import os
import subprocess
import tempfile
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from websockets.sync.client import connect

from netra_sim.site.pdf import find_chromium


class Tab:
    """One tab; what the page asks the network for and says on the console is kept."""

    def __init__(self, socket):
        self._socket, self._ids = socket, itertools.count(1)
        self.requests, self.complaints, self._loaded = [], [], False
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        answer = self._answer(method, parameters)
        assert "error" not in answer, answer
        return answer["result"]

    def _answer(self, method, parameters):
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("id") == number:
                return message
            self._note(message)

    def prepare(self, script):
        """Run a script at the start of every page that the tab loads from now on."""
        self.call("Page.addScriptToEvaluateOnNewDocument", source=script)

    def open(self, address, *, width=1280, height=900, dark=False):
        """Load a page, from a file or by its URL, and wait until all of it is there."""
        self.requests, self.complaints, self._loaded = [], [], False
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        url = address if str(address).startswith(("http:", "file:")) else Path(address).resolve().as_uri()
        self.call("Page.navigate", url=url)
        while not self._loaded:
            self._note(json.loads(self._socket.recv(timeout=60)))

    def evaluate(self, expression):
        """The value of a JavaScript expression; a promise is waited for. A page that loads again meanwhile is asked anew."""
        parameters = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        answer = self._answer("Runtime.evaluate", parameters)
        while answer.get("error", {}).get("message") == "Inspected target navigated or closed":
            answer = self._answer("Runtime.evaluate", parameters)
        assert "error" not in answer, answer
        done = answer["result"]
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def screenshot(self):
        """What the tab shows, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def _note(self, message):
        method, about = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        elif method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.exceptionThrown" or (method == "Runtime.consoleAPICalled" and about["type"] == "error"):
            self.complaints.append(about)
        elif method == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
            self.complaints.append(about["entry"])


def violations(tab):
    """What axe-core finds on the opened page, each as its impact, its rule and the first place."""
    # axe-playwright-python brings axe-core; importing that package would import more than is needed.
    source = Path(find_spec("axe_playwright_python").origin).with_name("axe.min.js").read_text("utf-8")
    tab.evaluate(f"{source}; null")
    return tab.evaluate("axe.run().then(all => all.violations.map(one => [one.impact, one.id, one.nodes[0].html]))")


@contextmanager
def chromium():
    """A tab of a Chromium of its own; the browser ends with the block. Without one, a test is skipped, but not on GitHub."""
    if find_chromium() is None:
        assert not os.environ.get("GITHUB_ACTIONS"), (
            "GitHub's machines have a browser, in which the pages are looked at"
        )
        pytest.skip("there is no Chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            find_chromium(), "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
            "--disable-background-networking", "--disable-component-update", "--disable-extensions",
            "--remote-debugging-port=0", "--remote-allow-origins=*", f"--user-data-dir={profile}", "about:blank",
        ]  # fmt: skip
        if os.name == "posix" and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as browser:
            try:
                line = next(line for line in browser.stderr if "DevTools listening on" in line)
                with connect(line.split()[-1], max_size=None) as socket:
                    yield _first_tab(socket)
            finally:
                browser.terminate()
                browser.stderr.close()
                browser.wait(30)


def _first_tab(socket):
    socket.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
    targets = json.loads(socket.recv(timeout=60))["result"]["targetInfos"]
    target = next(one["targetId"] for one in targets if one["type"] == "page")
    socket.send(
        json.dumps({"id": 2, "method": "Target.attachToTarget", "params": {"targetId": target, "flatten": True}})
    )
    while True:
        message = json.loads(socket.recv(timeout=60))
        if message.get("id") == 2:
            return Tab(_Session(socket, message["result"]["sessionId"]))


class _Session:
    """The part of the browser's socket that belongs to one tab."""

    def __init__(self, socket, session):
        self._socket, self._session = socket, session

    def send(self, text):
        self._socket.send(json.dumps(json.loads(text) | {"sessionId": self._session}))

    def recv(self, timeout):
        return self._socket.recv(timeout=timeout)
