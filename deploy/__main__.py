"""`python -m deploy serve | stop | apply`."""

import sys

from unbroken.cli.main import main

main(sys.argv[1:])
