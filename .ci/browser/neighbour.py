"""A login and its neighbours: pages of other origins in the same browser, and whoever else can
connect to the loopback, do what they can while a login waits. It ends all the same.

    .ci/browser/run.sh           installs what it takes, and runs this file after browser.py

BROWSER_DIR names the folder for Chromium's profile. No limit here is one of the clock on the
wall: what is looked at is which event came, how many there were, and the CPU time of the process
that waits for the login.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import unittest
from urllib.parse import parse_qs, urlencode, urlsplit

from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [ROOT, os.path.join(ROOT, "examples")]

from fake_server import FakeServer, fetch  # noqa: E402

PATIENCE = 60           # seconds without an end: it will never come
LOGIN_LIFE = 900        # seconds: longer than any test, on a busy machine, too
LONG = 63000            # characters of a query; servers and browsers allow 64 kB
EVIL = "evil.example"   # a name whose owner lets it lead to us, as in DNS rebinding
MARK = "m4rk-0f-a-str4nger"
SUCCESS, NOTHING = "You are logged in", "Nothing here"
os.environ["no_proxy"] = "localhost,127.0.0.1,::1"
# The rules by which browsers keep pages away from the loopback are newer than many browsers.
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests "
    "--disable-popup-blocking --window-size=1000,700"
)

# A program that logs in. For each line that it reads it tells its CPU time so far, and how often
# it has waited in vain (for 3 ms, until it looked again) since the line before.
LOGIN = """
import json, os, select, selectors, sys, threading, time
sys.path.insert(0, %r)
from oauth2min import Client

waits = [0]

def counted(function, is_in_vain):
    def wrapped(*arguments, **options):
        found = function(*arguments, **options)
        if threading.current_thread() in waiting and is_in_vain(found):
            waits[0] += 1
        return found
    return wrapped

def tell():
    for line in sys.stdin:
        print(json.dumps([time.process_time(), waits[0]]), flush=True)
        waits[0] = 0

threading.Thread(target=tell, daemon=True).start()
waiting = [threading.current_thread()]
settings = json.loads(os.environ["SERVER"])
client = Client(settings, "fake-public", grant_type="authorization_code",
                redirect_uri=os.environ["REDIRECT_URI"])
for name in "PollSelector", "SelectSelector", "EpollSelector":
    if hasattr(selectors, name):
        kind = getattr(selectors, name)
        kind.select = counted(kind.select, lambda found: not found)
time.sleep = counted(time.sleep, lambda found: True)
start = threading.Thread.start

def start_and_note(thread):
    if "serve_forever" in repr(getattr(thread, "_target", "")):
        waiting.append(thread)   # where a thread accepts, its waits count
    start(thread)

threading.Thread.start = start_and_note
with client:
    client.login(False, %d)
