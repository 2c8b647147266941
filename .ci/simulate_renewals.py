# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, no-check-untyped-defs
"""Clients that share one token, in every order in which things can happen: do the promises of
"Keeping the token" hold? All orders of two clients with one trouble, and some of three and
four with several, by dice.

python3 .ci/simulate_renewals.py [--seed N] [--runs N] [--only WORDS] [--mutants]

The clients are the real ones, their code is not changed; store, network, clocks and locks are
simulated. At each load, save, lock and unlock, when a request is sent, has its effect, and is
answered, and at each call of the API another client goes first, or there is a trouble: a
process dies and starts again, a message is lost or late, a save fails, a clock is set, somebody
logs in or out. What is equal in all is looked at once; that is a world, and the number of orders
is that of all ways through the worlds. If a rule is broken, the shortest way there is printed.

--mutants takes the rules of the code away, one at a time: each has to be missed. What belongs
to one process alone is not simulated: the steps of TokenFile.save(), and forks.
"""

import argparse
import os
import random
import sys
import time
from collections import deque, namedtuple

from simulated_world import LIVE, NO_WALL, TROUBLES, USUAL, Broken, Simulation, require
from stopped_clients import DEVICE_CODE, Forest, Spec

MODULE = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "oauth2min.py")
SEED = 1
RUNS = 1000         # with dice
PROGRAM = "client_credentials"
LATER = 100         # seconds after the login


# --- Scenarios -----------------------------------------------------------------------------

# start: how it is with the token at first: "none", "good", "early" (it is time to renew it),
# "expired", "over" (the server has ended it). is_warm: whether each client has it in memory,
# for which its first action is spent.
Scenario = namedtuple("Scenario", "name specs visitors start is_warm expiries faults settings")


def spec(name, *threads, **changes):
    usual = Spec(name, "app", DEVICE_CODE, True, False, threads, (0,) * len(threads), None)
    return usual._replace(**changes)


def scenario(name, *specs, visitors=(), start="expired", is_warm=False, expiries=0, faults=1,
             **settings):
    return Scenario(name, specs, tuple(visitors), start, is_warm, expiries, faults,
                    USUAL._replace(**settings))


def all_of(specs, **changes):
    return [one._replace(**changes) for one in specs]


def scenarios():
    twice, thrice = ("get",) * 2, ("get",) * 3
    two = [spec("A", twice), spec("B", twice)]
    one_each = ("get",), ("get",)
    short = [spec("A", twice), spec("B", ("get",))]
    warm = [spec("A", thrice), spec("B", twice)]
    visitors = [spec("logout", ("logout",)), spec("login", ("login",))]
    quiet = {"revocation": False}
    without_withdrawal = tuple(kind for kind in TROUBLES if kind != "withdrawn")
    without_time = tuple(kind for kind in TROUBLES if not kind.startswith("clock"))
    return [
        scenario("two users, the token expired", *two),
        scenario("two users, the token expires", *warm, is_warm=True, start="good", expiries=1),
        scenario("two users, it is time to renew", *two, start="early"),
        scenario("two users, the server has ended the token", *warm, is_warm=True, start="over"),
        scenario("two users, somebody logs in or out", *two, visitors=visitors,
                 troubles=("visitor",)),
        scenario("two users, somebody logs in or out, nothing is revoked", *all_of(warm, **quiet),
                 visitors=all_of(visitors, **quiet), is_warm=True, start="good", expiries=1,
                 troubles=("visitor",)),
        scenario("a user whose disk refuses, somebody logs out, nothing is revoked",
                 spec("A", thrice, **quiet), visitors=all_of(visitors, **quiet), faults=2,
                 expiries=1, troubles=("visitor", "save fails", "save fails late")),
        scenario("a user who logs in here, the disk refuses, somebody logs out",
                 spec("A", ("login", "get", "get"), **quiet), start="none", expiries=1, faults=2,
                 visitors=all_of(visitors[:1], **quiet), troubles=("visitor", "save fails")),
        scenario("two users, one calls login()", spec("A", ("login", "get")), spec("B", ("get",))),
        scenario("two users, one calls refresh()", spec("A", ("get", "get", "refresh")),
                 spec("B", thrice), is_warm=True, start="good", expiries=1, faults=0),
        scenario("two users, a server that does not rotate", *short, rotates=False,
                 expiries=1, troubles=("dies", "save fails")),
        scenario("two users, a server without refresh tokens", *two, has_refresh=False,
                 start="over"),
        scenario("two users, a server that gives the same token again", *short, start="early",
                 repeats=True, expiries=2, passes=15, faults=0),
        scenario("two users without locks", *short, locks=False, reuse="refused", faults=0,
                 expiries=1),
        scenario("two users, an API that refuses all tokens", *two, start="good", api="refuses",
                 faults=0),
        scenario("two programs", *all_of(two, grant_type=PROGRAM), start="none",
                 troubles=without_withdrawal),
        scenario("two threads", spec("A", *one_each), troubles=without_time),
        scenario("two threads and another client", spec("A", *one_each), spec("B", ("get",)),
                 troubles=("answer lost", "busy", "save fails", "load fails")),
        scenario("two threads, the server has ended the token", spec("A", *one_each),
                 start="over", troubles=("busy",)),
        scenario("two threads, it is time to renew", spec("A", *one_each), start="early",
                 troubles=("busy", "dies")),
        scenario("two threads, an API that refuses all tokens", spec("A", twice, ("get",)),
                 start="good", api="refuses", faults=0),
        scenario("a user whose trace looks at the token", spec("A", twice, trace=True),
                 spec("B", ("get",))),
        scenario("a user whose signals look at the token", spec("A", twice, handler="look"),
                 spec("B", ("get",)), troubles=()),
        scenario("two clients of one file", spec("A", twice), spec("B", twice, client_id="other")),
    ]


