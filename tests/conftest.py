"""The whole suite runs offline and on the embedded weights, in this process and in every process it starts."""
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GUARD = Path(__file__).parent / "offline"
# what takes minutes, the longest first: with two workers, the last to be handed out should be short
LONG = ("test_notebooks.py::TestUntouched", "test_notebooks.py::", "test_grading.py::TestHostile", "test_grading.py::TestHonest",
        "test_lab.py::", "test_checks.py::", "test_seeds.py::", "test_release.py::")

for name in [name for name in os.environ if name.startswith("PLMCOURSE_") and name != "PLMCOURSE_CI"]:
    del os.environ[name]
os.environ["PLMCOURSE_WEIGHTS"] = "embedded"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(GUARD), os.environ.get("PYTHONPATH")]))
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:  # share the cores instead of fighting over them
    share = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, share)))
sys.path.insert(0, str(GUARD))
sys.modules.pop("sitecustomize", None)  # the interpreter may have loaded one of its own when it started
import sitecustomize  # noqa: E402, F401


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: next((place for place, name in enumerate(LONG) if name in item.nodeid), len(LONG)))


@pytest.fixture(scope="session")
def root():
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def lacking():
    """Call with a reason when a program is missing: skips, or fails where everything must be there (PLMCOURSE_CI=1)."""
    def stop(reason):
        (pytest.fail if os.environ.get("PLMCOURSE_CI") == "1" else pytest.skip)(reason)
    return stop
