"""How much of oauth2min.py the tests run.

    python3 .ci/check_coverage.py       # needs coverage 7.10

It fails below 97 % of the lines or 95 % of the branches; threads and processes count, too.
Whether the tests pass is not the question here: one that measures time or memory may not.
"""

import io
import json
import os
import re
import sys
import tempfile
import unittest

import coverage

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LINES, BRANCHES = 97, 95        # percent

# What the tests start, they start with sys.executable, and often with -I or -S. With these,
# Python does not look into site-packages and cannot load coverage. So for the tests
# sys.executable is this script: it starts the real Python without these two.
PYTHON_WITH_SITE_PACKAGES = """\
#!/bin/sh
for argument; do
    shift
    case $argument in
        -I | -S) ;;
        *) set -- "$@" "$argument" ;;
    esac
done
exec "{python}" "$@"
"""


def write_python(path):
    with open(path, "w") as file:
        file.write(PYTHON_WITH_SITE_PACKAGES.format(python=sys.executable))
    os.chmod(path, 0o755)


def run_tests():
    """Runs all of them; shows which failed."""
    said = io.StringIO()
    sys.path.insert(0, ROOT)
    tests = unittest.defaultTestLoader.discover(ROOT)
    unittest.TextTestRunner(said).run(tests)
    for line in re.findall("(?m)^(?:FAIL|ERROR): .*", said.getvalue()):
        print(line)


def measure(folder):
    """What coverage tells of oauth2min.py, as it stands in its report in JSON."""
    report = os.path.join(folder, "report.json")
    measured = coverage.Coverage(
        data_file=os.path.join(folder, "coverage"),
        config_file=os.path.join(ROOT, "setup.cfg"),
    )
    measured.start()
    python, sys.executable = sys.executable, os.path.join(folder, "python")
    try:
        run_tests()
    finally:
        sys.executable = python
        measured.stop()
        measured.save()
    measured.combine()
    # Of a copy of the file there is no source any more.
    measured.json_report(outfile=report, ignore_errors=True)
    with open(report) as file:
        return json.load(file)["files"]["oauth2min.py"]


def not_run(found):
    """The numbers of lines; of branches that start in a line that was run, both ends."""
    missing_lines = found["missing_lines"]
    for line in missing_lines:
        yield str(line)
    for start, end in found["missing_branches"]:
        if start not in missing_lines and end not in missing_lines:
            yield "%d->%s" % (start, end if end > 0 else "end")


def main():
    os.chdir(ROOT)      # the report names files as they are seen from here
    with tempfile.TemporaryDirectory() as folder:
        write_python(os.path.join(folder, "python"))
        found = measure(folder)
    counts = found["summary"]
    lines = 100 * counts["covered_lines"] / counts["num_statements"]
    branches = 100 * counts["covered_branches"] / counts["num_branches"]
    print(
        "Ran %.1f %% of the lines and %.1f %% of the branches, all but %s"
        % (lines, branches, ", ".join(not_run(found)) or "none")
    )
    return 0 if lines >= LINES and branches >= BRANCHES else 1


if __name__ == "__main__":
    sys.exit(main())
