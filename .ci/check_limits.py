"""What oauth2min.py asks of a reader, in figures: exits with 1 if one is beyond its limit.

    python3 .ci/check_limits.py     # needs Python 3.8; any later one gives the same figures

That no function is over complexity 10 as ruff counts it (C901) is left to ruff; here the
branches inside of expressions count, too.
"""

import ast
import io
import os
import re
import sys
import tokenize

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# The banner of the first section that only serves the rest.
END_OF_READING_ALOUD = "# --- Token file"
LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}
SCOPES = (ast.FunctionDef, ast.ClassDef, ast.Lambda)
BRANCHES = (
    ast.If,
    ast.For,
    ast.While,
    ast.ExceptHandler,
    ast.Assert,
    ast.IfExp,
    ast.comprehension,
)


# --- Tokens and lines ---------------------------------------------------------------------


def docstrings(tree):
    """The expressions that are docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            if ast.get_docstring(node) is not None:
                yield node.body[0]


def lines_of(nodes):
    lines = set()
    for node in nodes:
        lines.update(range(node.lineno, node.end_lineno + 1))
    return lines


def tokens_of(source):
    """All tokens. An f-string is one token, as it was before Python 3.12."""
    start_of_f_string = getattr(tokenize, "FSTRING_START", None)
    end_of_f_string = getattr(tokenize, "FSTRING_END", None)
    depth = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == start_of_f_string:
            depth += 1
            if depth == 1:
                first = token
        elif token.type == end_of_f_string:
            depth -= 1
            if depth == 0:
                yield token._replace(type=tokenize.STRING, start=first.start)
        elif depth == 0:
            yield token


def code_tokens(source, docstring_lines):
    """The tokens that are code: no comments, no docstrings, no newlines, no indents."""
    for token in tokens_of(source):
        if token.type in LAYOUT:
            continue
        if token.type == tokenize.STRING and token.start[0] in docstring_lines:
            continue
        yield token


def comment_lines(source):
    """The numbers of the lines with nothing but a comment."""
    return {
        token.start[0]
        for token in tokens_of(source)
        if token.type == tokenize.COMMENT and token.line.strip().startswith("#")
    }


# --- Functions and the class Client -------------------------------------------------------


def branches(node):
    """The branches in a node; functions, classes and lambdas in it count on their own."""
    total = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, SCOPES):
            continue
        if isinstance(child, BRANCHES):
            total += 1
        if isinstance(child, ast.BoolOp):
            total += len(child.values) - 1      # each `and` and each `or`
        total += branches(child)
    return total


def complexity(function):
    return 1 + branches(function)


def length(node):
    return node.end_lineno - node.lineno + 1


def class_named(tree, name):
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node
    sys.exit("there is no class " + name)


def attributes(node):
    """The names that are assigned to `self` anywhere in a class."""
    names = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store):
            if isinstance(part.value, ast.Name) and part.value.id == "self":
                names.add(part.attr)
    return names


# --- The limits ---------------------------------------------------------------------------


class Report:
    """Prints each figure beside its limit, and remembers whether all were kept."""

    def __init__(self):
        self.good = True

    def at_most(self, limit, what, figure, where=""):
        if where:
            what += " (%s)" % where
        self.line(figure <= limit, what, figure, "at most %s" % limit)

    def at_least(self, limit, what, figure):
        self.line(figure >= limit, what, figure, "at least %s" % limit)

    def line(self, good, what, figure, limit):
        mark = "ok  " if good else "FAIL"
        print("%s  %s: %s, %s" % (mark, what, round(figure, 2), limit))
        self.good = self.good and good


def check_text(report, source, tree):
    lines = source.splitlines()
    docstring_lines = lines_of(docstrings(tree))
    tokens = list(code_tokens(source, docstring_lines))
    code_lines = set()
    for token in tokens:
        code_lines.update(range(token.start[0], token.end[0] + 1))
    code_lines -= docstring_lines
    report.at_most(13500, "tokens", len(tokens))
    report.at_most(8.3, "tokens a line of code", len(tokens) / len(code_lines))
    prose = docstring_lines | comment_lines(source)
    percent = 100 * len(prose) / len(lines)
    report.at_least(18, "docstrings and comments in percent", percent)
    report.at_most(92, "columns", max(len(line) for line in lines))
    report.at_most(30, "the word Any", len(re.findall(r"\bAny\b", source)))
    banners = [
        number
        for number, line in enumerate(lines, 1)
        if line.startswith(END_OF_READING_ALOUD)
    ]
    if not banners:
        sys.exit("FAIL  there is no line %r" % END_OF_READING_ALOUD)
    aloud = [token for token in tokens if token.start[0] < banners[0]]
    # If the banner stands too early, what is read aloud stands after it.
    report.at_least(500, "lines that are read aloud", banners[0])
    report.at_most(800, "lines that are read aloud", banners[0])
    report.at_least(2500, "tokens that are read aloud", len(aloud))
    report.at_most(5500, "tokens that are read aloud", len(aloud))


def check_functions(report, tree):
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    worst = max(functions, key=complexity)
    over_ten = [function for function in functions if complexity(function) > 10]
    longest = max(functions, key=length)
    report.at_most(14, "complexity of a function", complexity(worst), worst.name)
    names = ", ".join(function.name for function in over_ten)
    report.at_most(5, "functions over complexity 10", len(over_ten), names)
    report.at_most(50, "lines of a function", length(longest), longest.name)


def check_client(report, tree):
    client = class_named(tree, "Client")
    report.at_most(330, "lines of the class Client", length(client))
    report.at_most(14, "attributes of a Client", len(attributes(client)))


def main():
    with open(os.path.join(ROOT, "oauth2min.py"), encoding="utf-8") as file:
        source = file.read()
    tree = ast.parse(source)
    report = Report()
    check_text(report, source, tree)
    check_functions(report, tree)
    check_client(report, tree)
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
