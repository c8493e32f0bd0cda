"""Which rank a process is, by the variables that torchrun and its like set; no torch is imported here."""

from collections.abc import Mapping
from dataclasses import dataclass

from unbroken.errors import ConfigError

OWN_STORE = "TORCHELASTIC_USE_AGENT_STORE"


@dataclass(frozen=True, kw_only=True)
class Place:
    """The place of a process among those of a training.

    Attributes:
        rank: Its number.
        size: How many there are.
        neighbours: How many of them are on this machine.
        host: Where the ranks meet.
        port: Of the store there.
        hosted: Whether who started the ranks keeps that store; else rank 0 does.
        attempt: Names this start among those that met at one store: a rank that died has left its address there.
    """

    rank: int
    size: int
    neighbours: int
    host: str
    port: int
    hosted: bool
    attempt: str

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> "Place | None":
        """Return the place that RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT say; None without them, or for one rank alone.

        Raises:
            ConfigError: Some are missing, or no numbers.
        """
        if "RANK" not in variables or variables.get("WORLD_SIZE", "1") == "1":
            return None
        try:
            rank, size, port = (int(variables[name]) for name in ("RANK", "WORLD_SIZE", "MASTER_PORT"))
            neighbours, host = int(variables.get("LOCAL_WORLD_SIZE", "1")), variables["MASTER_ADDR"]
        except (KeyError, ValueError) as error:
            raise ConfigError(
                f"environment: found RANK and WORLD_SIZE, but {error}; expected MASTER_ADDR and MASTER_PORT as torchrun sets "
                f"them. Start the ranks by torchrun, or unset RANK and WORLD_SIZE"
            ) from error
        restarts = variables.get("TORCHELASTIC_RESTART_COUNT", "0")
        return cls(
            rank=rank,
            size=size,
            neighbours=neighbours,
            host=host,
            port=port,
            hosted=variables.get(OWN_STORE) == "True",
            attempt=f"{restarts} of {size}",
        )
