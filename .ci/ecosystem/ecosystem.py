"""The programs of README.md that need other libraries, run with the newest of each.

    .ci/ecosystem/run.sh FOLDER     installs the libraries and runs this file

Nothing leaves this machine: requests for other hosts are led to the fake server.
"""

import asyncio
import base64
import concurrent.futures
import importlib.metadata
import os
import re
import smtplib
import socketserver
import sys
import tempfile
import threading
import time
import unittest
from types import SimpleNamespace

ROOT = os.path.abspath(
    os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, os.pardir)
)
sys.path[:0] = [ROOT, os.path.join(ROOT, "examples")]
os.environ["no_proxy"] = "*"

import requests  # noqa: E402
from fake_server import Answer, FakeServer  # noqa: E402
from oauth2min import Client  # noqa: E402

with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
    README = file.read()
SCOPE = "user-library-read users.read tweet.read"
THREADS = 16


def section(title):
    return README.partition("\n## %s\n" % title)[2].partition("\n## ")[0]


def blocks(text):
    return re.findall(r"(?ms)^```python\n(.*?)^```$", text)


def lines_of_code(source):
    """What there is to copy: without imports, comments and blank lines."""
    return sum(
        not re.match(r"\s*(#|import |from |$)", line) for line in source.splitlines()
    )


# ---- The server ------------------------------------------------------------------------


class Server(FakeServer):
    """The fake server, which also stands for other hosts: /https/HOST/PATH is a page of
    theirs. `canned` has what a path answers to who has a good token: JSON, or a function
    of the request."""

    def __init__(self):
        super().__init__()
        self.canned = {}
        self.left = None  # so many API answers more, and all tokens are expired

    def answer(self, request):
        path = re.sub("^/https/(api.spotify.com(?=/v1/)|api.twitter.com(?=/2/))", "", request.path)
        path = path.rstrip("/")  # spotipy writes one at the end
        request = request._replace(path=path)
        if path in self.canned:
            answer = self.canned_answer(request)
        else:
            answer = super().answer(request)
        is_api = path in self.canned or re.match("/(v1|2)/", path)
        if self.left is not None and is_api and answer.status == 200:
            self.left -= 1
            if self.left == 0:
                self.left = None
                self.expire()
        return answer

    def canned_answer(self, request):
        with self._lock:
            self.requests.append(request)
            try:
                self._api.grant(request)
            except Answer as refused:
                return Answer(
                    refused.status,
                    {"message": str(refused.body), "errors": []},
                    refused.headers,
                )
            body = self.canned[request.path]
            if callable(body):
                body = body(request)
            return body if isinstance(body, Answer) else Answer(200, body)

    def renewals(self):
        return sum(form["grant_type"] == "refresh_token" for form in self.forms())


class ToTheServer(requests.adapters.HTTPAdapter):
    """Leads the requests of a session for any https host to the server."""

    def __init__(self, url):
        super().__init__()
        self.url = url

    def send(self, request, **options):
        request.url = re.sub("^https://", self.url + "/https/", request.url)
        return super().send(request, **options)


