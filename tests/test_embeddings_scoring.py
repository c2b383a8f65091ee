"""Embeddings and scores: batching changes nothing, and each number is what its definition says."""
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import plmcourse as pc
from plmcourse import embeddings, metrics, scoring
from plmcourse.checks.tiny import course_plm, tiny_plm

LENGTHS = [3, 40, 1, 17, 120, 40, 2]
PROTEINS = ["".join(np.random.default_rng(n + i).choice(list(pc.RESIDUES), n)) for i, n in enumerate(LENGTHS)]


@given(st.lists(st.integers(3, 300), max_size=60), st.integers(10, 2000))
def test_batches_hold_everything_once_and_keep_to_the_budget(lengths, budget):
    found = embeddings.batches(lengths, budget)
    assert sorted(i for rows in found for i in rows) == list(range(len(lengths)))
    for rows in found:
        assert len(rows) == 1 or len(rows) * max(lengths[i] for i in rows) <= budget


@pytest.mark.parametrize("budget", [10, 150, 100_000])
@pytest.mark.parametrize("layer", [-1, 3])
def test_batched_embeddings_equal_one_by_one(budget, layer):
    plm = course_plm()
    together = pc.embed(plm, PROTEINS, layer, tokens_per_batch=budget)
    for protein, matrix in zip(PROTEINS, together):
        alone = plm.forward(plm.tokenize([protein]), output_hidden_states=True).hidden_states[layer][0, 1:-1]
        assert matrix.shape == (len(protein), 320)
        assert (matrix - alone).abs().max() < 1e-5 * max(1, alone.abs().max())


def test_embedding_nothing_gives_nothing():
    assert pc.embed(course_plm(), []) == []


def test_a_layer_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="layer 33 does not exist: this model has hidden states 0 to 6"):
        pc.embed(course_plm(), ["MK"], layer=33)


def test_bad_sequences_are_named_by_number():
    with pytest.raises(ValueError, match="residue 'J' at position 2 of 'sequence 2'"):
        pc.embed(course_plm(), ["MK", "MJ"])


def test_mean_pool_ignores_all_that_is_no_residue():
    tokens = torch.tensor([[0, 4, 24, 2, 1], [0, 5, 6, 7, 2]])
    hidden = torch.randn(2, 5, 8)
    hidden[0, 4] = torch.nan  # padding may hold anything
    pooled = pc.mean_pool(hidden, tokens)
    assert torch.allclose(pooled[0], hidden[0, 1:3].mean(0)) and torch.allclose(pooled[1], hidden[1, 1:4].mean(0))


def test_nearest_label_refuses_labels_that_do_not_fit():
    with pytest.raises(ValueError, match="the database has 3 entries and 2 labels"):
        pc.nearest_label(torch.eye(3), torch.eye(3), ["a", "b"])


@pytest.mark.parametrize("budget", [10, 100, 100_000])
def test_batched_marginals_equal_one_by_one(budget):
    plm, protein = course_plm(), PROTEINS[3]
    log_probs = scoring.masked_log_probs(plm, protein, tokens_per_batch=budget)
    for i in range(len(protein)):
        tokens = plm.tokenize([protein])
        tokens[0, i + 1] = pc.sequences.MASK
        alone = plm.forward(tokens).logits[0, i + 1].log_softmax(-1)
        assert (log_probs[i] - alone).abs().max() < 1e-5 * alone.abs().max()


def test_marginals_are_zero_at_the_wild_type_and_agree_with_single_scores():
    plm, protein = course_plm(), PROTEINS[3]
    table = pc.masked_marginals(plm, protein)
    assert table.shape == (len(protein), 20)
    assert all(table[i, pc.RESIDUES.index(residue)] == 0 for i, residue in enumerate(protein))
    mutation = f"{protein[4]}104{'A' if protein[4] != 'A' else 'G'}"
    score = pc.mutation_score(plm, protein, mutation, first=100)
    assert score == pytest.approx(table[4, pc.RESIDUES.index(mutation[-1])].item(), abs=1e-5)
    assert pc.additive_scores(table, protein, [mutation], first=100)[0] == pytest.approx(score, abs=1e-5)


