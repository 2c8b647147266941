# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, no-check-untyped-defs
"""What simulate_renewals.py plays with: real clients, in threads that stop at each point.

A process is a client of oauth2min.py with one thread or several. Whatever it does to the rest
of the world (its store, the network, the lock among its threads) is a point: there the thread
stops, and goes on when it gets an answer. It reads no clock but that of the answers, and throws
no dice, so what it does next is settled by them. A node is a process that has got some answers;
it knows the points where its threads stand, and which node comes after each further answer.
Code runs only on the way to a node that is new.
"""

import errno
import io
import json
import socket
import threading
import types
import warnings
from collections import OrderedDict, namedtuple
from email.message import Message
from urllib.parse import parse_qsl
from urllib.request import BaseHandler, ProxyHandler
from urllib.response import addinfourl

PARKED = 500        # processes that wait in a node; more would be too many threads
PATIENCE = 60       # seconds; only code that hangs outside of the simulation takes so long
SETTINGS = {"_http", "_server", "_endpoint", "_headers", "owner", "store"}  # do not change
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
ADDRESS = "https://server.test"
SERVER = {
    "issuer": ADDRESS,
    "token_endpoint": ADDRESS + "/token",
    "device_authorization_endpoint": ADDRESS + "/device",
    "base_url": "https://api.test",
}
# threads: what each does, one after the other: words of ACTIONS. first: where each begins.
# handler: what a signal makes it do, in whichever thread stands at a point.
Spec = namedtuple("Spec", "name client_id grant_type revocation trace threads first handler")
# Of the clock, and of a clock that nobody sets; then what the point came to: "ok" and a value,
# "error", or "signal", which leaves the thread where it stands.
Answer = namedtuple("Answer", "clock monotonic kind value")

ACTIONS = {
    "get": lambda client: client.get("me").status_code,
    "access_token": lambda client: client.access_token() and None,
    "refresh": lambda client: client.refresh() and None,
    "login": lambda client: client.login(open_browser=False) and None,
    "logout": lambda client: client.logout(),
    "look": lambda client: client.token and None,
}


class Killed(BaseException):
    """Ends a thread that is not needed any more."""


class Stuck(Exception):
    """The simulation itself does not work: no rule of the library is broken."""


# --- What the module gets instead of the time, locks, the network and a store --------------


def here():
    """The thread of a client that runs just now; None while a client is made."""
    thread = threading.current_thread()
    return thread if isinstance(thread, Worker) else None


class Clock:
    """For the module `time`."""

    def time(self):
        thread = here()
        return thread.process.clock if thread else 0

    def monotonic(self):
        thread = here()
        return thread.process.monotonic if thread else 0

    def sleep(self, seconds):
        """Nobody has to wait for the end of it."""


class Mutex:
    """For threading.Lock and threading.RLock."""

    def __init__(self, is_reentrant):
        self.is_reentrant = is_reentrant
        self.owner = None
        self.count = 0

    def is_free(self, thread):
        return self.owner is None or self.is_reentrant and self.owner is thread

    def acquire(self, blocking=True, timeout=-1):
        thread = here()
        if not blocking and not self.is_free(thread):
            return False
        # With a single thread nobody else can go first.
        if blocking and not (self.is_free(thread) and len(thread.process.workers) == 1):
            thread.mutex = self
            thread.stop("mutex")
            thread.mutex = None
        self.owner = thread
        self.count += 1
        return True

    def release(self):
        self.count -= 1
        if self.count == 0:
            self.owner = None

    def __enter__(self):
        return self.acquire()

    def __exit__(self, *_):
        self.release()


class Threading:
    """For the module `threading`."""

    def RLock(self):
        return Mutex(True)

    def Lock(self):
        return Mutex(False)

    def __getattr__(self, name):
        return getattr(threading, name)


class Store:
    """One for all the processes: what is in it, the world knows."""

    def load(self):
        text = here().stop("load")
        return text and json.loads(text)

    def save(self, record):
        here().stop("save", record and json.dumps(record, sort_keys=True))

    def lock(self):
        return self

    def __enter__(self):
        here().stop("lock")

    def __exit__(self, *_):
        here().stop("unlock")