# --- Searching -----------------------------------------------------------------------------


class Found(Exception):
    """A rule is broken: after these steps, the shortest that lead there."""

    def __init__(self, scenario, broken, steps):
        super().__init__(scenario.name, broken.rule)
        self.scenario, self.broken, self.steps = scenario, broken, steps

    def __str__(self):
        lines = ["BROKEN: %s: %s" % (self.broken.rule, self.broken.why),
                 "  where: " + self.scenario.name]
        for number, step in enumerate(self.steps, 1):
            lines.append("  %3d. %s" % (number, " ".join(map(str, step))))
        return "\n".join(lines)


class Search:
    """All the worlds of a scenario."""

    def __init__(self, forest, scenario):
        self.forest = forest
        self.scenario = scenario
        self.simulation = Simulation(forest, scenario.settings)
        self.epilogues = set()

    def start(self):
        """The first world: after a login, if there was one."""
        here = self.scenario
        world = self.simulation.world(here.specs, here.visitors, here.expiries, here.faults)
        if here.start == "none":
            return world
        usual = here.specs[0]
        action = "login" if usual.grant_type == DEVICE_CODE else "access_token"
        before = self.simulation.world([spec("before", (action,), grant_type=usual.grant_type)])
        before = self.run(before, until=1)[0]
        kept = {name: getattr(before, name)
                for name in ("store", "families", "issues", "emptied", "now")}
        world = world._replace(**kept)
        if here.is_warm:
            world = self.run(world._replace(expiries=0, faults=0), until=1)[0]
            world = world._replace(expiries=here.expiries, faults=here.faults)
        seconds = {"good": LATER, "early": 3585, "expired": 4000, "over": LATER}[here.start]
        issues = world.issues
        if here.start == "over":
            issues = tuple(issue._replace(is_over=True) for issue in issues)
        return world._replace(now=world.now + seconds, issues=issues)

    def run(self, world, until):
        """One after the other, each client comes to its action of this number; also returns
        how the actions ended."""
        outcomes = []
        while True:
            for label, move in self.simulation.moves(world):
                name = label[0].partition(".")[0]
                proc = next(proc for proc in world.procs if proc.spec.name == name)
                if any(point[0] != "begin" or point[1] < until for point in proc.node.points):
                    world = move()
                    outcomes += self.outcomes(proc, world)
                    break
            else:
                return world, outcomes

    def outcomes(self, before, world):
        """That of the action which has just ended, if one has."""
        proc = next(proc for proc in world.procs if proc.spec == before.spec)
        return [new[3][0] for old, new in zip(before.node.points, proc.node.points)
                if old != new and new[0] in ("begin", "end")]

    def all(self):
        """Goes through all worlds, the nearest first; returns how many worlds, how many
        moves, and how many different orders of moves from the first to a last one."""
        try:
            first = self.start()
        except Broken as broken:
            raise Found(self.scenario, broken, []) from None
        came = {first: None}
        waiting = deque([first])
        after = {}
        while waiting:
            world = waiting.popleft()
            found = self.simulation.moves(world)
            after[world] = []
            try:
                self.check_end(world, found)
            except Broken as broken:
                raise Found(self.scenario, broken, self.way(came, world)) from None
            for label, move in found:
                try:
                    new = move()
                except Broken as broken:
                    steps = self.way(came, world) + [label]
                    raise Found(self.scenario, broken, steps) from None
                after[world].append(new)
                if new not in came:
                    came[new] = world, label
                    waiting.append(new)
        return len(came), sum(map(len, after.values())), orders(first, after)

    def way(self, came, world):
        steps = []
        while came[world]:
            world, label = came[world]
            steps.append(label)
        return steps[::-1]

    def check_end(self, world, found):
        require(not self.simulation.is_stuck(world, found), LIVE, "nobody can go on")
        if all(self.simulation.ended(proc) for proc in world.procs if proc.is_here):
            self.check_wall(world)

    def check_wall(self, world):
        """Whoever comes new can log in, and then work."""
        usual = self.scenario.specs[0]
        if self.scenario.settings.api == "refuses" or usual.grant_type != DEVICE_CODE:
            return
        issues = tuple(issue._replace(by=None, keeper=None) for issue in world.issues)
        key = world._replace(procs=(), issues=issues, orphans=(), expiries=0, faults=0)
        if key in self.epilogues:
            return
        self.epilogues.add(key)
        new = spec("new", ("login", "get", "login", "get"), revocation=usual.revocation)
        fresh = self.simulation.world([new])
        _, outcomes = self.run(key._replace(procs=fresh.procs), until=4)
        require(outcomes[0] == "ok", NO_WALL, "login() ends with " + outcomes[0])
        is_surprise = outcomes[1] == "LoginRequired" and not world.told
        require(outcomes[1] == "ok" or is_surprise, NO_WALL,
                "after login() comes a " + outcomes[1])
        require(outcomes[2:] == ["ok", "ok"], NO_WALL,
                "after the second login() comes %s, %s" % tuple(outcomes[2:]))

    def by_dice(self, dice):
        """One way through the worlds; returns its steps."""
        world = self.start()
        steps = []
        while True:
            found = self.simulation.moves(world)
            try:
                self.check_end(world, found)
                if not found:
                    return steps
                usual = [one for one in found if one[0][0] not in ("trouble", "time")]
                other = [one for one in found if one[0][0] in ("trouble", "time")]
                pick = other if not usual or other and dice.random() < 0.1 else usual
                label, move = dice.choice(pick)
                steps.append(label)
                world = move()
            except Broken as broken:
                raise Found(self.scenario, broken, steps) from None

    def again(self, steps):
        """The same steps, without those that are not possible."""
        world = self.start()
        done = []
        for step in steps:
            found = self.simulation.moves(world)
            move = dict(found).get(step)
            if move:
                done.append(step)
                try:
                    world = move()
                    self.check_end(world, self.simulation.moves(world))
                except Broken as broken:
                    return Found(self.scenario, broken, done)
        return None

    def shortest(self, found):
        """With every step left out that can be."""
        size = len(found.steps) // 2
        while size:
            place = 0
            while place < len(found.steps):
                steps = found.steps[:place] + found.steps[place + size:]
                other = self.again(steps)
                if other and other.broken.rule == found.broken.rule \
                        and len(other.steps) < len(found.steps):
                    found = other
                else:
                    place += size
            size //= 2
        return found


