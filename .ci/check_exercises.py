# mypy: allow-untyped-calls
"""examples/README.md does what it says: its exercises, its tables, its plan for a class.

    python .ci/check_exercises.py    # from the root; with -v and names as unittest

Each exercise is run as a person would: at the prompt of classroom.py, or by a shell. Needs
curl for one of them; without it, that one is skipped, and says so.
"""

import ast
import doctest
import os
import re
import shutil
import subprocess
import sys
import unittest
from typing import Dict, List, Tuple

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EXAMPLES = os.path.join(ROOT, "examples")
sys.path[:0] = [ROOT, EXAMPLES]
import classroom  # noqa: E402
from common import fake_server  # noqa: E402
from oauth2min import Client  # noqa: E402

END_OF_READING_ALOUD = "# --- Token file"


def text_of(*path: str) -> str:
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


PAGE = text_of("examples", "README.md")


def exercises() -> "List[Tuple[int, str]]":
    """The number and the text of each."""
    part = PAGE[PAGE.index("## Exercises") : PAGE.index("## A class")]
    pieces = re.split(r"(?m)^### (\d+)\. ", part)
    return [(int(number), text) for number, text in zip(pieces[1::2], pieces[2::2])]


def blocks(text: str, kind: str) -> "List[str]":
    return re.findall(r"(?ms)^```%s\n(.*?)^```$" % kind, text)


