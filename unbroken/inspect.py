"""`python -m unbroken.inspect`, another name of `unbroken runs`."""

import sys

from unbroken.cli.main import main

if __name__ == "__main__":
    main(["runs", *sys.argv[1:]])