def test_scores_refuse_what_they_cannot_score():
    plm = tiny_plm()
    with pytest.raises(ValueError, match="M69L: position 69 is K, not M"):
        pc.mutation_score(plm, "MKTAY", "M69L", first=68)
    with pytest.raises(ValueError, match="position 9 lies outside"):
        pc.additive_scores(np.zeros((5, 20)), "MKTAY", ["Y9A"])
    with pytest.raises(ValueError, match="residue 'X' at position 2 .* is not one of the 20 standard amino acids$"):
        pc.masked_marginals(plm, "MXK")


def test_lower_case_is_scored_with_one_note():
    with pytest.warns(UserWarning, match="lower-case") as notes:
        lower = pc.masked_marginals(tiny_plm(), "mktay")
    assert len(notes) == 1 and torch.equal(lower, pc.masked_marginals(tiny_plm(), "MKTAY"))


def test_pseudo_perplexity_belongs_to_the_likelihood():
    plm = tiny_plm()
    assert pc.pseudo_perplexity(plm, "MKTAY") == pytest.approx(math.exp(-pc.pseudo_log_likelihood(plm, "MKTAY") / 5))


def test_wild_type_marginals_mask_nothing():
    plm = tiny_plm()
    logits = plm.forward(plm.tokenize(["MKTAY"])).logits[0, 1:-1]
    assert pc.wild_type_marginals(plm, "MKTAY")[1, 0].item() == pytest.approx((logits[1, 4] - logits[1, pc.sequences.TOKEN_ID["K"]]).item(), abs=1e-5)


@given(st.lists(st.integers(0, 5), min_size=3, max_size=30), st.randoms())
@settings(max_examples=50, deadline=None)
def test_spearman_equals_scipys(values, random):
    from scipy.stats import spearmanr

    other = [random.randint(0, 5) for _ in values]
    if len(set(values)) > 1 and len(set(other)) > 1:
        assert metrics.spearman(values, other) == pytest.approx(spearmanr(values, other).statistic)


def test_a_bootstrap_interval_covers_the_truth_about_as_often_as_it_says():
    generator, covered = np.random.default_rng(0), 0
    for seed in range(150):
        _, low, high = pc.bootstrap_ci(np.mean, generator.normal(size=60), n_boot=300, seed=seed)
        covered += low < 0 < high
    assert 0.85 < covered / 150 < 0.995


def test_bootstrap_draws_pairs_and_repeats_itself():
    x = np.arange(50.0)
    assert pc.spearman_ci(x, x ** 3) == pytest.approx((1, 1, 1))
    assert pc.spearman_ci(x, np.sin(x), seed=3) == pc.spearman_ci(x, np.sin(x), seed=3)


@pytest.mark.parametrize("x, y, sentence", [
    ([1, 2, 3], [1, 2], "equal length"), ([1, 2], [1, 2], "at least three pairs, not 2"), ([1, np.nan, 3], [1, 2, 3], r"x\[1\] is nan"),
    ([1, 2, 3], [2, 2, 2], "all values of y are 2")])
def test_correlations_refuse_what_has_no_ranks(x, y, sentence):
    with pytest.raises(ValueError, match=sentence):
        pc.spearman_ci(x, y)


@given(st.lists(st.integers(0, 8), min_size=2, max_size=80).filter(lambda c: len(set(c)) > 1), st.floats(0.05, 0.95), st.integers(0, 99))
def test_cluster_split_keeps_families_together(clusters, fraction, seed):
    train, test = pc.cluster_split(clusters, fraction, seed)
    assert sorted([*train, *test]) == list(range(len(clusters))) and len(test) > 0
    assert not {clusters[i] for i in train} & {clusters[i] for i in test}


def test_cluster_split_refuses_what_cannot_be_split():
    with pytest.raises(ValueError, match="test_fraction is 1.5"):
        pc.cluster_split([1, 2], 1.5)
    with pytest.raises(ValueError, match="all 3 proteins are in one cluster"):
        pc.cluster_split([1, 1, 1])