class Mail(socketserver.ThreadingTCPServer):
    """A mail server that knows one thing: whether an XOAUTH2 has a good token."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, good):
        self.good = good
        super().__init__(("127.0.0.1", 0), MailHandler)


class MailHandler(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"220 fake\r\n")
        for line in self.rfile:
            word = line.split()[0].upper()
            if word == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                break
            if word == b"EHLO":
                self.wfile.write(b"250-fake\r\n250 AUTH XOAUTH2\r\n")
            elif word == b"AUTH":
                self.log_in(base64.b64decode(line.split()[2]).decode())
            else:
                self.wfile.write(b"250 ok\r\n")

    def log_in(self, text):
        token = re.fullmatch("user=.+\x01auth=Bearer (.+)\x01\x01", text).group(1)
        if token in self.server.good:
            self.wfile.write(b"235 welcome\r\n")
            return
        self.wfile.write(b"334 " + base64.b64encode(b'{"status":"401"}') + b"\r\n")
        assert self.rfile.readline() == b"\r\n"  # what the client has to answer to that
        self.wfile.write(b"535 no\r\n")


# ---- The libraries ---------------------------------------------------------------------
#
# Each is a function that gets a Setting, and returns what to do with the library:
#   call()   one request, that returns "Ada"
#   listing()   the number of things in a listing of several pages
#   many(n)  n calls at once, where threads are not the way


class Setting:
    """One server, one user who is logged in, and the names of README.md."""

    def __init__(self, case):
        self.case = case
        self.server = case.enterContext(Server())
        self.client = Client(
            self.server.metadata, "fake-public", grant_type="authorization_code", scope=SCOPE
        )
        case.addCleanup(self.client.close)
        asked = self.client.authorization_request()
        self.client.exchange(asked, self.server.approve(asked.url))
        self.names = {"client": self.client, "requests": requests}

    def run(self, source, **names):
        self.names.update(names)
        exec(compile(source, "README.md", "exec"), self.names)
        return SimpleNamespace(**self.names)

    def session(self):
        """A session for the whole of the API, as README.md makes it."""
        self.run(ADAPTERS["requests"])
        names = self.run(PARAGRAPHS["session"])
        return self.at_the_server(names.session)

    def at_the_server(self, session):
        session.mount("https://", ToTheServer(self.server.url))
        self.case.addCleanup(session.close)
        return session

    def can(self, path, body):
        self.server.canned[path] = body

    def pages_by_link(self, path, items, pages=3):
        """A listing whose pages hang together by a Link header."""

        def page(request):
            number = int(request.query.get("page", 1))
            following = "%s%s?page=%d" % (self.server.url, request.path, number + 1)
            link = {"Link": '<%s>; rel="next"' % following} if number < pages else {}
            return Answer(200, items, link)

        self.can(path, page)


def pages_of(get, url):
    """Counts what is in a listing like Spotify's; `get` returns the JSON of a URL."""
    count = 0
    while url:
        page = get(url)
        count += len(page["items"])
        url = page["next"]
    return count


def raw(get, at):
    """call() and listing() for a library that gets any URL."""
    return {
        "call": lambda: get(at.server.url + "/v1/me")["display_name"],
        "listing": lambda: pages_of(get, at.server.url + "/v1/me/tracks?limit=50") // 40,
    }


def with_requests(at):
    session = at.session()
    return raw(lambda url: session.get(url).json(), at)


def with_httpx(at, module="httpx"):
    names = at.run(ADAPTERS["httpx"].replace("httpx", module).replace("Httpx", "Httpx"))
    http = names.__dict__[module].Client(
        auth=names.HttpxAuth(at.client), follow_redirects=True
    )
    at.case.addCleanup(http.close)
    return raw(lambda url: http.get(url).json(), at)


def with_httpx2(at):
    return with_httpx(at, "httpx2")


def with_httpx_async(at):
    names = at.run(ADAPTERS["httpx"])

    async def get(*urls):
        async with names.httpx.AsyncClient(
            auth=names.HttpxAuth(at.client), follow_redirects=True
        ) as http:
            answers = await asyncio.gather(*map(http.get, urls))
            return [answer.json() for answer in answers]

    return in_a_loop(get, at)


def with_aiohttp(at):
    names = at.run(ADAPTERS["aiohttp"])
    import aiohttp

    async def get(*urls):
        middlewares = [names.bearer(at.client, at.server.url)]

        async def one(url):
            async with http.get(url) as answer:
                return await answer.json()

        async with aiohttp.ClientSession(middlewares=middlewares) as http:
            return await asyncio.gather(*map(one, urls))

    return in_a_loop(get, at)


def in_a_loop(get, at):
    me = at.server.url + "/v1/me"
    return {
        **raw(lambda url: asyncio.run(get(url))[0], at),
        "many": lambda n: [me["display_name"] for me in asyncio.run(get(*[me] * n))],
    }


