"""Draws examples/session.svg: a login in a terminal, and the two pages that the user sees.

    python .ci/draw_session.py            # from the root: runs the session, writes the picture
    python .ci/draw_session.py --check    # exits with 1 if the picture shows something else

Nothing in it is made up: the lines are what the command line says, the words of the pages are
those of the pages. Only what is another each time (ports, times, `state`) has a fixed value.
"""

import contextlib
import fcntl
import html
import html.parser
import os
import re
import subprocess
import sys
import tempfile
import termios
import textwrap
from typing import Dict, Iterator, List, Tuple

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PICTURE = os.path.join(ROOT, "examples", "session.svg")
sys.path[:0] = [ROOT, os.path.join(ROOT, "examples")]
from fake_server import FakeServer, fetch  # noqa: E402

COLUMNS = 80
LOGIN = "python3 oauth2min.py login {url} --scope user-library-read"
GET = "python3 oauth2min.py get {url} {url}/v1/me"
LOGOUT = "python3 oauth2min.py logout {url}"
CHANGING = (
    (r"127\.0\.0\.1(:|%3A)(?!8080)\d+", r"127.0.0.1\g<1>50123"),
    (r"state=[\w-]{43}", "state=Zk3...x8Q"),
    (r"code_challenge=[\w-]{43}", "code_challenge=pW7...fE4"),
    (r"\d{4}-\d\d-\d\d([T ])\d\d:\d\d", r"2026-01-01\g<1>12:00"),
    (r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "Thu, 01 Jan 2026 12:00:00 +0000"),
    (r"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}", "Thu Jan  1 12:00:00 2026"),
    (r"(?<=\D)\d\d:\d\d:\d\d", "12:00:00"),
)


# --- The session ------------------------------------------------------------------------


