"""`python -m deploy serve | stop | apply | heal`."""

import sys

from unbroken.cli.main import main

main(sys.argv[1:])