def with_google_auth(at):
    names = at.run(ADAPTERS["google-auth"])
    from google.auth.transport.requests import AuthorizedSession

    session = AuthorizedSession(names.GoogleCredentials(at.client))
    at.case.addCleanup(session.close)
    return raw(lambda url: session.get(url).json(), at)


def with_azure_credential(at):
    names = at.run(ADAPTERS["azure-core"])
    from azure.core.pipeline.policies import BearerTokenCredentialPolicy

    credential = names.Credential(at.client)
    # It insists on https, but here is none.
    return azure(at, BearerTokenCredentialPolicy(credential, "any"), enforce_https=False)


def with_azure_policy(at):
    return azure(at, at.run(ADAPTERS["azure-core"]).BearerPolicy(at.client))


def azure(at, policy, **options):
    from azure.core import PipelineClient
    from azure.core.rest import HttpRequest

    pipeline = PipelineClient(at.server.url, policies=[policy])
    at.case.addCleanup(pipeline.close)

    def get(url):
        answer = pipeline.send_request(HttpRequest("GET", url), **options)
        answer.raise_for_status()
        return answer.json()

    return raw(get, at)


def with_spotipy(at):
    import spotipy

    spotify = at.run(PARAGRAPHS["spotipy"], session=at.session(), spotipy=spotipy).spotify

    def listing():
        page = spotify.current_user_saved_tracks(limit=50)
        count = 0
        while page:
            count += len(page["items"])
            page = spotify.next(page)
        return count // 40

    return {"call": lambda: spotify.current_user()["display_name"], "listing": listing}


def with_gitlab(at):
    import gitlab

    names = at.run(PARAGRAPHS["python-gitlab"], session=at.session(), gitlab=gitlab)
    at.can("/https/gitlab.com/api/v4/projects/1", {"id": 1, "name": "Ada"})
    at.pages_by_link("/https/gitlab.com/api/v4/projects", [{"id": 1}])
    return {
        "call": lambda: names.lab.projects.get(1).name,
        "listing": lambda: len(list(names.lab.projects.list(iterator=True))),
    }


def with_atlassian(at):
    import atlassian

    jira = at.run(
        PARAGRAPHS["atlassian-python-api"], session=at.session(), atlassian=atlassian
    ).jira
    at.can("/https/api.atlassian.com/rest/api/2/myself", {"displayName": "Ada"})
    return {"call": lambda: jira.myself()["displayName"]}


def with_stravalib(at):
    import stravalib

    at.case.enterContext(environment(SILENCE_TOKEN_WARNINGS="true"))
    strava = at.run(
        PARAGRAPHS["stravalib"], session=at.session(), stravalib=stravalib
    ).strava
    at.can("/https/www.strava.com/api/v3/athlete", {"id": 1, "firstname": "Ada"})

    def page(request):
        items = [{"id": 1}] * int(request.query["per_page"])
        return items if int(request.query["page"]) <= 3 else []

    at.can("/https/www.strava.com/api/v3/athlete/activities", page)
    return {
        "call": lambda: strava.get_athlete().firstname,
        "listing": lambda: len(list(strava.get_activities())) // 200,
    }


def with_tweepy(at):
    import tweepy

    at.session()
    at.can("/2/users/me", {"data": {"id": "1", "name": "Ada", "username": "ada"}})
    making, calling = PARAGRAPHS["tweepy"].rsplit("me = ", 1)
    x = at.run(making, tweepy=tweepy).x
    at.at_the_server(x.session)

    def listing():
        pages = tweepy.Paginator(x.get_users_tweets, 1, max_results=100)
        return sum(len(page.data) for page in pages) // 70

    return {"call": lambda: at.run("me = " + calling).me.data.name, "listing": listing}


def with_gql(at):
    from gql import Client as GraphQL
    from gql import gql
    from gql.transport.requests import RequestsHTTPTransport

    at.run(ADAPTERS["requests"])
    at.can("/graphql", {"data": {"me": "Ada"}})
    source = PARAGRAPHS["gql"].replace("https://api.example.com", at.server.url)

    def call():
        names = at.run(source, RequestsHTTPTransport=RequestsHTTPTransport)
        return GraphQL(transport=names.transport).execute(gql("{ me }"))["me"]

    return {"call": call}