def orders(first, after):
    """How many ways lead from the first world to a last one. No world comes twice on a way,
    for each step leaves its mark on a client."""
    counts = {}
    waiting = [first]
    while waiting:
        world = waiting[-1]
        missing = [new for new in after[world] if new not in counts]
        if missing:
            waiting.extend(missing)
        else:
            counts[world] = sum(counts[new] for new in after[world]) or 1
            waiting.pop()
    return counts[first]


# --- By dice -------------------------------------------------------------------------------


def random_scenario(dice):
    """Three or four clients, some with two threads, and several troubles."""
    is_program = dice.random() < 0.15
    words = ["get"] * 6 + ["access_token", "refresh"]
    if not is_program:
        words += ["login", "logout", "look"]
    same = {
        "revocation": dice.random() < 0.5,
        "grant_type": PROGRAM if is_program else DEVICE_CODE,
    }
    specs = []
    for name in "ABCD"[:dice.choice([3, 4])]:
        threads = [
            tuple(dice.choice(words) for _ in range(dice.randint(1, 3)))
            for _ in range(dice.choice([1, 1, 2]))
        ]
        specs.append(spec(name, *threads, **same))
    return scenario(
        "with dice", *specs, start=dice.choice(["good", "early", "expired", "over"]),
        expiries=dice.randint(0, 2), faults=dice.randint(0, 4),
        rotates=dice.random() < 0.9,
        troubles=tuple(kind for kind in TROUBLES if kind != "withdrawn" or not is_program),
    )