class Page(html.parser.HTMLParser):
    """The (tag, text) pairs of a page that are seen."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tag = ""
        self.parts: List[Tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tag = tag
        if tag == "button":
            self.tag = "yes" if ("class", "yes") in list(attrs) else "button"  # type: ignore

    def handle_data(self, data: str) -> None:
        text = steady(" ".join(data.split()))
        if self.tag == "strong" and text:
            tag, before = self.parts.pop()
            text, self.tag = before + " " + text, tag
        is_second_option = self.tag == "option" and self.tag in dict(self.parts)
        if text and self.tag not in ("style", "title") and not is_second_option:
            self.parts.append((self.tag, text))


def session() -> "Tuple[List[str], Page, Page]":
    """The lines of the terminal, the page that asks, the page at the end."""
    lines: List[str] = []
    with FakeServer() as server, tempfile.TemporaryDirectory() as home:
        env = dict(
            os.environ,
            OAUTH2_CLIENT_ID="fake-public",
            OAUTH2_CLIENT_SECRET="",
            XDG_STATE_HOME="",
            HOME=home,
            BROWSER="true",
            COLUMNS=str(COLUMNS),
            no_proxy="*",
        )
        asks = ends = ""
        for command in LOGIN, GET, LOGOUT:
            command = command.format(url=server.url)
            lines.append("$ " + command)
            for line in on_a_terminal([sys.executable, *command.split()[1:]], env):
                lines.append(line)
                if line.startswith(server.url + "/authorize?"):
                    asks = fetch("GET", line)[2]
                    ends = fetch("GET", server.approve(line))[2]
        port = server.url.rpartition(":")[2]
        lines = [line.replace(port, "8080").replace(home, "~") for line in lines]
        return [steady(line) for line in lines], Page(asks), Page(ends)


def on_a_terminal(command: "List[str]", env: "Dict[str, str]") -> "Iterator[str]":
    """The lines that a person sees. A command that fails ends this program."""
    master, slave = os.openpty()
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=env,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        # The terminal is that of the program, as it is for a person.
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    ) as process, os.fdopen(master, "rb", 0) as screen:
        os.close(slave)
        with contextlib.suppress(OSError):      # how Linux tells the end
            for line in screen:
                yield line.decode().rstrip("\r\n")
    if process.returncode:
        sys.exit("%s: status %d" % (" ".join(command), process.returncode))


def steady(line: str) -> str:
    for pattern, text in CHANGING:
        line = re.sub(pattern, text, line)
    return line


# --- The picture ------------------------------------------------------------------------

STYLE = """
.ground { fill: #fff; stroke: #c4c9ce } .bar { fill: #eef0f2; stroke: #c4c9ce }
.dot { fill: #c4c9ce } text { fill: #16191c; font: 15px system-ui, sans-serif }
.line { font: 13px ui-monospace, Menlo, Consolas, monospace; white-space: pre }
.typed { font-weight: 700 } .h1 { font-size: 19px; font-weight: 700 }
.soft { fill: #5c6066; font-size: 13px } .box { fill: #fff; stroke: #5c6066 }
.yes { fill: #14603c } .on-yes { fill: #fff }
@media (prefers-color-scheme: dark) {
.ground { fill: #1e2123; stroke: #4a5055 } .bar { fill: #2a2e31; stroke: #4a5055 }
.dot { fill: #5b6268 } text { fill: #f1f3f4 } .soft { fill: #a3a9ae }
.box { fill: #1e2123; stroke: #a3a9ae } .yes { fill: #7ed3a4 } .on-yes { fill: #16191c }
}
"""
CHARACTER, LINE = 7.8, 18       # pixels: what a character of the terminal takes
WIDTH = round(COLUMNS * CHARACTER) + 40
HALF = (WIDTH - 20) // 2        # of the two pages side by side


def draw() -> str:
    lines, asks, ends = session()
    terminal, bottom = draw_terminal(lines)
    left, height = draw_page(asks, 0, bottom + 20)
    _, other = draw_page(ends, 0, 0)
    middle = bottom + 20 + max(0, height - other) // 2
    right, _ = draw_page(ends, HALF + 20, middle)
    frames = [
        frame(0, bottom + 20, HALF, max(height, other), "In the browser: the server asks"),
        frame(HALF + 20, bottom + 20, HALF, max(height, other), "Back at the program"),
    ]
    total = bottom + 20 + max(height, other)
    words = " ".join(text for _, text in asks.parts + ends.parts)
    return "\n".join(
        [
            '<svg xmlns="http://www.w3.org/2000/svg" role="img" '
            'viewBox="-1 -1 %d %d" width="%d" height="%d" '
            'aria-labelledby="title description">'
            % (WIDTH + 2, total + 2, WIDTH + 2, total + 2),
            '<title id="title">A login from a terminal</title>',
            '<desc id="description">%s</desc>' % escaped("\n".join(lines) + "\n" + words),
            "<style>%s</style>" % STYLE,
            *terminal,
            *frames,
            *left,
            *right,
            "</svg>\n",
        ]
    )


def draw_terminal(lines: "List[str]") -> "Tuple[List[str], int]":
    parts: List[str] = []
    y = 56
    for line in lines:
        kind = "line typed" if line.startswith("$ ") else "line"
        # As a terminal does, which knows no words.
        for piece in re.findall(".{1,%d}" % COLUMNS, line) or [""]:
            x = 20 + (len(piece) - len(piece.lstrip())) * CHARACTER
            piece = piece.strip()
            if piece:
                width = len(piece) * CHARACTER
                parts.append(
                    '<text class="%s" x="%.1f" y="%d" textLength="%.1f" '
                    'lengthAdjust="spacingAndGlyphs">%s</text>'
                    % (kind, x, y, width, escaped(piece))
                )
            y += LINE
    return [frame(0, 0, WIDTH, y - 4, "Terminal"), *parts], y - 4


def draw_page(page: "Page", left: int, top: int) -> "Tuple[List[str], int]":
    """Its parts from the top to the bottom, and how high that is. Two buttons stand side by
    side."""
    parts: List[str] = []
    x, y, end = left + 24, top + 66, left + HALF - 24
    middle = (x + end) // 2
    for tag, text in page.parts:
        if tag == "button":
            parts += button(x, y, middle - 6, text, "box")
        elif tag == "yes":
            parts += button(middle + 6, y, end, text, "yes")
            y += 60
        elif tag == "option":
            parts += [box(x, y, end, "box"), text_at(x + 14, y + 6, text)]
            parts.append(text_at(end - 24, y + 6, "\N{BLACK DOWN-POINTING SMALL TRIANGLE}"))
            y += 54
        else:
            kind = {"h1": "h1", "footer": "soft"}.get(tag, "")
            bullet = "\N{BULLET}  " if tag == "li" else ""
            for piece in textwrap.wrap(bullet + text, 28 if tag == "h1" else 38):
                parts.append(text_at(x, y, piece, kind))
                y += 24
            y += 6
    return parts, y - top


def button(start: int, y: int, end: int, text: str, kind: str) -> "List[str]":
    middle = (start + end) // 2
    label = '<text class="on-%s" x="%d" y="%d" text-anchor="middle">%s</text>'
    return [box(start, y, end, kind), label % (kind, middle, y + 6, escaped(text))]


def box(start: int, y: int, end: int, kind: str) -> str:
    """Around a line of text."""
    return '<rect class="%s" x="%d" y="%d" width="%d" height="38" rx="7"/>' % (
        kind,
        start,
        y - 18,
        end - start,
    )


def text_at(x: float, y: float, text: str, kind: str = "") -> str:
    named = ' class="%s"' % kind if kind else ""
    return '<text%s x="%d" y="%d">%s</text>' % (named, x, y, escaped(text))


def frame(x: int, y: int, width: int, height: int, title: str) -> str:
    """A window with its title."""
    dots = "".join(
        '<circle class="dot" cx="%d" cy="%d" r="5"/>' % (x + 18 + 16 * number, y + 16)
        for number in range(3)
    )
    return (
        '<rect class="ground" x="%d" y="%d" width="%d" height="%d" rx="9"/>\n'
        '<path class="bar" d="M%d %dv-23a9 9 0 0 1 9-9h%da9 9 0 0 1 9 9v23z"/>%s\n%s'
        % (
            x,
            y,
            width,
            height,
            x,
            y + 32,
            width - 18,
            dots,
            text_at(x + 76, y + 21, title, "soft"),
        )
    )


def escaped(text: str) -> str:
    return html.escape(text, quote=False)


def main() -> None:
    picture = draw()
    if sys.argv[1:] == ["--check"]:
        with open(PICTURE, encoding="utf-8") as file:
            if file.read() != picture:
                sys.exit("examples/session.svg shows another session: draw it again")
    elif sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    else:
        with open(PICTURE, "w", encoding="utf-8") as file:
            file.write(picture)


if __name__ == "__main__":
    main()
