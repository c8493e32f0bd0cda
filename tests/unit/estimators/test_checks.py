"""scikit-learn's own checks of an estimator, all of them, for both."""

import subprocess
import sys

import pytest
from sklearn.utils.estimator_checks import check_array_api_input, parametrize_with_checks

from unbroken import UnbrokenClassifier, UnbrokenRegressor

ARRAY_API = """
from sklearn.utils.estimator_checks import _yield_array_api_checks
import unbroken
estimator = unbroken.{name}(epochs=3)
checks = list(_yield_array_api_checks(estimator, only_numpy=True))
for check in checks:
    check("{name}", estimator)
print(len(checks))
"""


@pytest.mark.slow
@parametrize_with_checks([UnbrokenClassifier(), UnbrokenRegressor()])
def test_every_check_of_scikit_learn_passes(estimator, check):
    if getattr(check, "func", None) is check_array_api_input:
        # It runs only where SciPy was imported with this variable, so in a process of its own.
        script = ARRAY_API.format(name=type(estimator).__name__)
        command = ["env", "SCIPY_ARRAY_API=1", sys.executable, "-c", script]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        assert int(result.stdout) >= 1
        return
    check(estimator)
