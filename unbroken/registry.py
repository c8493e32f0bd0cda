"""`python -m unbroken.registry`, another name of `unbroken registry`."""

import sys

from unbroken.cli.registry import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
