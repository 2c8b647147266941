"""Runs the checks of this folder, and prints what they measured.

    .ci/ecosystem/run.sh FOLDER     installs the libraries and runs this file
"""

import faulthandler
import sys
import unittest

import ecosystem
import others
import servers
from ecosystem import *  # noqa: F403  # for unittest, which looks for the tests here
from others import *  # noqa: F403
from servers import *  # noqa: F403

if __name__ == "__main__":
    faulthandler.dump_traceback_later(400, exit=True)  # a deadlock must not last for ever
    # What the libraries print and log is shown for a test that fails, and else not.
    program = unittest.main(exit=False, buffer=True)
    ecosystem.print_table()
    others.print_table()
    servers.print_versions()
    sys.exit(not program.result.wasSuccessful())
