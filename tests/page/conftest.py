"""The report in a real browser, Chromium driven by Selenium, and the pages that it opens."""

import base64
import importlib.util
import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from tests.page.linked import linked
from tests.page.made import made_study
from tests.unit.report.made import built

# The finished study is the one that the tests of the workflow read.
from tests.workflow.conftest import study  # noqa: F401

WIDTHS = (320, 390, 768, 1119, 1400, 1920)  # pixels, phones to wide screens
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")


def pytest_collection_modifyitems(items):
    """Mark what waits for the finished study as the workflow's, and all else here as slow."""
    for item in items:
        if "tests/page/" in item.path.as_posix():
            names = getattr(item, "fixturenames", ())
            item.add_marker("workflow" if "study" in names or "any_page" in names else "slow")


class Browser:
    """A page in Chromium, and what the page did there."""

    def __init__(self, driver: Any):
        self.driver = driver
        self._axe = ""

    def open(self, path: Path, *, width: int = 1400, height: int = 900, dark: bool = False) -> None:
        """Show a file, in a window of so many CSS pixels; forgets what earlier pages did."""
        self.dark(dark)
        self.resize(width, height)
        self.driver.get("about:blank")
        self.command("Performance.enable", timeDomain="threadTicks")
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)
        self.driver.get(path.as_uri())

    def resize(self, width: int, height: int = 900) -> None:
        """Give the page so many CSS pixels, fewer than a window may have too."""
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def dark(self, dark: bool) -> None:
        """Ask for the dark or the light page, as the reader's system does."""
        self.media(scheme="dark" if dark else "light")

    def media(self, kind: str = "", scheme: str = "light") -> None:
        """Show the page as on a medium: ``print``, or the screen by default."""
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            # Elements are clicked at once, wherever the page scrolls to for it.
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.command("Emulation.setEmulatedMedia", media=kind, features=features)

    def command(self, name: str, **arguments: Any) -> Any:
        """Give a command of Chrome's protocol."""
        return self.driver.execute_cdp_cmd(name, arguments)

    def js(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page, and return what it returns."""
        return self.driver.execute_script(script, *arguments)

    def all(self, selector: str) -> list[Any]:
        """Find the elements that a CSS selector names."""
        return self.driver.find_elements("css selector", selector)

    def one(self, selector: str) -> Any:
        """Find the first element that a CSS selector names."""
        return self.driver.find_element("css selector", selector)

    def unfold(self, around: Any = None) -> None:
        """Open every fold of the page, or those around an element."""
        if around is None:
            self.js("for (const fold of document.querySelectorAll('details')) fold.open = true")
        else:
            self.js(
                "for (let at = arguments[0]; at; at = at.parentElement)"
                "if (at.tagName === 'DETAILS') at.open = true",
                around,
            )

    def jobs(self) -> set[str]:
        """Return the headings of the dialog of jobs, for which a busy machine may take its time."""
        deadline = time.monotonic() + 10
        while not (jobs := self.all("dialog summary")) and time.monotonic() < deadline:
            time.sleep(0.05)
        return {one.text for one in jobs}

    def errors(self) -> list[str]:
        """List what the page wrote to its console since it was opened: errors and warnings."""
        return [f"{entry['level']}: {entry['message']}" for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """List the addresses that were asked for since the page was opened, but for what it holds
        itself."""
        events = [
            json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")
        ]
        addresses = [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]
        return [one for one in addresses if not one.startswith(("data:", "blob:", "about:"))]

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than its window."""
        return self.js("return document.documentElement.scrollWidth - window.innerWidth")

    def downloaded(self, ending: str) -> Path:
        """Wait for a file that the page offers; it is there whole once it has its name."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for path in self.driver.downloads.iterdir():
                if path.name.endswith(ending):
                    return path
            time.sleep(0.05)
        raise AssertionError(f"no download ends in {ending}")

    def worked(self) -> float:
        """Return the processor seconds that the page's main thread took since it was opened, until
        it has nothing to do: what a page puts off to after its loading counts too."""
        self.driver.set_script_timeout(120)
        self.driver.execute_async_script(
            "const done = arguments[0];"
            "setTimeout(() => requestIdleCallback(() => requestIdleCallback(done)), 500)"
        )
        found = self.command("Performance.getMetrics")["metrics"]
        return next(one["value"] for one in found if one["name"] == "TaskDuration")

    def axe(self, *selectors: str) -> list[str]:
        """List what axe-core finds wrong in the page as it is shown, or in parts of it."""
        if not self._axe:
            spec = importlib.util.find_spec("axe_playwright_python")
            assert spec is not None and spec.origin is not None
            self._axe = Path(spec.origin).with_name("axe.min.js").read_text(encoding="utf-8")
        self.js(self._axe)
        self.driver.set_script_timeout(120)
        found = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "const [parts] = arguments;"
            "axe.run(parts.length ? {include: parts} : document, {resultTypes: ['violations']})"
            ".then(done, done)",
            selectors,
        )
        return [
            f"{violation['id']}: {node['target']}: {node['failureSummary']}"
            for violation in found["violations"]
            for node in violation["nodes"]
        ]

    def pdf(self) -> bytes:
        """Print the page as a reader without background graphics does, on A4."""
        sheet = self.command(
            "Page.printToPDF", printBackground=False, paperWidth=8.27, paperHeight=11.69
        )
        return base64.b64decode(sheet["data"])


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    """Chromium, started once."""
    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    chromedriver = shutil.which("chromedriver")
    if not (chromium and chromedriver):
        pytest.skip("no chromium and chromedriver here (Debian: chromium, chromium-driver)")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    downloads = tmp_path_factory.mktemp("downloads")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "hide-scrollbars"):
        options.add_argument(f"--{argument}")
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(chromedriver))
    started.downloads = downloads
    yield started
    started.quit()


@pytest.fixture
def browser(driver) -> Browser:
    """A browser, with what it downloaded before taken away."""
    for path in driver.downloads.iterdir():
        path.unlink()
    return Browser(driver)


@pytest.fixture(scope="session")
def made_page(tmp_path_factory) -> Path:
    """The page of a made study of three datasets, three sizes and ten methods."""
    folder = tmp_path_factory.mktemp("made")
    built(made_study(folder), folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="session")
def linked_page(tmp_path_factory) -> Path:
    """A page with few figures in each of its later sections."""
    return linked(tmp_path_factory.mktemp("linked"))


@pytest.fixture(params=["made", "finished"])
def any_page(request) -> Path:
    """The page of the made study, and that of the finished one."""
    if request.param == "made":
        return request.getfixturevalue("made_page")
    return request.getfixturevalue("study") / "results/report.html"
