"""`python -m unbroken.tracking`, another name of `unbroken track`."""

import sys

from unbroken.cli.main import main

if __name__ == "__main__":
    main(["track", *sys.argv[1:]])
