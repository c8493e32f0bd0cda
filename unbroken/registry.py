"""`python -m unbroken.registry`, another name of `unbroken registry`."""

import sys

from unbroken.cli.main import main

if __name__ == "__main__":
    main(["registry", *sys.argv[1:]])
