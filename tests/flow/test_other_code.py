"""A flow run that goes on with a training of other code shows so as its state, where a person looks."""

from pathlib import Path

import pytest
from prefect.states import State

from flows.train import train
from tests.contract import Stopped, run_stages
from tests.unit.code.test_resume_by_other_code import StopInThirdEpoch, config
from unbroken.run import open_run

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_other_code_fails_a_flow_run_with_both_codes_and_the_ways_out_as_its_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settings = config(tmp_path)
    with pytest.raises(Stopped):
        run_stages(settings, [StopInThirdEpoch()])
    monkeypatch.setattr("unbroken.code.record.installed_version", lambda name: f"9.9 of {name}")

    state: State = train(settings, return_state=True)  # ty: ignore[no-matching-overload]

    assert state.is_failed()
    assert "it was trained by unbroken" in (state.message or "")
    assert "this is unbroken 9.9 of unbroken" in (state.message or "")
    assert "--resume.accept_code true" in (state.message or "")
    assert not open_run(settings).published.exists()
