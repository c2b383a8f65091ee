"""Models that are too large for one device."""
import pytest
import torch

import plmcourse as pc
from plmcourse import datasets, models, placement

SEQUENCES = ["MKTAYIAKQRQISFVKSHFSRQ", "GAVLIM"]


@pytest.fixture
def folder():
    return datasets.path("course-8M").parent


@pytest.mark.parametrize("megabytes", [20, 8])
def test_a_model_larger_than_memory_computes_the_same_from_the_disk(folder, monkeypatch, capsys, megabytes):
    whole = pc.load(str(folder), "cpu")
    monkeypatch.setattr(placement, "free_memory", lambda device: megabytes * 10**6)
    spread = pc.load(str(folder))
    assert "disk" in spread.model.hf_device_map.values()
    assert "cpu + disk · float32" in capsys.readouterr().out
    for ours, theirs in zip(pc.embed(spread, SEQUENCES), pc.embed(whole, SEQUENCES)):
        assert torch.allclose(ours, theirs, atol=1e-5)
    assert torch.allclose(pc.masked_marginals(spread, SEQUENCES[1]), pc.masked_marginals(whole, SEQUENCES[1]), atol=1e-4)


def test_an_explicit_device_is_taken_at_its_word(folder, monkeypatch):
    monkeypatch.setattr(placement, "free_memory", lambda device: 0)
    assert not hasattr(pc.load(str(folder), "cpu").model, "hf_device_map")


@pytest.mark.parametrize("free, options, sentence", [
    ({"cuda:0": 26, "cpu": 1}, {}, "would run"),
    ({"cpu": 26}, {}, "would run"),
    ({"cuda:0": 13, "cuda:1": 13, "cpu": 6.5}, {0: 10, 1: 10, "cpu": 5}, "would be spread over 2 GPUs and the CPU"),
    ({"cuda:0": 13, "cpu": 6.5}, {0: 10, "cpu": 5}, "would run in part from the disk, slowly: 6 GB of memory are missing")])
def test_what_does_not_fit_is_spread(monkeypatch, free, options, sentence):
    """20 GB of weights, which take 26 to run."""
    monkeypatch.setattr(placement, "devices", lambda: [*free])
    monkeypatch.setattr(placement, "free_memory", lambda device: free[device] * 1e9)
    found = placement.place(20e9)
    assert {device: round(most / 1e9) for device, most in found.get("max_memory", {}).items()} == options
    assert (found.get("device_map") == "auto") == bool(options)
    assert placement.forecast(20e9) == sentence


def test_size_in_memory_follows_the_precision(folder):
    whole = models.weight_bytes(folder, torch.float32)
    assert abs(whole - 4 * models.FAMILY["8M"].parameters) < 100_000 and models.weight_bytes(folder, torch.bfloat16) == whole // 2
