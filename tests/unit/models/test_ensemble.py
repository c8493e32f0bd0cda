"""Several networks in one run, which predict by their mean."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

import unbroken
from tests.unit.models.test_model import MIXED
from tests.unit.models.test_tabm import FEATURES, batch_of
from tests.unit.training.test_hooks import configured
from unbroken.config import ModelConfig
from unbroken.config.config import identity
from unbroken.models.ensemble import Ensemble
from unbroken.models.factory import build_model
from unbroken.models.forward import predictions
from unbroken.optimization.gradient import AutogradGradient

UNDROPPED = ModelConfig(factory="tabm", options={"hidden": [8], "dropout": 0.0, "members": 3})


@pytest.mark.parametrize("task", FEATURES)
def test_the_prediction_is_the_mean_of_the_networks(task: str):
    features = FEATURES[task]
    torch.manual_seed(0)
    model, batch = build_model(ModelConfig(), features, members=3).eval(), batch_of(features)
    assert isinstance(model, Ensemble)

    predicted = predictions(model(batch.numbers, batch.codes), features.task)

    single = [predictions(network(batch.numbers, batch.codes), features.task) for network in model.networks]
    assert len(single) == 3
    assert not torch.equal(single[0], single[1])
    assert torch.allclose(predicted, torch.stack(single).mean(0), atol=1e-6)


@pytest.mark.parametrize("model", [ModelConfig(), UNDROPPED], ids=["mlp", "tabm"])
def test_each_network_has_the_gradient_of_its_own_loss(model: ModelConfig):
    torch.manual_seed(0)
    ensemble, batch = build_model(model, MIXED, members=2), batch_of(MIXED)
    assert isinstance(ensemble, Ensemble)
    network = list(ensemble.networks)[1]

    AutogradGradient(ensemble, MIXED.task, None)(batch)
    together = [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]
    AutogradGradient(network, MIXED.task, None)(batch)
    alone = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]

    assert len(together) == len(alone)
    assert all(torch.allclose(2 * left, right, atol=1e-6) for left, right in zip(together, alone, strict=True))


def test_an_ensemble_is_one_run_whose_checkpoint_predicts_what_was_evaluated(tmp_path: Path):
    config = configured(tmp_path, members=3)
    rows = pq.read_table(config.data.source)

    model = unbroken.train(config)
    loaded = unbroken.load(model.path)

    assert isinstance(loaded.model, Ensemble)
    assert len(list(loaded.model.networks)) == 3
    assert loaded.predict(rows).equals(model.predict(rows))
    assert identity(config)["training"]["members"] == 3
    assert "members" not in identity(configured(tmp_path))["training"]