class Network(BaseHandler):
    """A handler for urllib that comes before the one that would open a connection."""

    handler_order = 100

    def https_open(self, request):
        status, text = here().stop(*self.point(request))
        answer = addinfourl(io.BytesIO(text.encode()), Message(), request.full_url, status)
        answer.msg = ""
        return answer

    def point(self, request):
        path = request.full_url.rpartition("/")[2]
        form = dict(parse_qsl((request.data or b"").decode()))
        if path == "token":
            return "token", form["grant_type"], form.get("refresh_token")
        if path == "revoke":
            return "revoke", form["token"]
        if path == "device":
            return ("device",)
        return "api", request.get_header("Authorization").partition(" ")[2]


def loaded(source):
    """The module, with all of its code as it is, in a world of ours."""
    module = types.ModuleType("simulated")
    exec(compile(source, "oauth2min.py", "exec"), module.__dict__)
    module.time = Clock()
    module.monotonic = module.time.monotonic
    module.threading = Threading()
    module.sys = types.SimpleNamespace(stderr=None)  # login() speaks to nobody
    return module


# --- A process, and its threads ------------------------------------------------------------


class Worker(threading.Thread):
    """One thread of a process. `point` is where it stands."""

    def __init__(self, process, actions, first):
        super().__init__(daemon=True)
        self.process = process
        self.actions = actions
        self.first = first
        self.go = threading.Lock()
        self.go.acquire()
        self.point = None
        self.doing = None       # the number and the word of its action
        self.mutex = None       # which it waits for
        self.answer = None
        self.is_killed = False

    def run(self):
        outcome = None
        try:
            for number in range(self.first, len(self.actions)):
                action = self.actions[number]
                self.doing = number, action
                self.stop("begin", number, action, outcome)
                outcome = self.outcome(action)
            self.doing = len(self.actions), None
            self.stop("end", len(self.actions), None, outcome)
        except Killed:
            pass
        finally:
            self.process.turn.release()

    def outcome(self, action):
        """What a user of the library sees of it: a word, and what the server said."""
        try:
            return "ok", ACTIONS[action](self.process.client)
        except Exception as error:  # what it is, the rules will judge
            response = getattr(error, "response", None)
            return type(error).__name__, getattr(response, "status_code", None)

    def stop(self, *point):
        """Waits here until there is an answer, and returns its value."""
        while True:
            if self.is_killed:  # `finally` and `with` come here on the way out
                raise Killed
            self.point = point
            self.process.turn.release()
            self.go.acquire()
            if self.is_killed:
                raise Killed
            answer = self.answer
            if answer.kind == "ok":
                return answer.value
            if answer.kind == "error":
                if point[0] in ("load", "save", "lock"):
                    raise OSError(errno.EIO, "the store fails")
                raise socket.timeout("timed out")
            self.stop("handled", self.outcome(self.process.spec.handler))


class Process:
    """A client and its threads, each of which stands at a point."""

    known: "dict[object, int]" = {}  # pictures of memories, and their numbers

    def __init__(self, module, spec):
        self.spec = spec
        self.clock = self.monotonic = 0
        self.turn = threading.Semaphore(0)
        server = dict(SERVER)
        if spec.revocation:
            server["revocation_endpoint"] = ADDRESS + "/revoke"
        self.client = module.Client(
            server,
            spec.client_id,
            grant_type=spec.grant_type,
            store=Store(),
            handlers=[Network(), ProxyHandler({})],
            trace=(lambda text: self.client.token) if spec.trace else None,
        )
        self.errors = []
        self.workers = [Worker(self, *work) for work in zip(spec.threads, spec.first)]
        for worker in self.workers:
            worker.start()
            self.wait()

    def wait(self):
        if not self.turn.acquire(timeout=PATIENCE):
            raise Stuck("a client waits for something that is not simulated")

    def points(self):
        return tuple(worker.point for worker in self.workers)

    def waiting(self):
        """For each thread, whether it cannot go on because another one has the lock."""
        return tuple(
            bool(worker.mutex) and not worker.mutex.is_free(worker)
            for worker in self.workers
        )

    def give(self, number, answer):
        worker = self.workers[number]
        worker.answer = answer
        self.clock, self.monotonic = answer.clock, answer.monotonic
        worker.go.release()
        self.wait()
        for error in vars(self.client._keeper).values():
            if isinstance(error, BaseException) and error not in self.errors:
                self.errors.append(error)  # the code asks whether it is the same one

    def memory(self):
        """What the threads share, as a number."""
        return self.known.setdefault(self.picture(vars(self.client)), len(self.known))

    def picture(self, value):
        kind = type(value)
        if isinstance(value, dict):
            return tuple((name, self.picture(value[name])) for name in sorted(value, key=str)
                         if name not in SETTINGS)
        if isinstance(value, (tuple, list)):
            return kind.__name__, tuple(map(self.picture, value))
        if isinstance(value, Mutex):
            owner = value.owner and self.workers.index(value.owner)
            return "Mutex", owner, value.count
        if isinstance(value, BaseException):
            return kind.__name__, self.errors.index(value)
        if kind.__module__ == "simulated":
            return kind.__name__, self.picture(vars(value))
        if kind in (str, bytes, int, float, bool):
            return kind.__name__, value
        return kind.__name__


    def end(self):
        for worker in self.workers:
            worker.is_killed = True
            worker.go.release()
            self.wait()


