"""How much of oauth2min.py the tests run: fails below 97 % of the lines or 95 % of the branches.

    python3 .ci/covered.py          # needs coverage 7.10; threads and child processes count

Whether the tests pass is not the question here: one that measures time or memory may not.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
LINES, BRANCHES = 97, 95
# The interpreter for what the tests start: without site-packages it could not load coverage.
CHILD = """#!/bin/sh
for argument; do
    shift
    [ "$argument" = -I ] || [ "$argument" = -S ] || set -- "$@" "$argument"
done
exec "%s" "$@"
""" % sys.executable


def coverage(*arguments):
    """Runs it, with the settings in setup.cfg; shows which tests failed, or what else it said."""
    done = subprocess.run([sys.executable, "-m", "coverage", *arguments], cwd=ROOT,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True)
    if done.returncode:
        print("\n".join(re.findall("(?m)^(?:FAIL|ERROR): .*", done.stdout)) or done.stdout)


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.environ["COVERAGE_FILE"] = os.path.join(folder, "coverage")
        child, report = os.path.join(folder, "python"), os.path.join(folder, "report.json")
        with open(child, "w") as file:
            file.write(CHILD)
        os.chmod(child, 0o755)
        coverage("run", __file__, child)
        coverage("combine", "-q")
        coverage("json", "-q", "-i", "-o", report)  # -i: of a copy there is no source any more
        with open(report) as file:
            found = json.load(file)["files"]["oauth2min.py"]
    counts, missing = found["summary"], found["missing_lines"]
    lines = 100 * counts["covered_lines"] / counts["num_statements"]
    branches = 100 * counts["covered_branches"] / counts["num_branches"]
    left = [*map(str, missing), *("%d->%s" % (start, end if end > 0 else "end")
                                  for start, end in found["missing_branches"]
                                  if start not in missing and end not in missing)]
    print("Ran %.1f %% of the lines and %.1f %% of the branches, all but %s" % (
        lines, branches, ", ".join(left) or "none"))
    return 0 if lines >= LINES and branches >= BRANCHES else 1


if __name__ == "__main__":
    if len(sys.argv) > 1:       # the tests, in which this is the interpreter
        sys.executable = sys.argv[1]
        sys.path.insert(0, ROOT)
        unittest.main(None, argv=["unittest"])
    sys.exit(main())
