# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, no-check-untyped-defs
"""The rest of the world for stopped_clients.py: a store, an authorization server that rotates
refresh tokens and notices when one comes twice, an API, clocks, what goes wrong, and the
rules that hold whatever happens in whatever order.

A World is a value; moves() tells what can happen next in it, and each move returns another
World. Who breaks a rule raises Broken.
"""

import json
from collections import namedtuple

from stopped_clients import DEVICE_CODE, Answer

LIFE = 3600         # seconds, of an access token
MARGIN = 30         # the client renews this much earlier
START = 10**9       # the time at first
JUMP = 4000         # seconds, of a clock that is set forward; back it is one more, so that
                    # World.skew tells whether one ever was
ENDLESS = 400       # points; no client has so much to do

# --- The rules ---------------------------------------------------------------------------

ONCE = "no refresh token is used twice while locks work"
NEEDED = "a login is asked for only where nothing else helps"
NEWER = "no older token is saved over a newer one"
LIVE = "nobody waits for ever"
ONE = "one expiry costs one renewal"
BROKEN_API = "an API that refuses every token costs each process one renewal"
SHARED = "who waited for a renewal that failed gets its error, and does not try again"
FINAL = "a logout is final"
SAVED = "a token is saved before it is used"
EARLY = "while a token is good, a renewal that fails for a while does no harm"
DEAD = "a token that has ended is not used"
TIMELY = "a token that will end soon is renewed before it is used"
ANOTHER = "after a 401 comes another token, or an error if there was one already"
NO_WALL = "after a refusal the next login asks the user, and then all is well"
NO_ASKING = "login() asks nobody who could not help, or need not"
NO_ERROR = "there is no error without a trouble"
REFUSED = "after a refusal the old token is not used"
OWN = "the token of another client is neither used nor replaced"


class Broken(Exception):
    """A rule does not hold."""

    def __init__(self, rule, why):
        super().__init__(rule, why)
        self.rule, self.why = rule, why


def require(right, rule, why):
    if not right:
        raise Broken(rule, why)


# --- What there is -------------------------------------------------------------------------

# now: the true time. skew: how far the clock of this machine is off. store: the record as
# JSON. holder: process and thread that have its lock. orphans: requests whose senders do not
# wait for an answer any more. emptied: whether somebody has logged out since the last login.
# told: whether somebody was told to log in, and could write that down.
World = namedtuple(
    "World",
    "now skew store holder families issues procs orphans expiries faults emptied told unsaved",
)
# A login and all tokens that came of it. current: the serial number of the refresh token that
# counts. logged_out: the store was emptied while it held one of them.
Family = namedtuple("Family", "is_alive current logged_out")
# An answer of the token endpoint; its serial number is its place in World.issues, and its
# tokens are called by it. by: the process that asked. lost: something befell it before it was
# in the store. keeper: the process that has such a one in memory.
Issue = namedtuple("Issue", "family end is_over is_used by is_saved is_lost keeper came")
# seen: the families that it has seen in the store. accepted: the last access token
# that the API took from it.
Proc = namedtuple("Proc", "spec node threads is_here seen renewals accepted")
# flight: of its token request: None, "sent", or the answer on its way. The rest is about the
# action that it is in. calls: the access tokens that it sent to the API. saw_nothing, saw_good:
# what it found in the store when it looked last: nothing, or what the server would renew.
# trouble: something went wrong; no_store: that was the store. waited: for a renewal that
# failed. stranger: the record is another client's. since: when it decided on its token.
Thread = namedtuple("Thread", [
    "flight", "calls", "saw_nothing", "saw_good", "trouble", "no_store", "was_refused", "waited",
    "stranger", "since",
])
IDLE = Thread(None, (), False, False, False, False, False, False, False, 0)
Reply = namedtuple("Reply", "status fields serial")

# What may happen once in a while, and costs one of World.faults.
TROUBLES = (
    "dies", "request lost", "answer lost", "late", "busy", "save fails", "save fails late",
    "load fails", "clock forward", "clock back", "token over", "withdrawn", "visitor",
)
# rotates: refresh tokens. reuse: "kills" the family, or is "refused". locks: whether they work.
# api: "good", or "refuses" every token. repeats: a refresh gives the same access token while
# it lives. has_refresh: whether there are refresh tokens. passes: the seconds of an expiry.
Settings = namedtuple("Settings", "rotates reuse locks api repeats has_refresh passes troubles")
USUAL = Settings(True, "kills", True, "good", False, True, JUMP, TROUBLES)