def with_praw(at):
    import praw

    reddit = at.run(PARAGRAPHS["praw"], session=at.session(), praw=praw).reddit
    at.can("/https/oauth.reddit.com/api/v1/me", {"name": "Ada"})

    def page(request):
        following = {None: "t3_2", "t3_2": "t3_3"}.get(request.query.get("after"))
        post = {"kind": "t3", "data": {"id": "1", "name": "t3_1", "title": "?"}}
        return {"kind": "Listing", "data": {"children": [post], "after": following}}

    at.can("/https/oauth.reddit.com/r/python/new", page)
    return {
        "call": lambda: reddit.user.me(use_cache=False).name,
        "listing": lambda: len(list(reddit.subreddit("python").new(limit=300))),
    }


def with_githubkit(at):
    import githubkit

    at.run(ADAPTERS["httpx"])
    source = PARAGRAPHS["githubkit"].replace(
        "GitHubKitAuth(client)", "GitHubKitAuth(client), base_url=%r, http_cache=False"
        % (at.server.url + "/github/")
    )
    hub = at.run(source, githubkit=githubkit).github
    at.can("/github/user", {"login": "Ada"})
    at.pages_by_link("/github/user/repos", [{"id": 1}])

    def listing():
        pages = hub.rest.paginate(
            hub.rest.repos.list_for_authenticated_user,
            map_func=lambda answer: answer.json(),
        )
        return len(list(pages))

    return {"call": lambda: hub.request("GET", "/user").json()["login"], "listing": listing}


def with_pygithub(at):
    import github

    source = PARAGRAPHS["PyGithub"].replace(
        "GithubToken())", "GithubToken(), base_url=%r)" % (at.server.url + "/github")
    )
    hub = at.run(source, github=github).hub
    at.can("/github/user", {"login": "Ada"})
    at.pages_by_link("/github/user/repos", [{"id": 1, "name": "one"}])
    return {
        "call": lambda: hub.get_user().login,
        "listing": lambda: len(list(hub.get_user().get_repos())),
    }


def with_slack(at):
    import slack_sdk

    source = PARAGRAPHS["slack_sdk"].replace("Slack()", "Slack(base_url=%r)")
    slack = at.run(source % (at.server.url + "/slack/"), slack_sdk=slack_sdk).slack
    at.can("/slack/auth.test", {"ok": True, "user": "Ada"})

    def page(request):
        sent = {**request.query, **request.form}  # the library sends forms, and then not
        following = {None: "2", "2": "3", "3": ""}[sent.get("cursor")]
        return {
            "ok": True,
            "members": ["Ada"],
            "response_metadata": {"next_cursor": following},
        }

    at.can("/slack/users.list", page)
    return {
        "call": lambda: slack.auth_test()["user"],
        "listing": lambda: sum(len(page["members"]) for page in slack.users_list(limit=1)),
    }


def with_smtplib(at):
    mail = at.case.enterContext(
        Mail(at.server._authorization_server.access_tokens)  # those that are good
    )
    threading.Thread(target=mail.serve_forever, args=(0.01,), daemon=True).start()
    at.case.addCleanup(mail.shutdown)

    def call():
        with smtplib.SMTP(*mail.server_address, local_hostname="localhost") as smtp:
            names = {"smtp": smtp, "client": at.client, "user": "ada@example.com"}
            smtp.ehlo()
            exec(PARAGRAPHS["smtplib"], names)
            return "Ada"

    return {"call": call}


def environment(**variables):
    from unittest import mock

    return mock.patch.dict(os.environ, variables)