def output_of(*command: str, **settings: str) -> str:
    return subprocess.run(
        command,
        cwd=ROOT,
        env=dict(os.environ, no_proxy="*", PYTHONDONTWRITEBYTECODE="1", **settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        timeout=60,
        check=True,
    ).stdout


class ExercisesTest(unittest.TestCase):
    def test_they_are_numbered_and_say_how_long_they_take(self) -> None:
        numbers = [number for number, _ in exercises()]
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
        for number, text in exercises():
            with self.subTest(number):
                self.assertRegex(text, r"^.*\? \(\d+ minutes\)\n|^.* \(\d+ minutes\)\n")
                self.assertEqual(text.count("<details>"), 1)
                self.assertEqual(text.count("</details>"), 1)
                self.assertIn("?", text.partition("<details>")[0])

    def test_those_at_the_prompt_have_the_results_to_expect(self) -> None:
        ran = 0
        for number, text in exercises():
            parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(
                optionflags=doctest.ELLIPSIS
            )
            with self.subTest(number), fake_server() as server:
                names = classroom.names(server)
                for block in blocks(text, "pycon"):
                    name = "exercise %d" % number
                    test = parser.get_doctest(block, names, name, "examples/README.md", 0)
                    shown: List[str] = []
                    runner.run(test, out=shown.append, clear_globs=False)
                    self.maxDiff = None
                    self.assertEqual("".join(shown), "")
                    ran += 1
                self.assertEqual(server.unasked(), [])
                for client in names.values():
                    if isinstance(client, Client):
                        client.close()
        self.assertEqual(ran, len(exercises()) - 2)  # but the first two

    def test_the_lines_of_the_first_are_in_the_quickstart(self) -> None:
        shown = output_of(sys.executable, "examples/quickstart.py")
        self.assertEqual(shown.count("Authorization: Basic"), 1)
        [_, first, second, *_] = re.split(r"(?m)^\d\. ", shown)
        for part, block in zip((first, second), blocks(dict(exercises())[1], "text")):
            self.assertIn(block, part)

    @unittest.skipUnless(shutil.which("curl"), "there is no curl here")
    def test_the_second_runs_by_curl(self) -> None:
        [block] = blocks(dict(exercises())[2], "console")
        with fake_server() as server:
            block = block.replace("http://127.0.0.1:8080", server.url)
            pieces = re.split(r"(?m)^\$ ((?:.*\\\n> )*.*)\n", block)
            self.assertEqual(len(pieces), 7)
            for command, expected in zip(pieces[1::2], pieces[2::2]):
                shown = output_of("sh", "-c", command.replace("\\\n> ", ""))
                pattern = ".*".join(map(re.escape, expected.rstrip("\n").split("...")))
                self.assertRegex(shown, "^%s$" % pattern)

    def test_the_prompt_takes_lines_as_they_are_copied(self) -> None:
        lines = ">>> for number in range(2):\n...     print(number + 40)\n...\n>>> grants()\n"
        shown = subprocess.run(
            [sys.executable, "-W", "error", "examples/classroom.py"],
            input=lines,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            timeout=60,
            check=True,
        )
        self.assertRegex(shown.stdout, r"(?s)40\n41\n.*\['authorization_code'\]")
        self.assertNotIn("Error", shown.stderr)


class PageTest(unittest.TestCase):
    def test_the_table_has_each_program(self) -> None:
        rows = re.findall(r"(?m)^\| \[(\w+\.py)\]\((\w+\.py)\) \| .* \| (.*) \|$", PAGE)
        self.assertEqual([name for name, link, _ in rows if name != link], [])
        files = {name for name in os.listdir(EXAMPLES) if name.endswith(".py")}
        self.assertEqual(files - {name for name, _, _ in rows}, {"common.py"})
        for name, _, options in rows:
            if name in files:
                self.assert_takes(name, set(re.findall("--[a-z]+", options)))

    def assert_takes(self, name: str, options: "set[str]") -> None:
        """Its help tells of these."""
        told = ast.get_docstring(ast.parse(text_of("examples", name))) or ""
        self.assertLessEqual(options, set(re.findall("--[a-z]+", told)), name)

    def test_each_link_leads_somewhere(self) -> None:
        headings = re.findall("(?m)^#+ (.*)", PAGE)
        anchors = {
            "#" + re.sub("[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")
            for heading in headings
        }
        for link in re.findall(r"\]\((.*?)\)", PAGE):
            if link.startswith("#"):
                self.assertIn(link, anchors)
            else:
                self.assertTrue(os.path.exists(os.path.join(EXAMPLES, link)), link)

    def test_each_command_names_a_program_that_is_there(self) -> None:
        commands = re.findall(r"python3 (examples/\w+\.py)", PAGE)
        self.assertGreaterEqual(len(commands), 4)
        for path in commands:
            self.assertTrue(os.path.exists(os.path.join(ROOT, path)), path)

    def test_lines_fit_an_editor(self) -> None:
        prose = re.sub(r"(?ms)^```.*?^```$|^\|.*?$", "", PAGE)
        self.assertLessEqual(max(map(len, prose.splitlines())), 99)


class PlanTest(unittest.TestCase):
    PLAN = PAGE[PAGE.index("## A class") :]

    def test_it_takes_ninety_minutes(self) -> None:
        rows = re.findall(r"(?m)^\| (\d+) \| (.*?) \|", self.PLAN)
        self.assertEqual(sum(int(minutes) for minutes, _ in rows), 90)
        known = {number for number, _ in exercises()}
        for _, what in rows:
            if "xercise" in what:
                self.assertLessEqual(set(map(int, re.findall(r"\d+", what))), known)
        self.assertEqual(re.findall("Reading ([A-Z])", self.PLAN), ["A", "B", "C"])

    def test_an_exercise_in_class_has_the_time_that_it_takes(self) -> None:
        takes: Dict[int, int] = {}
        for number, text in exercises():
            takes[number] = int(re.findall(r"\((\d+) minutes\)", text)[0])
        for minutes, what in re.findall(
            r"(?m)^\| (\d+) \| (Exercises? .*?)(?:;.*?)? \|", self.PLAN
        ):
            needed = sum(takes[int(number)] for number in re.findall(r"\d+", what))
            self.assertLessEqual(needed, int(minutes), what)

    def test_what_is_read_aloud_is_there(self) -> None:
        """In these sections of the first part of the file, and not too long to be read."""
        there = read_aloud()
        for letter, order in re.findall(r"(?m)^\| ([A-Z]) \| (.*?) \|", self.PLAN):
            total = 0
            for section, names in re.findall("([A-Z][a-z ]+): (`[^;]*`)", order):
                for name in re.findall("`(.*?)`", names):
                    with self.subTest(letter, section=section, name=name):
                        self.assertIn((section, name), there)
                    total += there.get((section, name), 0)
            self.assertTrue(50 < total < 150, (letter, total))


def read_aloud() -> "Dict[Tuple[str, str], int]":
    """How many lines a class or function has, by its section and name, in the first part
    of the file. A class counts up to its first method that is not a special one."""
    lines = text_of("oauth2min.py").splitlines()
    end = next(n for n, line in enumerate(lines) if line.startswith(END_OF_READING_ALOUD))
    found: Dict[Tuple[str, str], int] = {}
    section, open_at, key = "", 0, ("", "")
    for number, line in enumerate(lines[: end + 1]):
        banner = re.match("# --- (.*?) -+$", line)
        start = re.match("(?:class|(?:    )?def) ([A-Za-z_]+)", line)
        if (banner or start) and key[1]:
            found[key] = number - open_at
        if banner:
            section, key = banner.group(1), ("", "")
        elif start:
            key, open_at = (section, start.group(1)), number
    return found


if __name__ == "__main__":
    unittest.main()
