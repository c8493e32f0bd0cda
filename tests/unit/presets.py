"""The networks that come with the library, beside the mlp, which is tested everywhere; small and with dropout."""

from unbroken.config import ModelConfig

NEW = {
    "plr": ModelConfig(factory="plr", options={"hidden": [8], "dropout": 0.2}),
    "realmlp": ModelConfig(factory="realmlp", options={"hidden": [8], "dropout": 0.2}),
    "tabm": ModelConfig(factory="tabm", options={"hidden": [8], "dropout": 0.2, "members": 3}),
}
