"""Open every page of the built site in headless Chromium, as wide as a desktop's and a phone's.

    python tests/check_site.py build/site

Prints and counts what is wrong: a page, code block or table that is wider than its place or cut,
a dead link or anchor of the site's own, an error in the console (a picture that does not load is
one), a search that finds nothing. The exit status is 1 if there is any, 77 without a browser. It
needs Chromium with its driver (Debian: chromium-driver) and selenium, and no network.
"""

import shutil
import sys
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

WIDTHS = 1300, 400

LOOK = """
const done = arguments[arguments.length - 1];
const faults = [];
const say = (element, what) => faults.push(
    `${what}: <${element.tagName.toLowerCase()} class="${element.className}"> ` +
    JSON.stringify(element.textContent.trim().slice(0, 60)));
function look() {
  const page = document.documentElement;
  if (page.scrollWidth > page.clientWidth)
    faults.push(`the page is ${page.scrollWidth} wide`);
  const place = (document.querySelector("article") ?? document.body).getBoundingClientRect();
  for (const element of document.body.querySelectorAll("*")) {
    const style = getComputedStyle(element);
    const block = element.matches("article :is(pre, table, td, th, img, svg)");
    if (!element.checkVisibility() || element.clientWidth < 2) continue;
    if (!block && style.display === "inline") continue;
    if (element.scrollWidth > element.clientWidth + 1 && (block || style.overflowX !== "visible"))
      say(element, `${element.scrollWidth} in ${element.clientWidth}`);
    if (element.matches("pre") && element.scrollHeight > element.clientHeight + 1)
      say(element, `${element.scrollHeight} high in ${element.clientHeight}`);
    const box = element.getBoundingClientRect();
    if (block && (box.right > place.right + 1 || box.left < place.left - 1))
      say(element, "outside its place");
  }
  done({
    faults,
    links: [...document.querySelectorAll("a[href], img[src]")].map(
      e => new URL(e.getAttribute("href") ?? e.getAttribute("src"), document.baseURI).href),
    ids: [...document.querySelectorAll("[id]")].map(e => e.id),
  });
}
document.fonts.ready.then(() => requestAnimationFrame(() => requestAnimationFrame(look)));
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextmanager
def served(folder):
    """Serve a folder on this machine; yield its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def why_not():
    """Return what is missing for a browser, or None."""
    for names in (("chromium", "google-chrome"), ("chromedriver",)):
        if not any(map(shutil.which, names)):
            return f"{names[0]} is not installed"
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium is not installed"
    return None


@contextmanager
def browser():
    """Start Chromium, which reaches nothing but this machine."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome")
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options, service)
    try:
        yield driver
    finally:
        driver.quit()


def set_width(driver, width):
    """Make the window so many pixels wide."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def errors(driver):
    """Return the console's errors since the last call."""
    return [e["message"] for e in driver.get_log("browser") if e["level"] == "SEVERE"]


def dead_links(address, pages):
    """Yield what is wrong with each page's links and pictures of the site itself."""
    for name, page in pages.items():
        for link in sorted(set(page["links"])):
            url, anchor = urldefrag(link)
            if not url.startswith(address):
                continue
            target = unquote(urlsplit(url).path).lstrip("/")
            target += "index.html" if target.endswith("/") or not target else ""
            if target not in pages and not (page["folder"] / target).is_file():
                yield f"{name}: no file {target}"
            elif anchor and target in pages and unquote(anchor) not in pages[target]["ids"]:
                yield f"{name}: no anchor {target}#{anchor}"


def search(driver, address, word):
    """Yield a fault if the site's search does not find a word."""
    from selenium.common.exceptions import TimeoutException
    from selenium.webdriver.support.wait import WebDriverWait

    driver.get(f"{address}/search.html?q={word}")
    try:
        WebDriverWait(driver, 20).until(
            lambda d: d.find_elements("css selector", "#search-results li a")
        )
    except TimeoutException:
        yield f"search.html: finds no {word}"
    yield from (f"search.html?q={word}: {error}" for error in errors(driver))


def check(folder):
    """Return the faults of the site in a folder, a line for each."""
    folder, faults, pages = Path(folder), [], {}
    names = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*.html"))]
    names = [name for name in names if not name.startswith("_static")]
    with served(folder) as address, browser() as driver:
        for width in WIDTHS:
            set_width(driver, width)
            for name in names:
                driver.get(f"{address}/{name}")
                pages[name] = driver.execute_async_script(LOOK) | {"folder": folder}
                found = pages[name]["faults"] + errors(driver)
                faults += [f"{name} at {width}: {fault}" for fault in found]
        faults += dead_links(address, pages)
        if "search.html" in pages:
            faults += search(driver, address, "dalpha")
    print(f"{len(names)} pages at {' and '.join(map(str, WIDTHS))} pixels: {len(faults)} faults")
    return faults


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if missing := why_not():
        print(f"{missing}: the site was not opened in a browser")
        sys.exit(77)
    found = check(sys.argv[1])
    print("\n".join(found))
    sys.exit(bool(found))
