"""Signs of life of a flow run, kept by the server as a label of the run: unlike an event, none is lost on the way."""

import itertools
import logging
import os
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run as runtime
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from unbroken.errors import ConfigError

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
log = logging.getLogger(__name__)

LABEL = "unbroken.heartbeat"
"""The label of a flow run that counts its signs of life; the server dates each in the run's `updated`."""

HEARTBEAT = "UNBROKEN_HEARTBEAT"
HEARTBEAT_SECONDS = 10.0
LONGEST_REQUEST = 30.0
LAST_REQUEST = 5.0


def with_heartbeat(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Let a flow give signs of life from its begin to its end; silence then means that its process is gone."""

    @wraps(function)
    def wrapper(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        with _heartbeat(get_client(sync_client=True), str(runtime.id), seconds(HEARTBEAT, HEARTBEAT_SECONDS)):
            return function(*args, **kwargs)

    return wrapper


def seconds(name: str, default: float, environment: Mapping[str, str] = os.environ) -> float:
    """Return a time that an environment variable sets; raise ConfigError if it is not a number above 0."""
    text = environment.get(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ConfigError(f"{name}: found {text!r}, expected a number of seconds above 0")
    return value


@contextmanager
def _heartbeat(client: SyncPrefectClient, run: str, interval: float) -> Generator[None]:
    ended = threading.Event()
    thread = threading.Thread(target=_beat, args=(client, run, interval, ended), name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(LAST_REQUEST)


def _beat(client: SyncPrefectClient, run: str, interval: float, ended: threading.Event) -> None:
    # A request that fails is made up for by the next: to try it again would only delay that one.
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        for count in itertools.count(1):
            try:
                client.request(
                    "PATCH",
                    "/flow_runs/{id}/labels",
                    path_params={"id": run},
                    json={LABEL: count},
                    timeout=LONGEST_REQUEST,
                )
            except (httpx.HTTPError, PrefectException, RuntimeError) as error:
                log.debug("the server took no sign of life of run %s: %s", run, error)
            if ended.wait(interval):
                return
