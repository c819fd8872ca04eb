"""The pages in a real browser: what they ask for, and what they look like in light and in dark."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.conftest import write_clip
from tests.results.test_report import epoch, metrics_of, metrics_of_pairs, result_of
from videoclf.results.report import write_report

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
DARK, LIGHT = 0, 1
"""Chromium's numbers for ``prefers-color-scheme``."""
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-default-apps",
)  # fmt: skip


class Proxy:
    """Stands between the browser and the world, and lets nothing through."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self._lines.append(connection.recv(4096).decode("latin-1").partition("\r\n")[0])

    @property
    def asked_for(self) -> list[str]:
        """The first line of each request, but those of the browser's own clock and account: to its maker."""
        return [line for line in self._lines if ".google.com" not in line and ".googleapis.com" not in line]

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    proxy = Proxy()
    yield proxy
    proxy.close()


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"needs a browser: none of {', '.join(BROWSERS)} is installed")
    return found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    clips = [
        result_of(str(write_clip(folder / "a.mp4", 5)), "walk", ("run", 0.9), ("walk", 0.1)),
        result_of("gone.mp4", '<img src="http://elsewhere.example/label.png">', ("run", 0.6)),
    ]
    write_report(
        folder / "report.html", title="Walkers", metrics=metrics_of("walk", "run", "sit"),
        epochs=[epoch(1), epoch(2)], clips=clips,
    )  # fmt: skip
    return folder / "report.html"


def browse(browser: str, proxy: Proxy, page: Path, *options: str) -> str:
    """What the browser prints, everything that the page asks for sent to the proxy."""
    command = [
        browser, *QUIET, f"--user-data-dir={page.parent / 'profile'}", f"--proxy-server={proxy.address}",
        "--proxy-bypass-list=<-loopback>", *options, page.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def screenshot(browser: str, proxy: Proxy, page: Path, scheme: int) -> np.ndarray:
    """``H×W×3`` of its first 2400 rows."""
    path = page.with_name(f"scheme{scheme}.png")
    browse(
        browser, proxy, page, f"--screenshot={path}", "--window-size=1000,2400",
        f"--blink-settings=preferredColorScheme={scheme}",
    )  # fmt: skip
    picture = cv2.imread(str(path))
    assert picture is not None
    return picture


def test_the_page_asks_for_nothing(browser: str, proxy: Proxy, report: Path) -> None:
    shown = browse(browser, proxy, report, "--dump-dom")
    assert "<h1>Walkers</h1>" in shown
    assert proxy.asked_for == []


def test_the_pages_policy_stops_what_would_ask(browser: str, proxy: Proxy, report: Path, tmp_path: Path) -> None:
    """With the policy taken out, the very same picture is asked for: so the test above would see it."""
    asking = report.read_text(encoding="utf-8").replace("<h1>", '<img src="http://elsewhere.example/planted.png"><h1>')
    (tmp_path / "with.html").write_text(asking, encoding="utf-8")
    browse(browser, proxy, tmp_path / "with.html", "--dump-dom")
    assert proxy.asked_for == []
    (tmp_path / "without.html").write_text(asking.replace("Content-Security-Policy", "nothing"), encoding="utf-8")
    browse(browser, proxy, tmp_path / "without.html", "--dump-dom")
    assert proxy.asked_for == ["GET http://elsewhere.example/planted.png HTTP/1.1"]


@pytest.mark.parametrize("scheme", [LIGHT, DARK])
def test_it_can_be_read_in_light_and_in_dark(browser: str, proxy: Proxy, report: Path, scheme: int) -> None:
    picture = screenshot(browser, proxy, report, scheme)
    ground = np.median(picture)
    assert ground > 240 if scheme == LIGHT else ground < 40
    assert np.ptp(picture) > 200  # text stands out from it
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 100  # curves, squares, a picture


def test_a_hundred_classes_fit_a_window(browser: str, proxy: Proxy, tmp_path: Path) -> None:
    """No column has to be scrolled to: there are as many blue squares side by side as classes."""
    write_report(
        tmp_path / "report.html", title="Many",
        metrics=metrics_of_pairs(101, *((number, number) for number in range(101))),
    )  # fmt: skip
    path = tmp_path / "many.png"
    browse(
        browser, proxy, tmp_path / "report.html", f"--screenshot={path}", "--window-size=1400,5000",
        f"--blink-settings=preferredColorScheme={LIGHT}",
    )  # fmt: skip
    picture = cv2.imread(str(path))
    assert picture is not None
    is_blue_W = (np.abs(picture.astype(int) - (0xDF, 0x96, 0x55)) < 12).all(axis=2).any(axis=0)
    assert np.count_nonzero(np.diff(is_blue_W.astype(int)) == 1) == 101