print("DONE", json.dumps([time.process_time(), waits[0]]), flush=True)
""" % (ROOT, LOGIN_LIFE)


class Login:
    """That program, in a process of its own, once it waits."""

    def __init__(self, server, redirect_uri="http://127.0.0.1/callback"):
        self.server = server
        environment = dict(os.environ, SERVER=json.dumps(server.metadata),
                           REDIRECT_URI=redirect_uri)
        self.process = subprocess.Popen(
            [sys.executable, "-c", LOGIN], env=environment, universal_newlines=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        text = ""
        self.url = ""
        while not self.url:
            line = self.process.stderr.readline()
            if not line:
                raise AssertionError("it ended at once:\n" + text)
            text += line
            if line.startswith(server.url):
                self.url = line.strip()
        query = parse_qs(urlsplit(self.url).query)
        self.redirect_uri = query["redirect_uri"][0]
        self.state = query["state"][0]
        self.port = urlsplit(self.redirect_uri).port
        self.place = urlsplit(self.redirect_uri).netloc
        self.told()

    def told(self):
        """CPU seconds so far, and the waits in vain since this was last asked."""
        self.process.stdin.write("?\n")
        line = self.process.stdout.readline()
        if not line.startswith("["):
            raise AssertionError("the login ended: %s%s" % (line, self.process.stderr.read()))
        return json.loads(line)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def send(self, data):
        """Sends it and returns all that comes back; both may be cut short."""
        got = b""
        with contextlib.suppress(OSError), self.connect() as connection:
            with contextlib.suppress(OSError):
                connection.sendall(data)
            while True:
                more = connection.recv(65536)
                if not more:
                    break
                got += more
        return got

    def get(self, query, *headers):
        lines = ["GET /callback?%s HTTP/1.1" % query, "Host: " + self.place, *headers, "", ""]
        return self.send("\r\n".join(lines).encode())

    def post(self, body, length=None):
        head = "POST /callback HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n"
        return self.send((head % (self.place, length or len(body))).encode() + body)

    def approve(self):
        """The true answer, as a browser brings it; the page that it gets."""
        return fetch("GET", self.server.approve(self.url))[2]

    def ends(self):
        """Waits for the end of the program, which must be a login; then as told()."""
        out, error = self.process.communicate(timeout=PATIENCE)
        if self.process.returncode or not out.startswith("DONE"):
            raise AssertionError("it failed: %s%s" % (out, error))
        return json.loads(out.partition(" ")[2])

    def close(self):
        self.process.kill()
        self.process.communicate()


class Case(unittest.TestCase):
    def setUp(self):
        self.server = FakeServer().start()
        self.addCleanup(self.server.close)

    def login(self, redirect_uri="http://127.0.0.1/callback"):
        login = Login(self.server, redirect_uri)
        self.addCleanup(login.close)
        return login

    def ends_now(self, login):
        """The true answer is enough, and was exchanged once."""
        before = len(self.server.forms("/token"))
        self.assertIn(SUCCESS, login.approve())
        login.ends()
        self.assertEqual(len(self.server.forms("/token")), before + 1)


def hostile_queries():
    """Queries of 63,000 characters: what a parser may read again and again."""
    for piece in ("&", "=&", "&=%;", "%", "%2", "+", "?", "://", "a", "state=&", "code=x&", "[",
                  "\\\"", ";", ":", "@", "//@", "/../", "%ff", "%00"):
        yield (piece * LONG)[:LONG]


class Connections(Case):
    """Who can connect to the loopback, without a browser."""

    def test_connections_that_are_opened_and_closed_do_not_hold_up_a_login(self):
        """Whoever waits in the queue is accepted at once. The process is stopped until 100
        connections, one after the other opened and closed, and the true one stand there."""
        for redirect_uri in "http://127.0.0.1/callback", "http://localhost/callback":
            with self.subTest(redirect_uri):
                login = self.login(redirect_uri)
                approved = self.server.approve(login.url)
                path = approved.partition(login.place)[2]
                head = "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (path, login.place)
                login.told()
                login.process.send_signal(signal.SIGSTOP)
                for _ in range(100):
                    login.connect().close()
                with socket.create_connection(("127.0.0.1", login.port)) as browser:
                    browser.sendall(head.encode())
                    login.process.send_signal(signal.SIGCONT)
                    browser.settimeout(PATIENCE)
                    self.assertIn(SUCCESS.encode(), browser.recv(65536))
                self.assertLess(login.ends()[1], 250)  # each of 3 ms at most

    def test_3000_connections_one_after_the_other_do_not_end_a_login(self):
        login = self.login()
        before = login.told()[0]
        for _ in range(3000):
            with contextlib.suppress(OSError):
                login.connect().close()
        spent = login.told()[0] - before
        print("\n3,000 connections: %.2f s of CPU time" % spent)
        self.ends_now(login)
        self.assertLess(spent, 15)

    def test_connections_that_say_nothing_do_not_keep_the_true_one_out(self):
        login = self.login()
        held = [login.connect() for _ in range(200)]
        for connection in held:
            with contextlib.suppress(OSError):
                connection.sendall(b"GET /callback?")
        self.ends_now(login)
        for connection in held:
            connection.close()

    def test_the_cpu_time_for_1_2_and_4_mb_is_a_straight_line(self):
        """A queue or a parser that grows with what it has read would make a curve of it: four
        times as much would take 16 times as long."""
        body = b"&=%;" * 4000
        floods = {
            "queries of 63 kB": (LONG, lambda login: login.get("&=%;" * (LONG // 4))),
            "bodies of 16 kB": (16000, lambda login: login.post(body)),
            "no HTTP": (16000, lambda login: login.send(b"\r\n" * 8000)),
            "header fields": (16000, lambda login: login.get("", *["a: b"] * 2600)),
        }
        for name, (size, flood) in floods.items():
            with self.subTest(name):
                login = self.login()
                flood(login)                    # what is imported at the first request
                spent = []
                for megabytes in 1, 2, 4:
                    best = None
                    for _ in range(3):
                        before = login.told()[0]
                        for _ in range(megabytes * 1000000 // size):
                            flood(login)
                        took = login.told()[0] - before
                        best = took if best is None else min(best, took)
                    spent.append(best)
                print("\n%s, 1, 2, 4 MB: %s s" % (
                    name, ", ".join("%.3f" % seconds for seconds in spent)))
                self.ends_now(login)
                self.assertLess(spent[2], 7 * spent[0] + 0.05)

    def test_one_body_of_1_2_or_4_mb_costs_the_same(self):
        login = self.login()
        login.post(b"x")
        spent = []
        for megabytes in 1, 2, 4:
            body = b"&=%;" * (megabytes * 250000)
            before = login.told()[0]
            login.post(body)
            spent.append(login.told()[0] - before)
        print("\none body of 1, 2, 4 MB: %s s" % ", ".join("%.3f" % took for took in spent))
        self.ends_now(login)
        self.assertLess(max(spent), 0.5)

    def test_each_of_the_hostile_queries_is_read_in_no_time(self):
        login = self.login()
        login.get("")
        slowest = 0
        for query in hostile_queries():
            for send in login.get, lambda query: login.post(query.encode()):
                before = login.told()[0]
                send(query)
                slowest = max(slowest, login.told()[0] - before)
        print("\nthe slowest query of 63 kB: %.3f s of CPU time" % slowest)
        self.ends_now(login)
        self.assertLess(slowest, 0.5)

    def test_a_length_below_nothing_is_no_length(self):
        """Or all that comes would be kept until the memory is full."""
        login = self.login()
        with login.connect() as connection:
            head = "POST /callback HTTP/1.1\r\nHost: %s\r\nContent-Length: -1\r\n\r\n"
            connection.sendall((head % login.place).encode())
            sent = 0
            with self.assertRaises(OSError):    # it hangs up; it would take 64 MB else
                while sent < 1 << 26:
                    sent += connection.send(b"x" * 65536)
                raise AssertionError("it takes in all that is sent")
        self.ends_now(login)

    def test_nothing_that_a_stranger_sends_comes_back(self):
        login = self.login()
        fields = ["%s: %s" % (name, MARK) for name in (
            "Origin", "Referer", "Cookie", "User-Agent", "X-Forwarded-Host", "Accept")]
        answers = [
            login.get(MARK, *fields),
            login.get("code=%s&state=%s" % (MARK, MARK)),
            login.get("error=%s&error_description=<script>%s</script>" % (MARK, MARK)),
            login.post(("code=%s&state=%s" % (MARK, MARK)).encode()),
            login.send(("GET /%s HTTP/1.1\r\nHost: %s\r\n\r\n" % (MARK, login.place)).encode()),
            login.send(("%s /callback HTTP/1.1\r\n\r\n" % MARK).encode()),
            login.send(("GET /callback %s\r\n\r\n" % MARK).encode()),
            login.send(("GET /callback HTTP/1.1\r\nHost: %s\r\n\r\n" % MARK).encode()),
            login.send(("GET /callback HTTP/1.1\r\n%s\r\n\r\n" % MARK).encode()),
            login.send(("OPTIONS /callback HTTP/1.1\r\nHost: %s\r\nOrigin: http://%s\r\n"
                        "Access-Control-Request-Method: POST\r\n"
                        "Access-Control-Request-Private-Network: true\r\n\r\n"
                        % (login.place, MARK)).encode()),
        ]
        for answer in answers:
            self.assertNotIn(MARK.encode(), answer)
            self.assertNotIn(b"access-control-allow", answer.lower())
            if answer:
                self.assertIn(NOTHING.encode(), answer)
                self.assertIn(b"frame-ancestors 'none'", answer)
        self.assertTrue(any(answers))
        self.ends_now(login)


# What the page does again and again until it is told to stop. Each deed ends with the name of
# what it saw: "refused" where the browser showed it nothing.
ATTACK = """<!DOCTYPE html><title>Neighbour</title><body><script>
const target = "%(target)s", long = "&=%%;".repeat(%(length)d / 4);
const seen = {}, deeds = {};
let stop = false;
function element(name, attributes) {
    return new Promise(resolve => {
        const made = Object.assign(document.createElement(name), attributes);
        made.onload = () => { made.remove(); resolve("loaded"); };
        made.onerror = () => { made.remove(); resolve("refused"); };
        document.body.append(made);
    });
}
function fetched(address, options) {
    return fetch(address, options).then(
        answer => answer.type == "opaque" ? "refused" : "read", () => "refused");
}
let number = 0;
const address = () => target + "?" + (number++) + long;
deeds.post = () => fetched(address(), {method: "POST", mode: "no-cors", body: long});
deeds.form = () => fetched(target, {method: "POST", mode: "no-cors",
                                    body: new URLSearchParams(long)});
