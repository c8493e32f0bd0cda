"""`python -m unbroken.inspect`, another name of `unbroken runs`."""

import sys

from unbroken.cli.runs import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
