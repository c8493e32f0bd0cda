"""Which tests go to one worker where several run: those of a file, and all that share the slowest server."""

import re

from xdist.scheduler import LoadFileScheduling

SLOWEST = "served"
"""The fixture that starts a server, a worker and deployments once a session, more than a minute of work."""


class OneServer(LoadFileScheduling):
    """Like `--dist loadfile`, with all files whose tests take the slowest server as one."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        takes = re.search(
            rf"^def test_\w+\([^)]*\b{SLOWEST}\b", (self.config.rootpath / file).read_text(), re.MULTILINE
        )
        return SLOWEST if takes else file
