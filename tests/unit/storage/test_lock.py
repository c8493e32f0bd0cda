"""A run has one holder; whoever comes next waits as long as it was told to."""

import threading
import time
from pathlib import Path

from unbroken.storage.lock import exclusive, wait_until_free


def test_a_run_that_is_let_go_of_is_waited_for(tmp_path: Path):
    held, let_go = threading.Event(), []

    def hold() -> None:
        with exclusive(tmp_path, wait=False):
            held.set()
            time.sleep(0.5)
            let_go.append(time.monotonic())

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    wait_until_free(tmp_path, 60)
    ended = time.monotonic()
    thread.join()

    assert let_go[0] < ended
    with exclusive(tmp_path, wait=False) as require_ownership:
        require_ownership()


def test_a_run_that_stays_held_is_waited_for_no_longer_than_told(tmp_path: Path):
    with exclusive(tmp_path, wait=False):
        wait_until_free(tmp_path, 0.3)
