"""Loading data: verified once, and a damaged file is named."""
import shutil

import pytest

from plmcourse import datasets


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of data/ without the weights, as a fresh session would see it."""
    shutil.copytree(datasets.DATA, tmp_path / "data", ignore=shutil.ignore_patterns("*.safetensors"))
    monkeypatch.setattr(datasets, "DATA", tmp_path / "data")
    datasets.path.cache_clear()
    yield tmp_path / "data"
    datasets.path.cache_clear()


def test_an_unknown_name_is_named_with_what_there_is():
    with pytest.raises(ValueError, match="there is no data set 'tem2'; there are: .*tem1"):
        datasets.load("tem2")


def test_a_damaged_file_is_named(copied):
    file = copied / datasets.info("gb1")["file"]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"gb1\.csv\.gz is damaged: its SHA-256"):
        datasets.load("gb1")


def test_a_truncated_file_is_named(copied):
    file = copied / datasets.info("gb1")["file"]
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"gb1\.csv\.gz is damaged: it has [\d,]+ bytes, the manifest says"):
        datasets.load("gb1")


def test_a_missing_file_is_named(copied):
    (copied / datasets.info("gb1")["file"]).unlink()
    with pytest.raises(ValueError, match=r"gb1\.csv\.gz is missing"):
        datasets.load("gb1")


def test_a_file_is_verified_once(copied, monkeypatch):
    calls = []
    real = datasets.sha256
    monkeypatch.setattr(datasets, "sha256", lambda file: calls.append(file) or real(file))
    datasets.load("gb1")
    datasets.load("gb1")
    assert len(calls) == 1


def test_chains_have_one_row_per_residue():
    for chain in datasets.chains("chains_test")[:5]:
        length = len(chain["sequence"])
        assert chain["xyz"].shape == (length, 4, 3) and chain["profile"].shape == (length, 20) and len(chain["ss"]) == length
