"""The metrics start without SciPy's signal processing, and leave it to whoever wants it."""

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_metrics_are_imported_without_signal_processing_which_is_whole_for_others():
    code = (
        "import sys, unbroken.evaluation.metrics\n"
        "print([name for name in sys.modules if name.startswith('scipy.signal')])\n"
        "import scipy.signal\n"
        "print(scipy.signal.windows.hamming(3)[1], scipy.signal is sys.modules['scipy.signal'])"
    )

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout == "[]\n1.0 True\n"
