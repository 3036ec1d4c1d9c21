"""Debian's Chromium without a screen, and the questions that tests ask of a page."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

WAIT = 30.0  # seconds that a page may take; a page that is ready is not waited for

# What a reader can see, in shadow trees too: TensorBoard's pages are made of them.
VISIBLE_TEXT = """
const words = [];
(function walk(node) {
  if (node.nodeType === 3) { words.push(node.data); return; }
  if (node.nodeType === 1) {
    if (['STYLE', 'SCRIPT', 'TEMPLATE', 'NOSCRIPT'].includes(node.tagName)) return;
    if (getComputedStyle(node).display === 'none') return;
  }
  if (node.shadowRoot) walk(node.shadowRoot);
  node.childNodes.forEach(walk);
})(document.body);
return words.join(' ').replace(/\\s+/g, ' ');
"""
# The pictures that are loaded, wherever they stand: [width, height] of each.
PICTURES = """
const found = [];
(function walk(node) {
  if (node.naturalWidth) found.push([node.naturalWidth, node.naturalHeight]);
  if (node.shadowRoot) walk(node.shadowRoot);
  node.childNodes.forEach(walk);
})(document.body);
return found;
"""
# What reaches beyond the window and does not stand in a container that scrolls.
OVERFLOWING = """
const wide = document.documentElement.scrollWidth > innerWidth ? ['the page'] : [];
for (const element of document.body.querySelectorAll('*')) {
  const box = element.getBoundingClientRect();
  if (box.width && box.right > innerWidth + 1 && !element.closest('.scroll, .hidden')) {
    wide.push(`${element.tagName}.${element.className}`);
  }
}
return wide;
"""


def find_program(*names):
    """The path of the first of these programs that is installed, or None."""
    return next((path for name in names if (path := shutil.which(name))), None)


def start_browser(folder):
    """A driver of a fresh Chromium that reaches nothing but this machine."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = find_program("chromium", "chromium-browser")
    for flag in (
        *("headless=new", "no-sandbox", "disable-gpu", "no-first-run", "hide-scrollbars"),
        *("disable-background-networking", "disable-component-update", "disable-dev-shm-usage"),
        *("window-size=1280,900", f"user-data-dir={folder}", "lang=en-US"),
        "host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(find_program("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_page_load_timeout(WAIT)
    driver.set_script_timeout(WAIT)
    return driver


def wait_for(what, seconds=WAIT):
    """The first true value of `what()`; AssertionError with its last value where there is none."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, f"still {found!r} after {seconds:g} s"
        time.sleep(0.05)
    return found


def wait_for_words(driver, *words):
    """Waits until the page shows all of these; its text."""
    seen = ""

    def missing():
        nonlocal seen
        seen = driver.execute_script(VISIBLE_TEXT)
        return [word for word in words if word not in seen]

    end = time.monotonic() + WAIT
    while found := missing():
        assert time.monotonic() < end, f"{found} not in: {seen[:2000]}"
        time.sleep(0.1)
    return seen


def requested(driver):
    """The addresses that were asked for since the last call."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]


def complaints(driver):
    """What the console holds since the last call, warnings included."""
    return [entry["message"] for entry in driver.get_log("browser")]


def show_as(driver, width=1280, height=900, **features):
    """Emulates a screen, and media features such as prefers_color_scheme="dark"."""
    media = [{"name": k.replace("_", "-"), "value": value} for k, value in features.items()]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


class TensorBoard:
    """The real one, on a port of its own, for the time of a `with` statement."""

    def __init__(self, logdir: Path):
        command = [sys.executable, "-m", "tensorboard.main", f"--logdir={logdir}"]
        command += ["--host=127.0.0.1", "--port=0", "--reload_interval=1"]
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> str:
        try:
            return wait_for(self._address, seconds=60)
        except AssertionError:
            self.__exit__()
            raise AssertionError("TensorBoard did not start:\n" + "".join(self._lines)) from None

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=10)
        self._reader.join(timeout=10)
        self._process.stderr.close()

    def _read(self) -> None:
        for line in self._process.stderr:
            self._lines.append(line)

    def _address(self) -> str | None:
        found = re.search(r"http://127\.0\.0\.1:\d+/", "".join(self._lines))
        return found.group() if found else None
