# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""The tests, on Windows' Python under Wine: what is Wine's own fault is worked around here.

    wine64 python.exe .ci/platforms/under_wine.py

What Windows does otherwise than POSIX is a matter of the tests themselves.
"""

import os
import sys
import textwrap
import unittest
from unittest import mock

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT)
import test_oauth2min  # noqa: E402

# Where another has the lock, Wine's locking() fails with the error number 0; Windows' is EACCES.
# This goes into each process.
LOCKING = '''
import errno, msvcrt

def locking(file, mode, size, lock=msvcrt.locking):
    try:
        return lock(file, mode, size)
    except OSError as error:
        if error.errno != 0:
            raise
    raise PermissionError(errno.EACCES, "Permission denied")

msvcrt.locking = locking
'''

# By the name of a test: what Wine cannot do.
NOT_UNDER_WINE = {
    "test_a_symbolic_link_stays_one": "it makes symbolic links that it does not know again",
    "test_a_lock_that_is_a_link_is_not_followed": "the same",
    "test_a_link_in_a_folder_that_others_can_write_to_is_refused": "the same",
    "test_a_client_id_of_any_length_has_a_file": "realpath() fails for a long name",
    "test_idle_and_half_sent_connections_keep_nobody_out":
        "shutdown() does not wake a thread that waits for that socket; it ends by its timeout",
}
# kbhit() and getwche() need a console, which Wine has only in a window: a login of the tests has
# a pipe as its stdin, and nobody types.


def with_locking(start_python):
    def start(self, code, *arguments, **settings):
        return start_python(self, LOCKING + textwrap.dedent(code), *arguments, **settings)

    return start


def tests(suite):
    """All tests of a suite of suites."""
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            yield from tests(part)
        else:
            yield part


def main():
    exec(LOCKING, {})
    suite = unittest.TestSuite()
    unknown = set(NOT_UNDER_WINE)
    for test in tests(unittest.defaultTestLoader.loadTestsFromModule(test_oauth2min)):
        name = test.id().rpartition(".")[2]
        unknown.discard(name)
        if name in NOT_UNDER_WINE:
            print("left out:", name + ":", NOT_UNDER_WINE[name])
        else:
            suite.addTest(test)
    if unknown:
        sys.exit("there are no tests of these names: %s" % unknown)
    case = test_oauth2min.Case
    with mock.patch.object(case, "start_python", with_locking(case.start_python)):
        result = unittest.TextTestRunner(sys.stdout).run(suite)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # at the end of the interpreter, Wine sometimes waits for ever
