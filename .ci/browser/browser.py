"""oauth2min in a real browser: Chromium, headless, driven by selenium.

    .ci/browser/run.sh           installs what it takes and runs this file

INTEROP_DIR names the folder with oidc-provider, BROWSER_DIR the one with browser.key and
browser.pem, SCREENSHOTS the one that the pictures go to, and AXE the script of axe-core. After
each test it is checked that the browser asked nobody but the server and the listener, and what
it wrote to its console.
"""

import base64
import concurrent.futures
import faulthandler
import itertools
import json
import os
import queue
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from urllib.parse import parse_qs, urlsplit

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [ROOT, os.path.join(ROOT, "examples")]

import common  # noqa: E402
import web_app  # noqa: E402
from fake_server import FakeServer  # noqa: E402
from oauth2min import AuthorizationError, Client, TokenError  # noqa: E402

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
SCOPE = "user-library-read user-follow-read"
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--window-size=1000,700"
)
SUCCESS, FAILURE, NOTHING = "You are logged in", "The login failed", "Nothing here"
os.environ["no_proxy"] = "localhost,127.0.0.1,::1"
crashes = []
threading.excepthook = crashes.append


def setUpModule():
    global driver, profile
    profile = tempfile.TemporaryDirectory(dir=os.environ["BROWSER_DIR"])
    options = webdriver.ChromeOptions()
    for flag in FLAGS.split() + ["--user-data-dir=" + profile.name]:
        options.add_argument(flag)
    options.binary_location = shutil.which("chromium")
    options.accept_insecure_certs = True            # browser.pem is known to nobody
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    driver.get("about:blank")                       # the start page has much to load
    driver.set_page_load_timeout(20)


def tearDownModule():
    driver.quit()
    profile.cleanup()


class Login:
    """login() in a thread; the test opens the address, as a user's browser would."""

    def __init__(self, client, **parameters):
        asked = queue.Queue()
        pool = concurrent.futures.ThreadPoolExecutor(1)
        self.future = pool.submit(
            client.login, open_browser=asked.put, timeout=40, **parameters
        )
        pool.shutdown(wait=False)
        # If it fails before it asks, the test is to show why.
        self.future.add_done_callback(lambda future: asked.put(None))
        self.url = asked.get(timeout=10) or self.future.result()
        query = parse_qs(urlsplit(self.url).query)
        self.redirect_uri = query.get("redirect_uri", [""])[0]
        self.state = query.get("state", [""])[0]

    def result(self):
        return self.future.result(timeout=20)

    def goes_on(self):
        time.sleep(0.2)
        return not self.future.done()