def by_dice(forest, seed, runs):
    """Returns the number of steps."""
    steps = 0
    for number in range(runs):
        dice = random.Random("%d %d" % (seed, number))
        search = Search(forest, random_scenario(dice))
        try:
            steps += len(search.by_dice(dice))
        except Found as found:
            shortest = search.shortest(found)
            plan = ["%s: %s" % (one.name, one.threads) for one in search.scenario.specs]
            shortest.scenario = search.scenario._replace(
                name="run %d with dice: %s" % (number, ", ".join(plan)))
            raise shortest from None
    return steps


# --- Mutants -------------------------------------------------------------------------------

# A rule of the code; how it reads, and how it reads without the rule; the scenario that finds
# that at once.
Mutant = namedtuple("Mutant", "rule text instead where")
MUTANTS = [Mutant(*mutant) for mutant in (
    ("a good token is used without a lock",
     "if kept and rejected is None and kept.is_good():", "if False:", "API that refuses"),
    ("a token counts until it is time to renew it",
     "return self.renew_at is None or time.time() < self.renew_at", "return True",
     "that gives the same token again"),
    ("who waited for the lock looks again",
     "if kept and kept.is_good() and kept.token.access_token != rejected:", "if False:", ""),
    ("a rejected token is not given again",
     " and kept.token.access_token != rejected:", ":", "has ended"),
    ("who waited for a renewal that failed gets its error",
     "if self.failure is not failure:", "if False:", "two threads and"),
    ("a renewal that failed is remembered", "self.failure = error", "pass", "two threads and"),
    ("a failure counts for those who waited for it, and no longer",
     "if self.failure is not failure:", "if self.failure:", "two users, the token expired"),
    ("if an early renewal fails, the old token is used",
     "if rejected or not kept or not kept.is_alive():", "if True:", "time to renew"),
    ("a token that has ended is not used, though its renewal fails",
     "if rejected or not kept or not kept.is_alive():", "if rejected or not kept:",
     "the token expired"),
    ("an API that refuses every token costs one renewal",
     "self.unproven = {kept.token", "self.unsaid = {kept.token", "API that refuses"),
    ("a program asks anew", 'if self.owner["grant_type"] == "client_credentials":', "if False:",
     "two programs"),
    ("a refused token is forgotten",
     """            self.kept = None
            self.save(kept""", "            self.save(kept", "has ended"),
    ("the store learns that the access token is over",
     "self.save(kept._replace(renew_at=0))", "pass", ""),
    ("the old refresh token stays where no new one is sent",
     "refresh_token=new.refresh_token or old.refresh_token", "refresh_token=new.refresh_token",
     "does not rotate"),
    ("a token that is given again lives no longer",
     "if new.access_token == old.access_token:", "if False:", "the same token again"),
    ("trouble that will pass is no refusal", "if not error._refused:", "if False:", ""),
    ("after a refusal the store may have a newer token",
     "if kept and kept.token != old:", "if False:", "without locks"),
    ("after a refusal the store is asked again", "            kept = self.newest()",
     "            kept = self.kept", "without locks"),
    ("what is newer may be over, too", "return kept if kept.is_good() else",
     "return kept if True else", "without locks"),
    ("one thread at a time", "with self.locks.setdefault(process, threading.RLock()):",
     "if True:", "two threads and"),
    ("the same thread may come in twice", "if self.inside == process:",
     "if self.store is None:", "signals"),
    ("the same thread may have the lock twice", "threading.RLock()", "threading.Lock()",
     "signals"),
    ("whoever comes after is not inside", """            finally:
                self.inside = None""", """            finally:
                pass""", ""),
    ("one process at a time", "with ExitStack() if self.store is None else self.store.lock():",
     "if True:", ""),
    ("a logout of another process counts",
     "if record != self.in_store:", "if record not in (None, self.in_store):",
     "nothing is revoked"),
    ("a client that has seen no record is not logged out", "if record != self.in_store:",
     "if record is None or record != self.in_store:", "logs in here"),
    ("a record of another process counts", "if record != self.in_store:",
     "if record is None and self.in_store is not None:", ""),
    ("what could not be saved is newer than the store", "if record != self.in_store:",
     "if record is not None or self.in_store is not None:", "disk refuses"),
    ("what was read is remembered", """            self.in_store = record
        return""", "        return", "nothing is revoked"),
    ("another client's record is not read", "if {**record, **self.owner} == record:", "if True:",
     "one file"),
    ("a token is renewed early", "end - min(MARGIN,", "end - min(0,", "time to renew"),
    ("it is saved, and then used", """        try:
            self.save(kept)
        finally:  # save() may raise: warnings as errors (python -W error), Ctrl-C
            self.why = _TokenKeeper.why
            self.kept = kept""", """        self.kept = kept
        self.save(kept)""", "two threads and"),
    ("it is saved", "            self.store.save(record)", "            pass", ""),
    ("it is used", """            self.kept = kept
        return""", """            pass
        return""", ""),
    ("a store that fails does no harm", "except Exception as error:  # whatever",
     "except KeyError as error:  # whatever", "disk refuses"),
    ("what could not be saved is not in the store", """            self.store.save(record)
            self.in_store = record""", """            self.in_store = record
            self.store.save(record)""", "disk refuses"),
    ("what was saved is in the store", """            self.store.save(record)
            self.in_store = record""", "            self.store.save(record)", "logs in here"),
    ("a 401 renews the token",
     "if (answer.code != 401 or", "if (True or",
     "has ended"),
    ("a token that was accepted may be renewed again",
     "keeper.unproven = {}", "pass", "has ended"),
    ("who comes in alone looks into the store", """else self.store.lock():
                    yield self.newest()""", """else self.store.lock():
                    yield self.kept""", "refresh()"),
    ("a logout forgets", "            keeper.keep(None)", "            pass",
     "nothing is revoked"),
    ("a login asks nobody while there is a good token", "if not parameters:", "if False:",
     ""),
    ("a login looks into the store",
     "kept = self._keeper.good(self.request_token)\n                if kept.covers",
     "kept = self._keeper.kept\n                if kept and kept.covers", "calls login()"),
    ("a login asks where a renewal was refused", "except (LoginRequired, TokenError) as error:",
     "except TokenError as error:", "calls login()"),
    ("a login asks nobody while a trouble will pass",
     "if error.retry_after or", "if False or", "calls login()"),
)]


