"""What the settings ask of a challenger, against the contract of the champion: what they leave open is the champion's."""

from dataclasses import replace

from unbroken.config import DataConfig
from unbroken.contract.labels import label_values
from unbroken.data.footers import Footer
from unbroken.data.schema import Schema
from unbroken.errors import ConfigError, DataError

WAY_OUT = (
    "Give the champion's settings, give the new contract a `model` of its own, or set gate.replace: a challenger "
    "that beats a constant guess then takes the champion's place"
)


def agreed_data(data: DataConfig, champion: Schema) -> DataConfig:
    """Return the settings that a challenger is trained by.

    Args:
        data: The settings; what they name wins.
        champion: The contract of the champion, which is meant where they name nothing.
    """
    names = feature_names(data, champion)
    known = {*names, champion.label.name}
    return replace(
        data,
        label=champion.label.name,
        include=names,
        exclude=(),
        keep=(),
        categories=tuple(name for name in data.categories if name in known),
        types={name: kind for name, kind in data.types.items() if name in known},
        task=champion.task,
    )


def feature_names(data: DataConfig, champion: Schema) -> tuple[str, ...]:
    """Return the features that the settings ask for; raise ConfigError if none is left."""
    own = tuple(column.name for column in champion.features)
    wanted = data.include or (*own, *(name for name in data.keep if name not in own))
    names = tuple(name for name in wanted if name not in (*data.exclude, champion.label.name))
    if not names:
        raise ConfigError(
            f"data.exclude: no feature is left of the champion's {', '.join(own)}; excluded {', '.join(data.exclude)}. "
            f"Name others in data.keep"
        )
    return own if set(names) == set(own) else names


def require_fitting(footer: Footer, data: DataConfig, champion: Schema) -> None:
    """Raise DataError unless a file by itself has the columns that are asked for, and in every row a label that is known."""
    names = (*feature_names(data, champion), champion.label.name)
    if missing := [name for name in names if name not in footer.schema.names]:
        raise DataError(f"{footer.file.name}: no column {', '.join(missing)}; found {', '.join(footer.schema.names)}")
    values, _ = label_values([footer.file], champion.label, replace(data, null_labels="refuse"))
    if unknown := sorted(set(values or ()) - set(champion.classes)) if champion.classes else []:
        raise DataError(
            f"{footer.file.name}: label {champion.label.name}: found {unknown[0]!r}, expected one of {list(champion.classes)}"
        )


def changed_prediction(data: DataConfig, champion: Schema) -> list[str]:
    """Return how the settings ask for another label or task than the champion's: two such models cannot be compared."""
    positive = str(champion.classes[1]) if champion.task == "binary" else None
    pairs = (
        ("label", data.label, champion.label.name),
        ("task", data.task, champion.task),
        ("positive", data.positive, positive),
    )
    return [
        f"data.{name}: found {value!r}, expected {own!r}, which the champion predicts"
        for name, value, own in pairs
        if value not in (None, "auto", own)
    ]


def changed_features(data: DataConfig, champion: Schema) -> str:
    """Return which features the settings add to the champion's and which they take away, as words; empty for none."""
    own, names = [column.name for column in champion.features], feature_names(data, champion)
    added, removed = [name for name in names if name not in own], [name for name in own if name not in names]
    parts = [f"with {', '.join(added)}"] * bool(added) + [f"without {', '.join(removed)}"] * bool(removed)
    return " and ".join(parts)
