"""Runs the checks of this folder, and prints what they measured.

    .ci/ecosystem/run.sh FOLDER     installs the libraries and runs this file
"""

import faulthandler
import os
import sys
import unittest

import ecosystem
import others
from ecosystem import *  # noqa: F403
from others import *  # noqa: F403
from servers import *  # noqa: F403

if __name__ == "__main__":
    faulthandler.dump_traceback_later(int(os.environ.get("HANG", "300")), exit=True)  # a deadlock must not last for ever
    program = unittest.main(exit=False)
    ecosystem.print_table()
    others.print_table()
    sys.exit(not program.result.wasSuccessful())