def serial(token):
    """The serial number of a token: they are called A7 and R7."""
    return int(token[1:])


def replaced(items, place, **changes):
    """A tuple of named tuples, one of them changed."""
    return items[:place] + (items[place]._replace(**changes),) + items[place + 1:]


class Simulation:
    """All that can happen with these settings."""

    def __init__(self, forest, settings):
        self.forest = forest
        self.settings = settings

    # --- Building worlds ---

    def world(self, specs, visitors=(), expiries=0, faults=0):
        procs = tuple(
            Proc(spec, self.forest.root(spec), (IDLE,) * len(spec.threads), spec in specs,
                 frozenset(), 0, None)
            for spec in (*specs, *visitors)
        )
        return World(START, 0, None, None, (), (), procs, (), expiries, faults, True, False, False)

    def ended(self, proc):
        return all(point[0] == "end" for point in proc.node.points)

    # --- What can happen next ---

    def moves(self, world):
        """(who, what), and a function that returns the world after it."""
        found = []
        for place, proc in enumerate(world.procs):
            if proc.is_here:
                for number, point in enumerate(proc.node.points):
                    move = self.move(world, place, number, point)
                    if move:
                        found.append(move)
        for place, orphan in enumerate(world.orphans):
            found.append((("server", "gets the late request", orphan[1]),
                          lambda orphan=orphan: self.late_effect(world, orphan)))
        if world.expiries and not (self.settings.repeats and self.is_answer_on_its_way(world)):
            found.append((("time", "passes", self.settings.passes),
                          lambda: world._replace(now=world.now + self.settings.passes,
                                                 expiries=world.expiries - 1)))
        if world.faults:
            found.extend(self.troubles(world))
        return found

    def is_answer_on_its_way(self, world):
        """If time passes then, the client takes the token for younger than it is."""
        return any(isinstance(thread.flight, Reply)
                   for proc in world.procs for thread in proc.threads)

    def is_stuck(self, world, found):
        """Whether nobody can go on, though somebody has not come to the end."""
        goes_on = any(label[0] not in ("time", "server", "trouble") for label, _ in found)
        return not goes_on and not all(
            self.ended(proc) for proc in world.procs if proc.is_here
        )

    def move(self, world, place, number, point):
        proc = world.procs[place]
        kind = point[0]
        who = self.name(proc, number)
        thread = proc.threads[number]
        if kind == "end":
            return None
        if kind == "mutex":
            if proc.node.waiting[number]:
                return None
            return (who, "has the lock of the threads"), lambda: self.give(world, place, number)
        if kind == "lock":
            if world.holder and self.settings.locks:
                return None
            return (who, "locks the store"), lambda: self.give(
                world._replace(holder=(place, number)), place, number)
        if kind == "unlock":
            return (who, "unlocks the store"), lambda: self.give(
                world._replace(holder=None), place, number)
        if kind == "begin":
            return (who, "calls", point[2] + "()"), lambda: self.give(
                self.with_thread(world, place, number, since=world.now),
                place, number)
        if kind == "handled":
            return (who, "comes back from the signal"), lambda: self.give(world, place, number)
        if kind == "load":
            return (who, "loads", self.short(world.store)), lambda: self.load(
                world, place, number)
        if kind == "save":
            return (who, "saves", self.short(point[1])), lambda: self.save(
                world, place, number, point[1])
        if kind == "api":
            return (who, "calls the API with", point[1]), lambda: self.api(
                world, place, number, point[1])
        if kind == "device":
            return (who, "asks the user"), lambda: self.device(world, place, number)
        if kind == "revoke":
            return (who, "revokes", point[1]), lambda: self.revoke(
                world, place, number, point[1])
        what = point[2] or point[1].rpartition(":")[2]
        if thread.flight is None:
            return (who, "sends a token request", what), lambda: self.with_thread(
                world, place, number, flight="sent")
        if thread.flight == "sent":
            return (who, "has reached the server with", what), lambda: self.effect(
                world, place, number, point)
        reply = thread.flight
        answer = "A%d" % reply.serial if reply.status == 200 else reply.status
        return (who, "gets the answer", answer), lambda: self.arrive(world, place, number)

    def name(self, proc, number):
        if len(proc.threads) == 1:
            return proc.spec.name
        return "%s.%d" % (proc.spec.name, number + 1)

    def short(self, text):
        if text is None:
            return "nothing"
        record = json.loads(text)
        token = record["token"]
        over = ", over" if record["renew_at"] == 0 else ""
        return "%s %s%s" % (token["access_token"], token["refresh_token"], over)

    # --- Giving an answer, and judging what the client makes of it ---

    def with_thread(self, world, place, number, **changes):
        proc = world.procs[place]
        threads = replaced(proc.threads, number, **changes)
        return world._replace(procs=replaced(world.procs, place, threads=threads))

    def give(self, world, place, number, value=None, kind="ok"):
        """The thread gets its answer, and goes on to its next point."""
        proc = world.procs[place]
        before = self.action(proc, number)
        clock = world.now + world.skew
        answer = Answer(clock, world.now, kind, value)
        node = self.forest.next(proc.node, number, answer)
        require(node.depth < ENDLESS, LIVE, "it goes on and on")
        world = world._replace(procs=replaced(world.procs, place, node=node))
        point = node.points[number]
        if point[0] in ("begin", "end"):
            world = self.judge(world, place, number, before, point[3])
            world = self.with_thread(world, place, number, **IDLE._asdict())
        elif point[0] == "token":
            self.judge_token_request(world, place, number, point)
        elif point[0] == "api":
            self.judge_api_request(world, place, number, point[1])
        elif point[0] == "device":
            self.judge_asking(world, place, number)
        elif point[0] == "save":
            self.judge_save(world, place, number, point[1])
        return world

    # --- The store ---

    def load(self, world, place, number):
        record = world.store and json.loads(world.store)
        stranger = bool(record) and record["client_id"] != world.procs[place].spec.client_id
        if record and not stranger:
            world = self.seen(world, place, record)
        good = bool(record) and not stranger and self.is_renewable(world, record)
        world = self.with_thread(world, place, number, saw_nothing=record is None,
                                 saw_good=good, stranger=stranger,
                                 since=world.now)
        return self.give(world, place, number, world.store)

    def seen(self, world, place, record):
        family = world.issues[serial(record["token"]["access_token"])].family
        seen = world.procs[place].seen | {family}
        return world._replace(procs=replaced(world.procs, place, seen=seen))

    def is_renewable(self, world, record):
        """Whether the server would take the refresh token of this record."""
        token = record["token"]["refresh_token"]
        if token is None:
            return False
        family = world.families[world.issues[serial(token)].family]
        return family.is_alive and family.current == serial(token)

    def judge_save(self, world, place, number, text):
        """It stands at a save: with the lock, so nobody can come in between."""
        proc = world.procs[place]
        old = world.store and json.loads(world.store)
        new = text and json.loads(text)
        action = self.action(proc, number)
        if old:
            require(old["client_id"] == proc.spec.client_id, OWN,
                    "%s replaces a record of %s" % (proc.spec.name, old["client_id"]))
        if new is None:
            require(action == "logout" or proc.spec.handler == "logout", NEWER,
                    "%s empties the store in %s()" % (proc.spec.name, action))
            return
        issue = world.issues[serial(new["token"]["access_token"])]
        family = world.families[issue.family]
        require(not family.logged_out, FINAL,
                "%s saves a token that somebody has logged out" % proc.spec.name)
        if old and self.settings.locks and action != "login":
            ages = []
            for record in old, new:
                number = serial(record["token"]["access_token"])
                ages.append((world.issues[number].family, number))
            require(ages[0] <= ages[1], NEWER, "%s saves %s over %s"
                    % (proc.spec.name, self.short(text), self.short(world.store)))

    def save(self, world, place, number, text):
        world = self.saved(world, place, number, text)
        return self.give(world, place, number)

    def saved(self, world, place, number, text):
        old = world.store and json.loads(world.store)
        if text is None:
            families = world.families
            if old:
                family = world.issues[serial(old["token"]["access_token"])].family
                families = replaced(families, family, logged_out=True)
            return world._replace(store=None, families=families, emptied=True)
        record = json.loads(text)
        count = serial(record["token"]["access_token"])
        issues = replaced(world.issues, count, is_saved=True)
        told = world.told and self.action(world.procs[place], number) != "login"
        world = world._replace(store=text, issues=issues, emptied=False, told=told)
        return self.seen(world, place, record)

    def action(self, proc, number):
        """What this thread is doing: a word of ACTIONS."""
        return proc.node.doing[number][1]

    # --- The server ---

    def is_valid(self, world, issue):
        return (issue.end >= world.now and not issue.is_over
                and world.families[issue.family].is_alive)

    def judge_token_request(self, world, place, number, point):
        proc = world.procs[place]
        thread = proc.threads[number]
        _, grant_type, refresh_token = point
        is_login = grant_type == DEVICE_CODE
        action = self.action(proc, number)
        is_free = is_login or action == "refresh" or not thread.waited
        require(is_free, SHARED, "%s asks again" % self.name(proc, number))
        if refresh_token:
            family = world.issues[serial(refresh_token)].family
            is_out = world.families[family].logged_out and family in proc.seen
            require(not is_out, FINAL, "%s renews a token that somebody has logged out"
                    % proc.spec.name)
        if is_login or action == "refresh" or not self.settings.locks:
            return
        if self.settings.api == "refuses":
            require(proc.renewals == 0, BROKEN_API, "%s asks a second time" % proc.spec.name)
            return
        record = world.store and json.loads(world.store)
        if record and record["client_id"] == proc.spec.client_id:
            issue = world.issues[serial(record["token"]["access_token"])]
            renew_at = record["renew_at"]
            clock = world.now + world.skew
            is_good = renew_at is None or clock < renew_at
            require(not (is_good and self.is_valid(world, issue)), ONE,
                    "%s asks for another though the token in the store is good"
                    % proc.spec.name)

    def effect(self, world, place, number, point):
        world, reply = self.served(world, place, point, is_orphan=False)
        world = self.with_thread(world, place, number, flight=reply, since=world.now)
        renewals = world.procs[place].renewals + 1
        return world._replace(procs=replaced(world.procs, place, renewals=renewals))

    def late_effect(self, world, orphan):
        place, point = orphan[0], orphan[2]
        rest = list(world.orphans)
        rest.remove(orphan)
        world, _ = self.served(world._replace(orphans=tuple(rest)), place, point, True)
        return world

    def served(self, world, place, point, is_orphan):
        """What the server does, and its answer."""
        _, grant_type, refresh_token = point
        if grant_type != "refresh_token":
            if grant_type == "client_credentials" and world.families:
                family = 0
            else:
                family = len(world.families)
                world = world._replace(families=world.families + (Family(True, None, False),))
            return self.issue(world, place, family, is_orphan)
        count = serial(refresh_token)
        old = world.issues[count]
        family = world.families[old.family]
        if family.current != count:
            world = self.judge_reuse(world, place, count, is_orphan)
        if not world.families[old.family].is_alive or family.current != count:
            return world, Reply(400, (("error", "invalid_grant"),), None)
        if self.settings.repeats and self.is_valid(world, old):
            # The same again, with the seconds that are left.
            fields = (("access_token", "A%d" % count), ("expires_in", old.end - world.now))
            return world, Reply(200, fields, count)
        return self.issue(world, place, old.family, is_orphan)

    def judge_reuse(self, world, place, count, is_orphan):
        """A refresh token came that has been replaced: then somebody may have stolen it."""
        family = world.issues[count].family
        if not world.families[family].is_alive:
            return world
        later = [issue for issue in world.issues[count + 1:] if issue.family == family]
        first = later[0]
        forgiven = first.is_lost and first.keeper != place
        require(forgiven or is_orphan or not self.settings.locks, ONCE,
                "%s uses R%d again" % (world.procs[place].spec.name, count))
        if self.settings.reuse == "kills":
            families = replaced(world.families, family, is_alive=False)
            world = world._replace(families=families)
        return world

    def issue(self, world, place, family, is_orphan):
        count = len(world.issues)
        issue = Issue(family, world.now + LIFE, False, False, place, False, is_orphan,
                      None, world.now)
        fields = [("access_token", "A%d" % count), ("expires_in", LIFE)]
        old = world.families[family].current
        is_program = world.procs[place].spec.grant_type == "client_credentials"
        if self.settings.has_refresh and not is_program:
            if self.settings.rotates or old is None:
                fields.append(("refresh_token", "R%d" % count))
                old = count
        families = replaced(world.families, family, current=old)
        world = world._replace(issues=world.issues + (issue,), families=families)
        return world, Reply(200, tuple(fields), count)

    def arrive(self, world, place, number):
        reply = world.procs[place].threads[number].flight
        refused = reply.status == 400
        changes = {"flight": None}
        if refused:
            changes["was_refused"] = True
        if reply.status != 200:
            changes["trouble"] = True
        world = self.with_thread(world, place, number, **changes)
        if reply.status not in (200, 400):  # a refusal is nobody else's error
            world = self.failed(world, place, number)
        if reply.status == 200:
            issues = replaced(world.issues, reply.serial, came=world.now)
            world = world._replace(issues=issues)
        return self.give(world, place, number, (reply.status, json.dumps(dict(reply.fields))))

    def failed(self, world, place, number):
        """Those who wait for this thread will hear of it, but for refresh(), which nobody
        waits for: it gets one token more in any case."""
        if self.action(world.procs[place], number) == "refresh":
            return world
        points = world.procs[place].node.points
        for other, point in enumerate(points):
            if point[0] == "mutex":
                world = self.with_thread(world, place, other, waited=True, trouble=True)
        return world

    def api(self, world, place, number, token):
        issue = world.issues[serial(token)]
        calls = world.procs[place].threads[number].calls + (token,)
        world = self.with_thread(world, place, number, calls=calls, waited=False)
        if self.settings.api == "good" and self.is_valid(world, issue):
            world = world._replace(procs=replaced(world.procs, place, accepted=token))
            return self.give(world, place, number, (200, "{}"))
        return self.give(world, place, number, (401, ""))

    def judge_api_request(self, world, place, number, token):
        proc = world.procs[place]
        thread = proc.threads[number]
        who = self.name(proc, number)
        issue = world.issues[serial(token)]
        require(issue.is_saved or issue.is_lost, SAVED, "%s uses %s" % (who, token))
        require(token not in thread.calls, ANOTHER, "%s uses %s again" % (who, token))
        if self.settings.repeats:
            require(world.skew or issue.end >= thread.since, DEAD, "%s uses %s" % (who, token))
        else:
            # To its end, if renewing it did not work; and not everybody's clock is right.
            end = issue.came + LIFE - (0 if thread.trouble else MARGIN)
            require(world.skew or thread.since < end, TIMELY, "%s uses %s" % (who, token))
        is_alive = world.families[issue.family].is_alive
        is_over = thread.was_refused and not thread.no_store
        require(is_alive or not is_over, REFUSED, "%s uses %s" % (who, token))
        is_out = world.families[issue.family].logged_out and thread.saw_nothing
        require(not is_out, FINAL, "%s uses %s, and has seen the store empty" % (who, token))
        require(not thread.stranger, OWN, "%s uses %s" % (who, token))

    def judge_asking(self, world, place, number):
        thread = world.procs[place].threads[number]
        knows = thread.was_refused or thread.waited
        require(knows or not thread.trouble, NO_ASKING,
                "%s asks for a trouble that will pass" % world.procs[place].spec.name)
        record = world.store and json.loads(world.store)
        is_usual = not (thread.trouble or thread.was_refused or world.unsaved)
        if record and is_usual and self.settings.locks:
            is_told = record["renew_at"] == 0
            require(is_told or not self.is_renewable(world, record), NO_ASKING,
                    "%s asks" % world.procs[place].spec.name)

    def device(self, world, place, number):
        fields = {"device_code": "D", "user_code": "U", "interval": 1, "expires_in": 100,
                  "verification_uri": "https://server.test/code"}
        return self.give(world, place, number, (200, json.dumps(fields)))

    def revoke(self, world, place, number, token):
        family = world.issues[serial(token)].family
        if world.families[family].current is None:
            issues = replaced(world.issues, serial(token), is_over=True)
            world = world._replace(issues=issues)
        else:
            families = replaced(world.families, family, is_alive=False)
            world = world._replace(families=families)
        return self.give(world, place, number, (200, "{}"))

    # --- What goes wrong ---

    def troubles(self, world):
        world = world._replace(faults=world.faults - 1)
        allowed = self.settings.troubles
        found = []
        for place, proc in enumerate(world.procs):
            name = proc.spec.name
            if not proc.is_here:
                if "visitor" in allowed:
                    found.append((("trouble", name, "comes"), lambda place=place:
                                  world._replace(procs=replaced(world.procs, place,
                                                                is_here=True))))
                continue
            if "dies" in allowed and proc.node.depth and not self.ended(proc):
                found.append((("trouble", name, "dies"),
                              lambda place=place: self.die(world, place)))
            for number, point in enumerate(proc.node.points):
                found.extend(self.troubles_of(world, place, number, point))
        for kind, jump in ("clock forward", JUMP), ("clock back", -JUMP - 1):
            if kind in allowed:
                found.append((("trouble", "the " + kind), lambda jump=jump:
                              world._replace(skew=world.skew + jump)))
        if "token over" in allowed and world.issues:
            issues = tuple(issue._replace(is_over=True) for issue in world.issues)
            found.append((("trouble", "the server ends all access tokens"),
                          lambda: world._replace(issues=issues)))
        if "withdrawn" in allowed and world.families:
            families = tuple(family._replace(is_alive=False) for family in world.families)
            found.append((("trouble", "the user withdraws the permission"),
                          lambda: world._replace(families=families)))
        return found

    def troubles_of(self, world, place, number, point):
        """Those of one thread at one point."""
        proc = world.procs[place]
        who = self.name(proc, number)
        flight = proc.threads[number].flight
        kinds = []
        if point[0] == "load":
            kinds = ["load fails"]
        elif point[0] == "save":
            kinds = ["save fails", "save fails late"]
        elif point[0] == "token" and flight == "sent":
            kinds = ["request lost", "late", "busy"]
        elif point[0] == "token" and flight:
            kinds = ["answer lost"]
        found = []
        for kind in kinds:
            if kind in self.settings.troubles:
                found.append((("trouble", who, kind), lambda kind=kind:
                              self.trouble(world, place, number, point, kind)))
        if proc.spec.handler and point[0] not in ("begin", "end", "handled"):
            found.append((("trouble", who, "gets a signal and calls", proc.spec.handler),
                          lambda: self.give(world, place, number, kind="signal")))
        return found

    def trouble(self, world, place, number, point, kind):
        proc = world.procs[place]
        if kind == "load fails":
            world = self.with_thread(world, place, number, trouble=True, no_store=True)
            return self.give(world, place, number, kind="error")
        if kind.startswith("save"):
            world = world._replace(unsaved=True)
            text = point[1]
            if kind == "save fails late":
                world = self.saved(world, place, number, text)
            elif text:
                count = serial(json.loads(text)["token"]["access_token"])
                if not world.issues[count].is_saved:
                    issues = replaced(world.issues, count, is_lost=True, keeper=place)
                    world = world._replace(issues=issues)
            return self.give(world, place, number, kind="error")
        reply = proc.threads[number].flight
        world = self.with_thread(world, place, number, flight=None, trouble=True)
        world = self.failed(world, place, number)
        if kind == "busy":
            return self.give(world, place, number, (503, ""))
        if kind == "late":
            orphan = (place, self.name(proc, number), point)
            world = world._replace(orphans=world.orphans + (orphan,))
        if kind == "answer lost" and reply.serial is not None:
            issues = replaced(world.issues, reply.serial, is_lost=True, keeper=None)
            world = world._replace(issues=issues)
        return self.give(world, place, number, kind="error")

    def die(self, world, place):
        """The process is gone, with its locks and its memory, and starts again: with what
        it was doing."""
        proc = world.procs[place]
        orphans = []
        for number, thread in enumerate(proc.threads):
            if thread.flight == "sent":
                orphans.append((place, self.name(proc, number), proc.node.points[number]))
        issues = tuple(
            issue._replace(is_lost=True, keeper=None)
            if issue.by == place and not issue.is_saved else issue
            for issue in world.issues
        )
        holder = None if world.holder and world.holder[0] == place else world.holder
        first = tuple(number for number, _ in proc.node.doing)
        spec = proc.spec._replace(first=first)
        new = Proc(spec, self.forest.root(spec), (IDLE,) * len(proc.threads), True,
                   frozenset(), 0, None)
        procs = world.procs[:place] + (new,) + world.procs[place + 1:]
        return world._replace(procs=procs, issues=issues, holder=holder,
                              orphans=world.orphans + tuple(orphans))

    # --- What users see ---

    def judge(self, world, place, number, action, found):
        """An action has come to its end, with this outcome."""
        proc = world.procs[place]
        thread = proc.threads[number]
        outcome = found[0]
        who = self.name(proc, number)
        if outcome == "LoginRequired":
            self.judge_login_required(world, place, thread, who)
            can_know = self.settings.locks and not world.unsaved
            learned = thread.was_refused or bool(thread.calls)
            return world._replace(told=world.told or learned and can_know)
        if outcome == "ResponseError":
            issue = world.issues[serial(thread.calls[-1])]
            # One that was renewed just now, and was accepted nowhere, is not tried again.
            is_new = world.now - issue.came < MARGIN and proc.accepted != thread.calls[-1]
            require(is_new or len(thread.calls) > 1, ANOTHER, "%s gets a 401 and gives up" % who)
        elif outcome == "StoreError":
            require(thread.stranger, NO_ERROR, "%s gets a StoreError" % who)
        elif outcome in ("URLError", "TokenError", "OSError"):
            require(thread.trouble, NO_ERROR, "%s gets a %s" % (who, outcome))
            if not thread.no_store and action != "refresh":
                self.judge_early(world, proc, thread, who)
        else:
            require(outcome == "ok", NO_ERROR, "%s gets a %s" % (who, outcome))
            is_out = action != "logout" or world.store is None or world.unsaved
            require(is_out, FINAL, "the token is still there after the logout of " + who)
        return world

    def judge_login_required(self, world, place, thread, who):
        spec = world.procs[place].spec
        require(spec.grant_type != "client_credentials", NEEDED, "%s is a program" % who)
        if not self.settings.locks:
            require(not thread.saw_good, NEEDED,
                    "%s has seen a newer token in the store" % who)
            return
        if world.unsaved and any("logout" in actions for actions in spec.threads):
            return  # it has logged out, though the store does not know of it
        if thread.waited:
            return  # the error of the renewal, though somebody may have logged in since
        if world.store is None:
            require(world.emptied, NEEDED, "nobody has emptied the store of %s" % who)
            require(self.is_logged_out(world, place), NEEDED,
                    "%s has a token that was never in the store" % who)
            return
        record = json.loads(world.store)
        require(not self.is_renewable(world, record), NEEDED, "%s could renew" % who)
        token = record["token"]["refresh_token"]
        if token is None:
            require(not self.settings.has_refresh, NEEDED, "%s had a refresh token" % who)
            return
        family = world.issues[serial(token)].family
        if world.families[family].is_alive:
            # The store has a token that was replaced.
            later = [issue for issue in world.issues[serial(token) + 1:]
                     if issue.family == family]
            require(later[0].is_lost and later[0].keeper != place, NEEDED,
                    "the token that %s needs was not lost" % who)

    def is_logged_out(self, world, place):
        """Whether a client that finds nothing in the store has to forget what it has."""
        proc = world.procs[place]
        mine = [number for number, issue in enumerate(world.issues) if issue.keeper == place]
        if not mine or proc.seen or any("logout" in actions for actions in proc.spec.threads):
            return True
        family = world.families[world.issues[mine[-1]].family]
        return not family.is_alive or family.current != mine[-1]

    def judge_early(self, world, proc, thread, who):
        """It gives up for a trouble that will pass."""
        record = world.store and json.loads(world.store)
        if not record or thread.calls or world.skew:
            return  # the clock may have been another one when it gave up
        issue = world.issues[serial(record["token"]["access_token"])]
        clock = world.now + world.skew
        end = record["token"]["expires_at"]
        is_good = record["renew_at"] != 0 and clock < (end or 0)
        require(not (is_good and self.is_valid(world, issue)), EARLY,
                "%s gives up though its token is good" % who)