deeds.get = () => fetched(address(), {mode: "no-cors"});
deeds.cors = () => fetched(address(), {credentials: "include"});
deeds.preflight = () => fetched(address(), {method: "PUT", headers: {"X-Mine": "1"}});
deeds.image = () => element("img", {src: address()});
deeds.script = () => element("script", {src: address()});
deeds.style = () => element("link", {rel: "stylesheet", href: address()});
deeds.video = () => new Promise(resolve => {
    const made = document.createElement("video");
    made.onerror = () => resolve("refused");
    made.onloadeddata = () => resolve("loaded");
    made.src = address();
});
deeds.prefetch = () => new Promise(resolve => {
    const made = Object.assign(document.createElement("link"), {rel: "prefetch", href: address()});
    made.onload = made.onerror = () => { made.remove(); resolve("refused"); };
    document.head.append(made);
});
deeds.beacon = async () => (navigator.sendBeacon(address(), long), "refused");
deeds.socket = () => new Promise(resolve => {
    const made = new WebSocket(address().replace("http:", "ws:"));
    made.onopen = () => resolve("connected");
    made.onerror = () => resolve("refused");
});
deeds.events = () => new Promise(resolve => {
    const made = new EventSource(address());
    made.onopen = () => resolve("connected");
    made.onerror = () => { made.close(); resolve("refused"); };
});
function framed(start) {  // a frame of another origin tells that it loaded, and no more
    return new Promise(resolve => {
        const made = document.createElement("iframe");
        made.name = "frame" + number++;
        document.body.append(made);
        made.onload = () => {
            let found = "refused";
            try { if (made.contentDocument.body.innerText) found = "read"; } catch (error) {}
            made.remove();
            resolve(found);
        };
        start(made);
    });
}
deeds.frame = () => framed(made => made.src = address());
deeds.formInFrame = () => framed(made => {
    const form = document.createElement("form");
    Object.assign(form, {method: "POST", action: target, target: made.name});
    form.append(Object.assign(document.createElement("textarea"), {name: "a", value: long}));
    document.body.append(form);
    form.submit();
    form.remove();
});
async function again(name) {
    while (!stop) {
        const found = await deeds[name]();
        seen[name] = seen[name] || {};
        seen[name][found] = (seen[name][found] || 0) + 1;
        await new Promise(resolve => setTimeout(resolve, name == "beacon" ? 200 : 0));
    }
}
function begin() {
    for (const name in deeds) for (let times = 0; times < 3; times++) again(name);
}
</script>"""


class Pages(socketserver.ThreadingTCPServer):
    """Serves one page on the loopback, and is the proxy by which the browser gets to the
    evil name: there it serves the same page, until the name leads to `rebound`."""
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Page)
        self.port = self.server_address[1]
        self.page = ""
        self.rebound = None
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()


class Page(socketserver.StreamRequestHandler):
    def handle(self):
        with contextlib.suppress(OSError):
            first = self.rfile.readline().decode("latin-1")
            fields = []
            while True:
                line = self.rfile.readline()
                if line in (b"\r\n", b""):
                    break
                fields.append(line)
            if not first:
                return
            method, address, version = first.split(" ", 2)
            parts = urlsplit(address)
            if parts.hostname == EVIL and self.server.rebound:
                self.forward(method, parts, version, fields)
                return
            body = self.server.page.encode()
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
                             b"Content-Length: %d\r\nConnection: close\r\n\r\n%s"
                             % (len(body), body))

    def forward(self, method, parts, version, fields):
        """As the browser would send it if the name led there: its Host stays."""
        path = parts._replace(scheme="", netloc="").geturl()
        head = "%s %s %s" % (method, path, version)
        with socket.create_connection(("127.0.0.1", self.server.rebound)) as there:
            there.sendall(head.encode("latin-1") + b"".join(fields) + b"\r\n")
            while True:
                data = there.recv(65536)
                if not data:
                    break
                self.wfile.write(data)


class Neighbours(Case):
    """Pages of other origins, in the browser of the user who logs in."""

    @classmethod
    def setUpClass(cls):
        cls.pages = Pages()
        cls.profile = tempfile.TemporaryDirectory(dir=os.environ["BROWSER_DIR"])
        options = webdriver.ChromeOptions()
        for flag in FLAGS.split():
            options.add_argument(flag)
        options.add_argument("--user-data-dir=" + cls.profile.name)
        options.add_argument("--proxy-server=http://127.0.0.1:%d" % cls.pages.port)
        options.binary_location = shutil.which("chromium")
        options.page_load_strategy = "none"     # a page with such a neighbour is never done
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = webdriver.ChromeService(shutil.which("chromedriver"))
        cls.driver = webdriver.Chrome(options=options, service=service)
        cls.driver.set_page_load_timeout(PATIENCE)
        cls.driver.set_script_timeout(PATIENCE)

    @classmethod
    def tearDownClass(cls):
        cls.driver.quit()
        cls.pages.close()
        with contextlib.suppress(OSError):
            cls.profile.cleanup()

    def tearDown(self):
        for handle in self.driver.window_handles[1:]:
            self.driver.switch_to.window(handle)
            self.driver.close()
        self.driver.switch_to.window(self.driver.window_handles[0])
        self.driver.get("about:blank")

    def wait(self, condition):
        return WebDriverWait(self.driver, PATIENCE, 0.1).until(lambda _: condition())

    def opens(self, address, title):
        self.driver.get(address)
        self.wait(lambda: self.driver.title == title and self.driver.execute_script(
            "return document.readyState") == "complete")

    def user_logs_in(self, login):
        """In another tab, while the page goes on; the CPU time that it took."""
        neighbour = self.driver.current_window_handle
        self.driver.switch_to.new_window("tab")
        self.driver.get(login.url)
        before = login.told()[0]
        self.wait(lambda: self.driver.title.startswith("Connect"))
        allow = By.XPATH, "//button[normalize-space()='Allow']"
        self.wait(lambda: self.driver.find_elements(*allow))
        self.driver.find_element(*allow).click()
        self.wait(lambda: self.driver.title == SUCCESS)
        spent = login.ends()[0] - before
        self.assertEqual(len(self.server.forms("/token")), 1)
        self.driver.switch_to.window(neighbour)
        return spent

    def attack(self, login, start):
        """Opens the page, and waits until each of its deeds was done several times."""
        self.pages.page = ATTACK % {"target": login.redirect_uri, "length": LONG}
        self.opens(start, "Neighbour")
        self.driver.execute_script("begin()")
        names = self.driver.execute_script("return Object.keys(deeds)")

        def rare():
            seen = self.driver.execute_script("return seen")
            return [name for name in names if sum(seen.get(name, {}).values()) < 6]

        try:
            self.wait(lambda: not rare())
        except TimeoutException:
            self.fail("not done often enough: %s" % rare())

    def test_a_page_of_another_origin(self):
        """Another port, and another name of the loopback: to a browser another site."""
        login = self.login()
        self.attack(login, "http://localhost:%d/" % self.pages.port)
        frames = [entry["message"] for entry in self.driver.get_log("browser")
                  if "frame-ancestors" in entry["message"]]
        self.assertNotEqual(frames, [], "no frame was refused")
        cpu_before = login.told()[0]
        spent = self.user_logs_in(login)
        seen = self.driver.execute_script("stop = true; return seen")
        count = sum(sum(found.values()) for found in seen.values())
        print("\n%d requests of a page: %.2f s of CPU time; %.2f s for the end" % (
            count, cpu_before, spent))
        self.assertEqual({name: list(found) for name, found in seen.items()},
                         {name: ["refused"] for name in seen})
        self.assertLess(spent, 5)

    def test_a_name_that_comes_to_lead_to_us(self):
        """DNS rebinding: the page is of the same origin then, and may read what it gets. But
        the Host is not ours, though path and state may be: it gets the page for strangers, or is
        hung up on."""
        login = self.login()
        evil = "http://%s:%d" % (EVIL, login.port)
        self.pages.page = "<!DOCTYPE html><title>Neighbour</title>"
        self.pages.rebound = None
        self.opens(evil + "/", "Neighbour")
        self.pages.rebound = login.port
        query = urlencode({"code": MARK, "state": login.state, "iss": self.server.url})
        for path in "/callback?" + query, "/callback?code=" + MARK, "/", "/" + MARK:
            status, text = self.driver.execute_async_script(
                "const done = arguments[1]; fetch(arguments[0]).then(async answer => "
                "done([answer.status, await answer.text()]), error => done([0, '' + error]))",
                path)
            with self.subTest(path):
                if status:                      # else it was hung up on: nothing to read
                    self.assertIn(status, (400, 404))
                    self.assertIn(NOTHING, text)
                    self.assertNotIn(MARK, text)
        self.assertEqual(self.server.forms("/token"), [])
        self.assertIsNone(login.process.poll())
        self.user_logs_in(login)

    def test_what_a_link_of_a_stranger_shows(self):
        """The whole page in a tab of its own: nothing of the address is on it."""
        login = self.login()
        for query in "?%s", "?code=%s&state=x", "?error=%s&error_description=<b>%s</b>":
            self.driver.get("about:blank")
            self.wait(lambda: self.driver.title == "")
            self.opens(login.redirect_uri + query.replace("%s", MARK), NOTHING)
            self.assertNotIn(MARK, self.driver.page_source)
        self.user_logs_in(login)


if __name__ == "__main__":
    unittest.main()
