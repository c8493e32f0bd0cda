"""`python -m deploy serve | apply | stop`."""

import sys

from unbroken.orchestration.deployment import apply, serve, stop

commands = {"serve": serve, "apply": apply, "stop": stop}
if sys.argv[1:] not in [[name] for name in commands]:
    sys.exit(f"usage: python -m deploy {' | '.join(commands)}")
commands[sys.argv[1]]()