# --- All that processes can come to --------------------------------------------------------


class Node:
    """A process after some answers. It is equal to itself alone, for there is no other node
    with the same state."""

    __slots__ = ("spec", "way", "depth", "points", "doing", "waiting", "memory", "met", "after",
                 "process")

    def __init__(self, way, process):
        self.spec = process.spec
        self.way = way          # how to come here: the node before, the thread, its answer
        self.depth = way[0].depth + 1 if way else 0
        self.points = process.points()
        self.doing = tuple(worker.doing for worker in process.workers)
        self.waiting = process.waiting()
        self.memory = process.memory()
        self.met = tuple(map(self.met_by, range(len(self.points))))
        self.after = {}
        self.process = None     # that stands here

    def met_by(self, number):
        """In this action of the thread: each answer, and the memory that it found."""
        if not self.way or self.points[number][0] in ("begin", "end"):
            return ()
        before, other, answer = self.way
        if other == number:
            return before.met[number] + ((answer, before.memory),)
        return before.met[number]

    def state(self):
        """All that settles what the process will do. Between two points a thread is alone:
        what it does there is settled by its answer, by the memory that it finds, and by what
        it did before in this action."""
        return self.spec, self.points, self.doing, self.met, self.memory


class Forest:
    """All nodes of processes that run this module."""

    def __init__(self, source):
        self.module = loaded(source)
        self.roots = {}
        self.nodes = {}
        self.parked = OrderedDict()
        self.runs = 0
        warnings.simplefilter("ignore", RuntimeWarning)  # "cannot save the token"

    def root(self, spec):
        if spec not in self.roots:
            process = Process(self.module, spec)
            self.roots[spec] = self.park(Node(None, process), process)
        return self.roots[spec]

    def next(self, node, number, answer):
        """The node after one more answer to the thread of this number."""
        step = number, answer
        after = node.after.get(step)
        if after is None:
            process = self.process_at(node)
            process.give(number, answer)
            self.runs += 1
            new = Node((node, number, answer), process)
            after = self.nodes.setdefault(new.state(), new)
            node.after[step] = self.park(after, process)
        return after

    def process_at(self, node):
        if node.process:
            process, node.process = node.process, None
            del self.parked[node]
            return process
        steps = []
        before = node
        while before.way:
            before, *step = before.way
            steps.append(step)
        process = Process(self.module, node.spec)
        for number, answer in reversed(steps):
            process.give(number, answer)
        if process.points() != node.points:
            raise Stuck("the same answers led to another point")
        return process

    def park(self, node, process):
        """A process that stands there need not be brought there again."""
        if node.process:
            process.end()
            return node
        node.process = process
        self.parked[node] = None
        if len(self.parked) > PARKED:
            self.end(next(iter(self.parked)))
        return node

    def end(self, node):
        del self.parked[node]
        node.process.end()
        node.process = None

    def close(self):
        for node in list(self.parked):
            self.end(node)
