"""The folding head: what it knows before training, what training does, and coordinates from a distogram."""
import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from plmcourse import datasets, folding, structures

CHAINS = sorted(datasets.chains("chains_train"), key=lambda chain: len(chain["sequence"]))[:6]
TRACES = [chain["xyz"][:, 1].astype(float) for chain in CHAINS]


@pytest.fixture(scope="module")
def prior():
    return folding.separation_prior(TRACES)


def certain(xyz):
    """A distogram that is sure of the native distances."""
    return one_hot(folding.distance_bins(xyz), len(folding.CENTRES)).float()


def made_up_features(number, seed=0):
    """Features that hold the answer: how close a residue lies to the centre of its protein, and noise."""
    generator = torch.Generator().manual_seed(seed)
    xyz = TRACES[number]
    residues = torch.randn(len(xyz), 8, generator=generator)
    residues[:, 0] = torch.tensor(np.linalg.norm(xyz - xyz.mean(0), axis=-1) / 5).float()
    return residues, torch.randn(len(xyz), len(xyz), 4, generator=generator), xyz


def test_bins_cover_all_distances():
    assert len(folding.CENTRES) == len(folding.EDGES) + 1 and (torch.diff(folding.CENTRES) > 0).all()
    for k, edge in enumerate(folding.EDGES):
        bins = folding.distance_bins(np.array([[0, 0, 0], [edge - 0.01, 0, 0], [0, edge + 0.01, 0]]))
        assert bins[0].tolist()[1:] == [k, k + 1]


def test_an_untrained_head_is_the_baseline(prior):
    head = folding.FoldingHead(prior, 8, 4).eval()
    residues, pairs, xyz = made_up_features(0)
    found = folding.distogram(head, residues, pairs)
    torch.testing.assert_close(found, prior[folding.separation(len(xyz))].exp())
    torch.testing.assert_close(found.sum(-1), torch.ones(len(xyz), len(xyz)))


def test_the_prior_is_that_of_its_structures(prior):
    neighbours = prior[1].exp()
    assert folding.CENTRES[neighbours.argmax()] == pytest.approx(folding.BOND, abs=0.3) and neighbours.max() > 0.9
    torch.testing.assert_close(prior.exp().sum(-1), torch.ones(folding.FAR + 1))


def test_training_finds_what_is_in_the_features(prior):
    head = folding.FoldingHead(prior, 8, 4)
    losses = folding.fit_head(head, [made_up_features(k) for k in range(6)], epochs=15)
    assert not head.training and losses[-1] < losses[0] - 0.02
    residues, pairs, xyz = made_up_features(0)
    found = folding.distogram(head, residues, pairs)
    torch.testing.assert_close(found, found.transpose(0, 1))


def test_training_is_reproducible(prior):
    runs = []
    for _ in range(2):
        torch.manual_seed(3)  # draws the head
        head = folding.FoldingHead(prior, 8, 4)
        runs.append(folding.fit_head(head, [made_up_features(0)], epochs=2))
    assert runs[0] == runs[1]


def test_training_leaves_the_global_random_state(prior):
    head = folding.FoldingHead(prior, 8, 4)
    before = torch.get_rng_state()
    folding.fit_head(head, [made_up_features(0)], epochs=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_stretch_means():
    x = torch.randn(7, 3)
    means = folding.stretch_means(x)
    torch.testing.assert_close(means[2, 5], x[2:6].mean(0))
    torch.testing.assert_close(means[5, 2], x[2:6].mean(0))
    torch.testing.assert_close(means[4, 4], x[4])


def test_the_expected_lddt_of_a_certain_distogram_is_the_lddt():
    native = TRACES[0]
    model = native + np.random.default_rng(0).normal(0, 1.5, native.shape)
    # bins are half an Å wide, so single pairs near a threshold may fall to its other side
    expected, true = folding.expected_lddt(certain(native), model).numpy(), structures.lddt_ca(model, native)
    assert abs(expected - true).mean() < 0.06 and abs(expected.mean() - true.mean()) < 0.04
    assert folding.expected_lddt(certain(native), native).mean() > 0.98


def test_the_expected_lddt_of_two_possibilities_lies_between():
    xyz = TRACES[0]
    half = (certain(xyz) + certain(xyz * 3)) / 2
    score = folding.expected_lddt(half, xyz).mean()
    assert 0.3 < score < 0.99


@pytest.mark.parametrize("number", range(3))
def test_a_certain_distogram_gives_the_native_structure(number):
    native = TRACES[number]
    found = folding.fold_distogram(certain(native))
    assert np.nanmean(structures.lddt_ca(found, native)) > 0.95
    assert structures.kabsch_rmsd(found, native) < 4  # a long helix may bend: pairs beyond lDDT's radius are not held
    assert structures.kabsch_rmsd(found, native) < structures.kabsch_rmsd(found * [1, 1, -1], native)


def test_gradient_steps_make_a_chain_of_a_vague_distogram(prior):
    vague = prior[folding.separation(len(TRACES[0]))].exp()
    before, after = folding.fold_distogram(vague, steps=0), folding.fold_distogram(vague)
    assert folding.expected_lddt(vague, after).mean() > folding.expected_lddt(vague, before).mean() + 0.1
    bonds = np.linalg.norm(np.diff(after, axis=0), axis=-1)
    assert abs(np.median(bonds) - folding.BOND) < 0.3
    assert structures.handedness(after) >= 0


def test_features_are_scaled_and_come_per_residue_and_per_pair():
    from plmcourse.models import untrained

    sequences = [chain["sequence"] for chain in CHAINS]
    features = folding.Features(untrained(layers=2, dim=32, heads=4), sequences, residue_channels=8, pair_channels=4)
    residues, pairs = zip(*map(features, sequences))
    for sequence, residue, pair in zip(sequences, residues, pairs):
        assert residue.shape == (len(sequence), 8) and pair.shape == (len(sequence), len(sequence), 4)
        torch.testing.assert_close(pair, pair.transpose(0, 1), atol=1e-3, rtol=1e-3)
    spread = torch.cat(residues).std(0)
    torch.testing.assert_close(spread, torch.ones(8), atol=0.01, rtol=0)