# The name in the table, the package, what it runs, and where its lines stand.
LIBRARIES = [
    ("requests", "requests", with_requests),
    ("httpx", "httpx", with_httpx),
    ("httpx, async", "httpx", with_httpx_async),
    ("httpx2", "httpx2", with_httpx2),
    ("aiohttp", "aiohttp", with_aiohttp),
    ("google-auth", "google-auth", with_google_auth),
    ("azure-core, `Credential`", "azure-core", with_azure_credential),
    ("azure-core, `BearerPolicy`", "azure-core", with_azure_policy),
    ("spotipy", "spotipy", with_spotipy),
    ("python-gitlab", "python-gitlab", with_gitlab),
    ("atlassian-python-api", "atlassian-python-api", with_atlassian),
    ("stravalib", "stravalib", with_stravalib),
    ("tweepy", "tweepy", with_tweepy),
    ("gql", "gql", with_gql),
    ("praw", "praw", with_praw),
    ("githubkit", "githubkit", with_githubkit),
    ("PyGithub", "PyGithub", with_pygithub),
    ("slack_sdk", "slack_sdk", with_slack),
    ("smtplib", None, with_smtplib),
]
TITLE = "With other libraries"
*FIRST, LAST = blocks(section(TITLE)) or [""]
ADAPTERS = dict(zip(("requests", "httpx", "aiohttp", "google-auth", "azure-core"), FIRST))
PARAGRAPHS = {}
for paragraph in LAST.split("\n\n"):
    comment = re.match("# (.+)\n", paragraph)
    PARAGRAPHS[comment.group(1) if comment else "session"] = paragraph


class Libraries(unittest.TestCase):
    """What README.md says in its table of libraries is what happens."""

    rows = []

    def measure(self, with_library):
        """Whether these are healed, each with one renewal: the clock, a 401, a 401 that
        16 meet at once, and an expiry in the middle of a listing; None where there is no
        such thing."""
        at = Setting(self)
        subject = with_library(at)
        server, call, listing = at.server, subject["call"], subject.get("listing")
        self.assertEqual(call(), "Ada")
        self.assertEqual(server.renewals(), 0)

        def many():
            if "many" in subject:
                return subject["many"](THREADS)
            with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
                return list(pool.map(lambda _: call(), range(THREADS)))

        def heals(trouble, work, expected):
            before = server.renewals()
            trouble()
            try:
                result = work()
            except Exception as error:
                if os.environ.get("VERBOSE"):
                    import traceback

                    traceback.print_exception(error)
                self.assertEqual(server.renewals(), before)  # else it is another trouble
                at.client.refresh()
                return False
            self.assertEqual(result, expected)
            self.assertEqual(server.renewals(), before + 1)
            return True

        def clock():
            at.client.token = at.client.token._replace(expires_at=time.time() - 1)

        def after_a_page():
            server.left = 1

        healed = [
            heals(clock, call, "Ada"),
            heals(server.expire, call, "Ada"),
            heals(server.expire, many, ["Ada"] * THREADS),
            None,
        ]
        if listing:
            self.assertEqual(listing(), 3)
            healed[-1] = heals(after_a_page, listing, 3)
        return healed


def add_test(name, package, with_library):
    def test(self):
        version = importlib.metadata.version(package) if package else "Python's own"
        self.rows.append((name, version, lines_for(name), *self.measure(with_library)))

    identifier = re.sub(r"\W+", "_", name).strip("_")
    setattr(Libraries, "test_%02d_%s" % (LIBRARIES.index(
        (name, package, with_library)), identifier), test)


def lines_for(name):
    key, _, detail = name.partition(", ")
    key = key.replace("httpx2", "httpx")
    source = ADAPTERS.get(key) or PARAGRAPHS[key]
    if detail.startswith("`"):  # one class of several
        source = re.findall(r"(?m)^class %s\b.*\n(?:\n| .*\n)+" % detail.strip("`"), source)[0]
    return lines_of_code(source)


for library in LIBRARIES:
    add_test(*library)