class Browser:
    """What all test cases have."""

    def setUp(self):
        self.messages, self.asked, self.console = [], set(), []
        self.origins = {origin(self.issuer)}
        self.first = driver.current_window_handle   # only in this tab it asks for a favicon
        driver.get("about:blank")
        driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        for kind in "performance", "browser":
            driver.get_log(kind)                    # forgets that of the test before

    def tearDown(self):
        self.read_logs()
        for handle in driver.window_handles:        # the tabs of the test
            if handle != self.first:
                driver.switch_to.window(handle)
                driver.close()
        driver.switch_to.window(self.first)
        self.assertEqual(crashes, [])
        self.assertEqual({origin(url) for url in self.asked} - self.origins, set())
        # A page with a status of 400 is an error to the console; nothing else may be.
        self.assertEqual(
            [
                entry["message"]
                for entry in self.console
                if entry["level"] in ("WARNING", "SEVERE")
                and not self.expected(entry["message"])
            ],
            [],
        )

    def expected(self, message):
        """Whether a line in the console is the browser's remark on what the test wants."""
        return "Failed to load resource: the server responded with a status of 4" in message

    def login(self, client=None, **parameters):
        login = Login(client or self.client(), **parameters)
        if login.redirect_uri:
            self.origins.add(origin(login.redirect_uri))
        return login

    def tab(self):
        driver.switch_to.new_window("tab")
        return driver.current_window_handle

    def read_logs(self):
        """What the browser did since it was last read: kept in `messages` and `console`."""
        for entry in driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            self.messages.append(message)
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                if url.startswith("http"):
                    self.asked.add(url)
        self.console += driver.get_log("browser")
        return self.messages

    def answers(self, start):
        """(path, status) of what was answered so far from addresses that begin so."""
        responses = [
            message["params"]["response"]
            for message in self.read_logs()
            if message["method"] == "Network.responseReceived"
        ]
        return [
            (urlsplit(response["url"]).path, response["status"])
            for response in responses
            if response["url"].startswith(start)
        ]

    def wait(self, condition):
        return WebDriverWait(driver, 15, 0.05).until(lambda _: condition())

    def press(self, label):
        driver.find_element(By.XPATH, "//button[normalize-space()='%s']" % label).click()

    def shows(self, title):
        self.wait(lambda: driver.title.startswith(title))
        self.assertEqual(driver.find_element(By.TAG_NAME, "h1").text, title)

    def gone(self, *steps):
        """Goes where nobody listens any more: the browser shows its own error page."""
        for step in steps:
            try:
                step()
            except WebDriverException as error:
                self.assertIn("ERR_CONNECTION_REFUSED", str(error))

    def check_page(self, name, whole=False):
        """Fit for who cannot see it, for a phone, for light and dark; with pictures, of
        the whole page or of what is first seen."""
        page = driver.execute_script(PAGE)
        self.assertTrue(page.pop("title"))
        self.assertEqual(
            page, {"lang": "en", "h1": 1, "main": 1, "scripts": 0, "unnamed": 0}
        )
        for scheme in "light", "dark":
            cdp(
                "Emulation.setEmulatedMedia",
                features=[{"name": "prefers-color-scheme", "value": scheme}],
            )
            self.picture(name + "-" + scheme, whole)
            self.assertEqual(findings(), [], (name, scheme))
            for text, contrast in driver.execute_script(CONTRAST):
                self.assertGreaterEqual(contrast, 4.5, (scheme, text))
        cdp("Emulation.setEmulatedMedia", features=[])
        for width in 360, 320:
            cdp(
                "Emulation.setDeviceMetricsOverride",
                width=width,
                height=640,
                deviceScaleFactor=2,
                mobile=True,
            )
            if width == 360:
                self.picture(name + "-phone", whole)
                self.assertEqual(findings(), [], (name, "phone"))
            size = driver.execute_script(
                "return [innerWidth, document.documentElement.scrollWidth]"
            )
            self.assertEqual(size, [width, width])
        cdp("Emulation.clearDeviceMetricsOverride")

    def picture(self, name, whole=False):
        data = cdp("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        with open(os.path.join(os.environ["SCREENSHOTS"], name + ".png"), "wb") as file:
            file.write(base64.b64decode(data))

    def headers(self, url):
        """The headers of the last answer from an address."""
        response = [
            message["params"]["response"]
            for message in self.read_logs()
            if message["method"] == "Network.responseReceived"
            and message["params"]["response"]["url"].startswith(url)
        ][-1]
        return {name.lower(): value for name, value in response["headers"].items()}


def cdp(method, **parameters):
    return driver.execute_cdp_cmd(method, parameters)


def findings():
    """What axe-core finds on the page, by all of its rules."""
    with open(os.environ["AXE"], encoding="utf-8") as file:
        driver.execute_script(file.read())
    return driver.execute_async_script(FINDINGS)


def origin(url):
    return "%s://%s" % urlsplit(url)[:2]


FINDINGS = """
const done = arguments[0];
axe.run(document, {rules: {"target-size": {enabled: true}}}).then(result => done(
    result.violations.map(
        rule => rule.id + ": " + rule.nodes.map(node => node.html).join(" "))));"""

PAGE = """
const count = selector => document.querySelectorAll(selector).length;
const named = element => element.labels && element.labels.length || element.innerText;
return {title: document.title, lang: document.documentElement.lang, h1: count("h1"),
        main: count("main"), scripts: count("script"), unnamed: Array.from(
            document.querySelectorAll("button, select, input:not([type=hidden])")).filter(
                element => !named(element)).length};"""

# [text, contrast] of each element with text of its own: WCAG 2.2, success criterion 1.4.3.
CONTRAST = """
const options = {willReadFrequently: true};
const canvas = document.createElement("canvas").getContext("2d", options);
const probe = document.body.appendChild(document.createElement("i"));
probe.style.background = "Canvas";
const ground = getComputedStyle(probe).backgroundColor;
probe.remove();
function luminance(colours) {  // of what is painted one over the other
    for (canvas.fillStyle of colours) canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = Array.from(canvas.getImageData(0, 0, 1, 1).data).map(value => (
        value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function contrast(element) {
    const colours = [];
    for (let up = element; up; up = up.parentElement)
        colours.unshift(getComputedStyle(up).backgroundColor);
    colours.unshift(ground);
    const text = [...colours, getComputedStyle(element).color];
    const pair = [luminance(colours), luminance(text)];
    return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
}
return Array.from(document.body.querySelectorAll("*")).filter(element => Array.from(
    element.childNodes).some(node => node.nodeType == 3 && node.data.trim())
    && element.checkVisibility()).map(element => [element.innerText, contrast(element)]);"""


class Fake(Browser, unittest.TestCase):
    def setUp(self):
        self.server = FakeServer().start()
        self.addCleanup(self.server.close)
        self.issuer = self.server.url
        super().setUp()

    def tearDown(self):
        super().tearDown()
        self.assertEqual(self.server.unasked(), [])

    def client(self, client_id="fake-app", grant_type="authorization_code", **options):
        client = Client(
            self.server.metadata,
            client_id,
            self.server.clients[client_id]["client_secret"],
            **{"grant_type": grant_type, "scope": SCOPE, **options},
        )
        self.addCleanup(client.close)
        return client

    def exchanges(self):
        return [
            form
            for form in self.server.forms("/token")
            if form["grant_type"] == "authorization_code"
        ]

    # How a login ends

    def test_approve(self):
        client = self.client()
        login = self.login(client)
        driver.get(login.url)
        self.check_page("consent")
        self.press("Allow")
        self.shows(SUCCESS)
        self.assertEqual(login.result(), client.token)
        self.assertEqual(client.get("me").json()["display_name"], "Ada")
        self.assertEqual(len(self.exchanges()), 1)
        self.check_page("success")

    def test_approve_with_the_keyboard_alone(self):
        login = self.login()
        driver.get(login.url)
        for label in "Ada\nGrace", "Deny", "Allow":
            webdriver.ActionChains(driver).send_keys(Keys.TAB).perform()
            self.assertEqual(driver.switch_to.active_element.text, label)
        webdriver.ActionChains(driver).send_keys(Keys.ENTER).perform()
        self.shows(SUCCESS)
        login.result()

    def test_the_listener_on_localhost_and_on_ipv6(self):
        for host in "localhost", "[::1]":
            with self.subTest(host):
                login = self.login(self.client(redirect_uri="http://%s/callback" % host))
                driver.get(login.url)
                self.press("Allow")
                self.shows(SUCCESS)
                login.result()

    def test_deny(self):
        login = self.login()
        driver.get(login.url)
        self.press("Deny")
        self.shows(FAILURE)
        with self.assertRaises(AuthorizationError) as caught:
            login.result()
        self.assertEqual(caught.exception.error, "access_denied")
        self.assertEqual(self.server.forms("/token"), [])
        self.check_page("failure")

    def test_a_request_that_the_server_refuses_without_asking_the_user(self):
        login = self.login(self.client(scope="no-such-scope"))
        driver.get(login.url)
        self.shows(FAILURE)
        with self.assertRaises(AuthorizationError) as caught:
            login.result()
        self.assertEqual(caught.exception.error, "invalid_scope")

    def test_an_exchange_that_fails_after_a_good_callback(self):
        self.server.script("/token", 400, {"error": "invalid_grant"})
        login = self.login()
        driver.get(login.url)
        self.press("Allow")
        self.shows(FAILURE)
        with self.assertRaises(TokenError) as caught:
            login.result()
        self.assertEqual(caught.exception.error, "invalid_grant")
        self.assertNotIn(SUCCESS, driver.page_source)

    # What happens during the wait

    def test_a_second_tab_with_the_same_address_finishes_the_one_login(self):
        login = self.login()
        driver.get(login.url)
        first = driver.current_window_handle
        self.tab()
        driver.get(login.url)
        self.assertTrue(login.goes_on())
        self.press("Allow")
        self.shows(SUCCESS)
        login.result()
        driver.switch_to.window(first)
        self.gone(lambda: self.press("Allow"))
        self.assertEqual(len(self.exchanges()), 1)

    def test_a_second_tab_with_anything_but_the_answer_is_turned_away(self):
        login = self.login()
        driver.get(login.url)
        first = driver.current_window_handle
        self.tab()
        listener, callback = origin(login.redirect_uri), login.redirect_uri
        for url, status in (
            (callback + "?code=abc&state=wrong", 404),
            (callback + "?error=access_denied", 404),
            (callback + "?state=" + login.state, 404),
            (callback + "?code=a&code=b&state=" + login.state, 404),
            (callback, 404),
            (listener + "/", 404),
        ):
            driver.get(url)
            self.shows(NOTHING)
            self.assertEqual([got for path, got in self.answers(url)][-1], status, url)
            self.assertTrue(login.goes_on())
        self.check_page("nothing")
        self.assertEqual(self.server.forms("/token"), [])
        driver.switch_to.window(first)
        self.press("Allow")
        self.shows(SUCCESS)
        login.result()

    def test_the_favicon_is_answered_and_not_taken_for_the_end(self):
        login = self.login()
        listener = origin(login.redirect_uri)
        self.server.script(
            "/icon",
            200,
            "<!doctype html><title>Icon</title>"
            '<link rel="icon" href="%s/favicon.ico">' % listener,
            {"Content-Type": "text/html"},
        )
        driver.get(self.issuer + "/icon")
        # It came; as it is no picture, Chromium keeps it from the page of another origin.
        self.wait(
            lambda: any(
                message["method"] == "Network.loadingFailed"
                and message["params"]["errorText"] == "net::ERR_BLOCKED_BY_ORB"
                for message in self.read_logs()
            )
        )
        self.assertIn(listener + "/favicon.ico", self.asked)
        self.assertTrue(login.goes_on())
        driver.get(listener + "/favicon.ico")       # and as a page of its own
        self.shows(NOTHING)
        self.assertIn(("/favicon.ico", 404), self.answers(listener))
        self.assertTrue(login.goes_on())
        driver.get(login.url)
        self.press("Allow")
        self.shows(SUCCESS)
        login.result()

    @unittest.skipUnless(
        os.path.exists("/proc/net/tcp"), "only Linux tells who is connected"
    )
    def test_connections_that_the_browser_opens_ahead_and_leaves_empty(self):
        for patience in False, True:
            with self.subTest(until_the_listener_hangs_up=patience):
                login = self.login()
                link = '<link rel="preconnect" href="%s"%s>'
                self.server.script(
                    "/ahead",
                    200,
                    "<!doctype html><title>Ahead</title>"
                    + "".join(
                        link % (origin(login.redirect_uri), more)
                        for more in ("", " crossorigin")
                    ),
                    {"Content-Type": "text/html"},
                )
                driver.get(self.issuer + "/ahead")
                port = urlsplit(login.redirect_uri).port
                self.wait(lambda: connections(port) >= 1)
                self.assertTrue(login.goes_on())
                if patience:
                    self.wait(lambda: connections(port) == 0)
                    self.assertTrue(login.goes_on())
                driver.get(login.url)
                self.press("Allow")
                self.shows(SUCCESS)
                login.result()

    # What happens after the end

    def test_back_and_reload_after_the_end(self):
        client = self.client()
        login = self.login(client)
        driver.get(login.url)
        self.press("Allow")
        self.shows(SUCCESS)
        token = login.result()
        driver.back()
        self.press("Allow")                         # of the page that was answered before
        self.gone(driver.refresh, driver.back, driver.forward, driver.refresh)
        driver.get(login.url)
        self.gone(lambda: self.press("Allow"), driver.refresh)
        self.assertEqual(len(self.server.forms("/token")), 1)
        self.assertEqual(client.get("me").status_code, 200)
        self.assertEqual(client.token, token)

    # The pages

    def test_the_end_page_lets_no_script_run_and_asks_for_nothing(self):
        login = self.login()
        driver.get(login.url)
        self.press("Allow")
        self.shows(SUCCESS)
        login.result()
        headers = self.headers(login.redirect_uri)
        self.assertEqual(headers["cache-control"], "no-store")
        self.assertEqual(headers["referrer-policy"], "no-referrer")
        policy = dict(
            part.split(None, 1) for part in headers["content-security-policy"].split(";")
        )
        self.assertEqual(policy["default-src"], "'none'")
        self.assertNotIn("script-src", policy)
        display = driver.execute_script("return getComputedStyle(document.body).display")
        self.assertEqual(display, "grid")           # its own style passes
        before = len(self.server.requests)
        self.assertEqual(driver.execute_async_script(FORBIDDEN, self.issuer), [None, 3])
        self.assertEqual(len(self.server.requests), before)
        self.expected = lambda message: "Content Security Policy" in message

    def test_the_start_page(self):
        client = self.client()
        login = self.login(client)
        driver.get(login.url)
        self.press("Allow")
        self.shows(SUCCESS)
        login.result()
        client.get("me")
        driver.get(self.issuer)
        self.shows("An OAuth 2.0 server to play with")
        self.assertIn("default-src 'none'",
                      self.headers(self.issuer)["content-security-policy"])
        for summary in driver.find_elements(By.TAG_NAME, "summary")[:2]:
            summary.send_keys(Keys.ENTER)           # with the keyboard, as with a mouse
        shown = driver.find_element(By.TAG_NAME, "ol").text
        self.assertIn("Authorization: Bearer ***", shown)
        self.assertIn('"refresh_token": "***"', shown)
        for secret in client.token.access_token, client.token.refresh_token:
            self.assertNotIn(secret, driver.page_source)
        self.check_page("start", whole=True)
        self.press("Forget all access tokens")
        self.wait(lambda: driver.current_url.endswith("#messages"))
        client.get("me")
        self.assertEqual(self.server.forms()[-1]["grant_type"], "refresh_token")
        driver.get(self.issuer + "/nothing")
        self.shows("Not found")
        self.check_page("not-found")
        driver.find_element(By.LINK_TEXT, "What is here?").click()
        self.shows("An OAuth 2.0 server to play with")

    def test_the_web_application(self):
        app = web_app.App(self.server.metadata, "fake-public")
        with app.client, common.web_server(app, 0) as server:
            app.url = "http://127.0.0.1:%d" % server.server_port
            self.origins.add(app.url)
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            try:
                driver.get(app.url)
                self.check_page("web-app")
                driver.find_element(By.LINK_TEXT, "Log in").click()
                you_are = Select(driver.find_element(By.ID, "user"))
                you_are.select_by_visible_text("Grace")
                self.press("Allow")
                self.shows("Grace saved last")
                self.assertEqual(len(driver.find_elements(By.CSS_SELECTOR, "ol > li")), 5)
                self.check_page("web-app-list")
                self.press("Log out")
                self.shows("You are logged out")
                driver.find_element(By.LINK_TEXT, "Log in").click()
                self.press("Deny")
                self.shows("That did not work")
                self.check_page("web-app-denied")
            finally:
                server.shutdown()
                thread.join()

    def test_the_device_pages(self):
        self.server.device_interval = 0.2
        client = self.client(grant_type=DEVICE)
        for label, title in ("Allow", "Connected"), ("Deny", "Not connected"):
            client.token = None
            login = self.login(client)
            driver.get(login.url.partition("?")[0])  # without the code
            self.check_page("device")
            driver.find_element(By.ID, "user_code").send_keys("none" + Keys.ENTER)
            self.wait(lambda: driver.find_elements(By.CSS_SELECTOR, "[role=alert]"))
            self.check_page("device-wrong-code")
            code = list(self.server._authorization_server.devices.values())[-1].user_code
            driver.find_element(By.ID, "user_code").send_keys(code.lower() + Keys.ENTER)
            self.wait(
                lambda: driver.find_elements(By.CSS_SELECTOR, "button.yes[name=decision]")
            )
            self.assertIn(code, driver.page_source)
            self.check_page("device-consent")
            self.press(label)
            self.shows(title)
            self.check_page("device-" + title.lower().replace(" ", "-"))
            if label == "Allow":
                self.assertEqual(login.result(), client.token)
            else:
                with self.assertRaises(AuthorizationError):
                    login.result()


def connections(port):
    """How many connections to a local port are open, seen from the end that listened."""
    with open("/proc/net/tcp") as file:
        rows = [line.split() for line in itertools.islice(file, 1, None)]
    return sum(row[1].endswith(":%04X" % port) and row[3] == "01" for row in rows)


# In the other tab, once it is there.
CLICK_YES = """
const yes = second.document.querySelector(".yes");
if (yes) yes.click();
return !!yes;"""

# What a script could do, were there one: run, be an attribute, load a picture.
FORBIDDEN = """
const [elsewhere, done] = arguments;
let blocked = 0;
addEventListener("securitypolicyviolation", () => blocked++);
const script = document.createElement("script");
script.textContent = "window.ran = true";
document.body.append(script);
document.body.setAttribute("onclick", "window.ran = true");
document.body.click();
new Image().src = elsewhere + "/picture";
setTimeout(() => done([window.ran || null, blocked]), 300);"""


class Oidc(Browser):
    """oidc-provider, with pages and redirects that are not made for oauth2min."""

    tls = False

    @classmethod
    def setUpClass(cls):
        interop, folder = os.environ["INTEROP_DIR"], os.environ["BROWSER_DIR"]
        script = os.path.join(interop, "browser-server.mjs")    # beside its node_modules
        shutil.copy(os.path.join(os.path.dirname(HERE), "interop", "server.mjs"), script)
        pair = [os.path.join(folder, "browser." + end) for end in ("key", "pem")]
        cls.process = subprocess.Popen(
            ["node", script] + pair * cls.tls,
            universal_newlines=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        cls.issuer = json.loads(cls.process.stdout.readline())["issuer"]
        cls.context = ssl.create_default_context(cafile=pair[1]) if cls.tls else None

    @classmethod
    def tearDownClass(cls):
        with cls.process:
            cls.process.stdin.close()

    def client(self, **options):
        client = Client(
            self.issuer,
            "public",
            context=self.context,
            base_url=self.issuer,
            grant_type="authorization_code",
            scope="openid read",
            **options,
        )
        self.addCleanup(client.close)
        return client

    def sign_in(self, login):
        driver.get(login.url)
        driver.find_element(By.NAME, "login").send_keys("alice")
        driver.find_element(By.NAME, "password").send_keys("any" + Keys.ENTER)
        self.wait(lambda: driver.find_elements(By.CSS_SELECTOR, "input[value=consent]"))

    def test_approve(self):
        client = self.client()
        login = self.login(client)
        self.sign_in(login)
        driver.find_element(By.CSS_SELECTOR, "button").click()
        self.shows(SUCCESS)
        login.result()
        self.assertEqual(client.get("api").json()["sub"], "alice")
        self.gone(driver.back, driver.forward, driver.refresh)
        # A code that is used twice ends it.
        self.assertEqual(client.get("api").json()["sub"], "alice")

    def test_deny(self):
        login = self.login()
        self.sign_in(login)
        driver.find_element(By.PARTIAL_LINK_TEXT, "Cancel").click()
        self.shows(FAILURE)
        with self.assertRaises(AuthorizationError) as caught:
            login.result()
        self.assertEqual(caught.exception.error, "access_denied")

    def test_a_second_login_of_the_same_user_needs_no_click(self):
        login = self.login()
        self.sign_in(login)
        driver.find_element(By.CSS_SELECTOR, "button").click()
        self.shows(SUCCESS)
        login.result()
        login = self.login()
        self.gone(lambda: driver.get(login.url))
        if driver.title != SUCCESS:  # a native application is asked for again
            driver.find_element(By.CSS_SELECTOR, "button").click()
        self.shows(SUCCESS)
        login.result()


class OidcHttp(Oidc, unittest.TestCase):
    pass


class OidcHttps(Oidc, unittest.TestCase):
    tls = True


def give_up():
    faulthandler.dump_traceback(sys.__stderr__)
    driver.service.stop()                       # and with it the browser
    os._exit(1)


if __name__ == "__main__":
    watch = threading.Timer(220, give_up)       # a deadlock must not last for ever
    watch.daemon = True
    watch.start()
    unittest.main(buffer=True)  # what login() tells the user stays out of the report
