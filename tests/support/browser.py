"""Chromium without a window, driven over its debugging protocol."""

import base64
import importlib.util
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

_AXE = importlib.util.find_spec("axe_core_python")
AXE = (
    Path(_AXE.submodule_search_locations[0]) / "axe.min.js"
    if _AXE and _AXE.submodule_search_locations
    else None
)
"""The script of axe-core, which looks for what people with disabilities cannot use."""

_KEYS = {
    "ArrowLeft": 37, "ArrowDown": 40, "ArrowRight": 39, "Backspace": 8, "Enter": 13, "Tab": 9,
    " ": 32,
}  # fmt: skip


class Tab:
    """One page of a browser."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._number = 0
        self.complaints: list[str] = []
        """Errors of scripts, of the policy and of requests."""
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._number += 1
        self._connection.send(
            json.dumps({"id": self._number, "method": method, "params": parameters})
        )
        while True:
            got = json.loads(self._connection.recv(timeout=60))
            if got.get("id") == self._number:
                assert "error" not in got, got
                return dict(got["result"])
            self._hear(got)

    def goto(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script: str) -> Any:
        """The value of an expression, awaited if it is a promise."""
        result = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, condition: str, timeout_s: float = 30) -> None:
        """Poll an expression until it is true."""
        deadline = time.monotonic() + timeout_s
        while not self.run(f"!!({condition})"):
            if time.monotonic() > deadline:
                seen = self.run("document.body && document.body.innerText")
                raise AssertionError(f"in vain: {condition}; the page shows {seen!r}")
            time.sleep(0.02)

    def audit(self) -> list[str]:
        """Return what axe-core finds serious or critical on the page as it is: rule, element."""
        assert AXE is not None
        self.run(f"{AXE.read_text()}; 0")
        found = self.run("axe.run({resultTypes: ['violations']}).then((each) => each.violations)")
        return [
            f"{each['id']}: {node['html']}"
            for each in found
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"]
        ]

    def press(self, key: str) -> None:
        """Press and release a key."""
        code = _KEYS.get(key) or ord(key.upper())
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        common = {"key": key, "windowsVirtualKeyCode": code}
        kind = "keyDown" if text else "rawKeyDown"
        self.call("Input.dispatchKeyEvent", type=kind, text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def click(self, selector: str, times: int = 1) -> None:
        """Click with the mouse on the middle of an element."""
        box = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'nearest'}); const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for count in range(1, times + 1):
            for kind in ("mousePressed", "mouseReleased"):
                self.call(
                    "Input.dispatchMouseEvent",
                    type=kind,
                    x=box[0],
                    y=box[1],
                    button="left",
                    clickCount=count,
                )

    def resize(
        self, width: int, height: int, pixel_ratio: float = 1, *, phone: bool = False
    ) -> None:
        """Set the page's inside in its own pixels, and how many of the device are one of them.

        0 keeps the ratio of the screen. Only there are pictures drawn as on a real screen.
        """
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=pixel_ratio,
            mobile=phone,
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)

    def picture(self) -> bytes:
        """PNG of what the page shows."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def _hear(self, event: dict[str, Any]) -> None:
        if event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(event["params"]["exceptionDetails"]))
        if event.get("method") == "Log.entryAdded":
            entry = event["params"]["entry"]
            if entry["level"] in ("error", "warning"):
                self.complaints.append(f"{entry['text']} {entry.get('url', '')}")


class Browser:
    """A running Chromium."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connections: list[ClientConnection] = []

    def tab(self) -> Tab:
        import httpx

        made = httpx.put(f"http://127.0.0.1:{self._port}/json/new?about:blank").json()
        connection = connect(made["webSocketDebuggerUrl"], max_size=2**26)
        self._connections.append(connection)
        return Tab(connection)

    def close(self) -> None:
        for each in self._connections:
            each.close()


@contextmanager
def run_browser(folder: Path, pixel_ratio: float = 1) -> Iterator[Browser]:
    """Start Chromium with a profile in `folder`, and end it with the block.

    `pixel_ratio` is that of the screen; the one of `Tab.resize` is drawn in another way.
    """
    assert CHROMIUM is not None
    process = subprocess.Popen(
        [
            CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb",
            "--remote-debugging-port=0", f"--force-device-scale-factor={pixel_ratio}",
            f"--user-data-dir={folder}", "about:blank",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        port_file = folder / "DevToolsActivePort"
        deadline = time.monotonic() + 60
        while not port_file.is_file() or not port_file.read_text().strip():
            assert time.monotonic() < deadline, "Chromium did not start"
            time.sleep(0.05)
        browser = Browser(int(port_file.read_text().split()[0]))
        yield browser
        browser.close()
    finally:
        process.terminate()
        process.wait(30)