class Elsewhere(unittest.TestCase):
    """Where a redirect leads to another host, that one gets no token, and its 401 renews
    none."""

    def check(self, with_library):
        at = Setting(self)
        subject = with_library(at)
        there = self.enterContext(FakeServer())
        for status in 200, 401:
            there.script("/me", status, {"display_name": "Eve"})
            at.server.script("/v1/me", 302, headers={"Location": there.url + "/me"})
            self.assertEqual(subject["call"](), "Eve")
            at.server.script("/v1/me", 302, headers={"Location": at.server.url + "/v1/me"})
            self.assertEqual(subject["call"](), "Ada")
        at.server.script("/v1/me", 302, headers={"Location": at.server.url + "/v1/me"})
        at.server.expire()
        self.assertEqual(subject["call"](), "Ada")
        self.assertEqual(at.server.renewals(), 1)
        self.assertEqual(
            ["Authorization" in request.headers for request in there.requests], [False] * 2
        )

    def test_by_requests(self):
        self.check(with_requests)

    def test_by_httpx(self):
        self.check(with_httpx)

    def test_by_httpx_async(self):
        self.check(with_httpx_async)

    def test_by_aiohttp(self):
        self.check(with_aiohttp)


class Bodies(unittest.TestCase):
    """A body is sent again after a 401, if it can be."""

    def test_by_requests(self):
        at = Setting(self)
        session = at.session()
        echo = at.server.url + "/v1/echo"
        for body in {"json": {"q": 1}}, {"data": {"q": 1}}, {"data": b"q"}:
            at.server.expire()
            self.assertEqual(session.post(echo, **body).json()["authorization"], "Bearer")
        self.assertEqual(at.server.renewals(), 3)
        at.server.expire()
        with open(__file__, "rb") as file:
            self.assertEqual(session.post(echo, data=file).status_code, 401)
            self.assertEqual(at.server.renewals(), 4)  # for the next request
            file.seek(0)
            self.assertEqual(session.post(echo, data=file).status_code, 200)


class Keyring(unittest.TestCase):
    """The store in README.md keeps a token with the real package, here in a file."""

    def test_two_clients_share_it_until_one_logs_out(self):
        import keyring
        from keyrings.alt.file import PlaintextKeyring

        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.enterContext(environment(HOME=folder, XDG_DATA_HOME=folder))
        before = keyring.get_keyring()
        self.addCleanup(keyring.set_keyring, before)
        keyring.set_keyring(PlaintextKeyring())
        names = {}
        exec(blocks(section("Keeping tokens"))[-1], names)
        server = self.enterContext(FakeServer())
        secret = server.clients["fake-app"]["client_secret"]
        one, two, three = [
            self.enterContext(
                Client(server.metadata, "fake-app", secret, store=names["KeyringStore"]())
            )
            for _ in range(3)
        ]
        for number in 1, 2:
            for client in one, two, one:
                client.get("echo")
            self.assertEqual(len(server.forms()), number)
            server.expire()
        one.logout()
        self.assertIsNone(three.token)
        self.assertEqual(keyring.get_password("my-program", "token"), "null")


class TableOfLibraries(unittest.TestCase):  # the last of the classes here, by its name
    """README.md has the table that was measured."""

    def test_its_rows(self):
        if len(Libraries.rows) < len(LIBRARIES):
            self.skipTest("not all libraries were tried")
        rows = re.findall(r"(?m)^\| (.*?) +\|$", section(TITLE))[1:]
        cells = [re.split(r" *\| *", row) for row in rows]
        self.assertEqual(
            [[name, lines, *heals] for name, _, lines, *heals in words()],
            cells,
        )


def words():
    """The rows of the table, in words."""
    word = {True: "yes", False: "no", None: "-"}
    for name, version, lines, *healed in Libraries.rows:
        yield [name, version, str(lines)] + [word[is_healed] for is_healed in healed]


def print_table():
    heads = "library", "version", "lines", "the clock", "a 401", "16 at once", "a listing"
    for name, version, *cells in [heads, *words()]:
        print("%-28s%-14s" % (name, version) + "".join("%-11s" % cell for cell in cells))
