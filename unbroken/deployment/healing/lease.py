"""One healer a server: a variable on the server names it, and another takes its place once it shows no sign of life.

A global concurrency limit of Prefect would not do: its slots are kept in the database, but their leases by default in the
server's memory, so that a server that dies leaves a slot taken for ever.
"""

import socket
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import VariableCreate
from prefect.client.schemas.objects import Variable
from prefect.exceptions import ObjectAlreadyExists

NAME = "unbroken-healer"


@dataclass(slots=True)
class Lease:
    """The right to heal the runs of a server, as long as it is renewed.

    Attributes:
        holder: This healer. A predecessor of the same name is known to be dead.
        seconds: After how long without renewal another may take it.
    """

    holder: str
    seconds: float
    own: uuid.UUID | None = None
    count: int = 0
    other: tuple[uuid.UUID, Any] | None = None
    """The variable of another holder, and what it held."""
    unchanged: float = 0.0
    """For how many seconds it has held that."""

    @classmethod
    def of(cls, folder: Path, seconds: float) -> "Lease":
        """Return the lease of the healer of a folder; the caller holds the folder's lock, so that it is the only one."""
        return cls(f"{folder} on {socket.gethostname()} ({uuid.getnode():012x})", seconds)

    def hold(self, client: SyncPrefectClient, elapsed: float) -> bool:
        """Renew or take the lease, and tell whether it is held.

        Args:
            client: The server.
            elapsed: Seconds since the call before, through which the server answered.
        """
        if self.own is not None and self._renew(client, self.own):
            return True
        variable = client.read_variable_by_name(NAME)
        if variable is None:
            return self._create(client)
        if not self._is_forsaken(variable, elapsed):
            return False
        # Deleted by its id, which only one can do: who comes second finds it gone, or finds the next one's.
        return _gone(client, variable.id) and self._create(client)

    def release(self, client: SyncPrefectClient) -> None:
        """Let another healer begin at once."""
        if self.own is not None:
            _gone(client, self.own)
            self.own = None

    def _renew(self, client: SyncPrefectClient, own: uuid.UUID) -> bool:
        self.count += 1
        try:
            client.request("PATCH", "/variables/{id}", path_params={"id": own}, json={"value": self._content()})
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.NOT_FOUND:
                raise
            self.own = None
        return self.own is not None

    def _create(self, client: SyncPrefectClient) -> bool:
        try:
            self.own = client.create_variable(VariableCreate(name=NAME, value=self._content())).id
        except ObjectAlreadyExists:
            return False
        self.other = None
        return True

    def _is_forsaken(self, variable: Variable, elapsed: float) -> bool:
        seen = variable.id, variable.value
        self.unchanged = self.unchanged + elapsed if seen == self.other else 0.0
        self.other = seen
        return self._named(variable) or self.unchanged >= self.seconds

    def _named(self, variable: Variable) -> bool:
        return isinstance(variable.value, dict) and variable.value.get("holder") == self.holder

    def _content(self) -> dict[str, Any]:
        return {"holder": self.holder, "count": self.count}


def _gone(client: SyncPrefectClient, variable: uuid.UUID) -> bool:
    """Delete a variable and tell whether it was there."""
    try:
        client.request("DELETE", "/variables/{id}", path_params={"id": variable})
    except httpx.HTTPStatusError as error:
        if error.response.status_code != httpx.codes.NOT_FOUND:
            raise
        return False
    return True