def check_mutants(source, only):
    """Returns how many were not found."""
    mutants = [mutant for mutant in MUTANTS if only in mutant.rule]
    left = 0
    for mutant in mutants:
        since = time.process_time()
        if source.count(mutant.text) != 1:
            print("NO SUCH CODE, or twice: %s: %r" % (mutant.rule, mutant.text))
            left += 1
            continue
        found = broken(source.replace(mutant.text, mutant.instead), mutant.where)
        seconds = time.process_time() - since
        if found:
            print("%5.1f s  without %r:\n         %s: %d steps of %s"
                  % (seconds, mutant.rule, found.broken.rule, len(found.steps),
                     found.scenario.name), flush=True)
        else:
            left += 1
            print("%5.1f s  NOT FOUND: without %r" % (seconds, mutant.rule), flush=True)
    print("%d of %d mutants found" % (len(mutants) - left, len(mutants)))
    return min(left, 1)


def broken(source, where):
    """The first rule that a mutant breaks, or None."""
    forest = Forest(source)
    try:
        everywhere = scenarios()
        everywhere.sort(key=lambda each: where not in each.name)
        for each in everywhere:
            Search(forest, each).all()
        by_dice(forest, SEED, RUNS)
    except Found as found:
        return found
    finally:
        forest.close()
    return None


# --- The program ---------------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--only", default="")
    parser.add_argument("--mutants", action="store_true")
    parser.add_argument("--module", default=MODULE)
    options = parser.parse_args()
    with open(options.module, encoding="utf-8") as file:
        source = file.read()
    if options.mutants:
        return check_mutants(source, options.only)
    start = time.process_time()
    forest = Forest(source)
    total = [0, 0, 0]
    for each in scenarios():
        if options.only not in each.name:
            continue
        since = time.process_time()
        try:
            counts = Search(forest, each).all()
        except Found as found:
            print(found)
            return 1
        total = [sum(pair) for pair in zip(total, counts)]
        print("%7d worlds %7d moves %8.1e orders %5.1f s  %s"
              % (*counts, time.process_time() - since, each.name), flush=True)
    if options.only in ("", "dice"):
        since = time.process_time()
        try:
            steps = by_dice(forest, options.seed, options.runs)
        except Found as found:
            print(found)
            return 1
        print("%7d runs   %7d moves                 %5.1f s  three and four clients, with dice, "
              "seed %d" % (options.runs, steps, time.process_time() - since, options.seed))
    if total[0]:
        print("%7d worlds %7d moves %8.1e orders" % tuple(total))
    print("%d states of a client, by %d runs of its code; %.0f s of CPU"
          % (len(forest.nodes), forest.runs, time.process_time() - start))
    forest.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
