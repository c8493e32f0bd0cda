"""Estimators for scikit-learn over the same stages: what `fit` trains is a run, and as resumable as any."""

from importlib.util import find_spec

if find_spec("sklearn") is None:
    raise ImportError("unbroken's estimators: scikit-learn is not installed: pip install 'unbroken[sklearn]'")
