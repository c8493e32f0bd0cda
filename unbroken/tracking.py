"""`python -m unbroken.tracking`, another name of `unbroken track`."""

import sys

from unbroken.cli.tracking import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
