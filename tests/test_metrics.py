"""Scores with intervals: equal to scikit-learn's, draw by draw."""
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef, recall_score

from plmcourse.metrics import bootstrap_ci, compare, confusions, from_confusion, recalls, scores

GENERATOR = np.random.default_rng(0)
TRUE = GENERATOR.integers(0, 4, 80)
PREDICTED = np.where(GENERATOR.random(80) < 0.5, TRUE, GENERATOR.integers(0, 4, 80))
SKLEARN = {"macro_f1": lambda t, p: f1_score(t, p, labels=range(5), average="macro", zero_division=0), "mcc": matthews_corrcoef,
           "q3": accuracy_score}


def proteins(labels, lengths=(30, 5, 25, 20)):
    return np.split(labels, np.cumsum(lengths)[:-1])


def test_scores_and_their_draws_are_scikit_learns():
    found = scores(TRUE, PREDICTED, 5, n_boot=60, seed=3)  # class 4 has no member
    for name, statistic in SKLEARN.items():
        assert found[name] == pytest.approx(bootstrap_ci(statistic, TRUE, PREDICTED, n_boot=60, seed=3), abs=1e-12), name


def test_proteins_are_drawn_whole():
    def of_proteins(statistic):
        def score(units):
            return statistic(*(np.concatenate([proteins(labels)[unit] for unit in units]) for labels in (TRUE, PREDICTED)))
        return score

    found = scores(proteins(TRUE), proteins(PREDICTED), 5, n_boot=60, seed=1)
    for name, statistic in SKLEARN.items():
        assert found[name] == pytest.approx(bootstrap_ci(of_proteins(statistic), np.arange(4), n_boot=60, seed=1), abs=1e-12), name


def test_unlabelled_positions_do_not_count():
    hidden = TRUE.copy()
    hidden[::3] = -100
    seen = hidden != -100
    assert scores(hidden, PREDICTED, 4, n_boot=20) == scores(TRUE[seen], PREDICTED[seen], 4, n_boot=20)


def test_a_matrix_of_one_class_has_scikit_learns_scores():
    same = np.zeros(6, int)
    matrix = confusions(same, same, 2).sum(0)
    assert from_confusion(matrix)["mcc"] == matthews_corrcoef([0, 1], [0, 0]) == 0  # nothing to correlate
    assert from_confusion(matrix)["macro_f1"] == f1_score(same, same, labels=[0, 1], average="macro", zero_division=0) == 0.5


def test_recall_of_each_class():
    found = recalls(TRUE, PREDICTED, 4, n_boot=50)
    assert [value for value, _, _ in found] == pytest.approx(recall_score(TRUE, PREDICTED, average=None))
    assert all(low <= value <= high for value, low, high in found)
    assert np.isnan(recalls(TRUE, PREDICTED, 5, n_boot=5)[4][0])


def test_bad_labels_are_named():
    with pytest.raises(ValueError, match="entry 1 has the predicted label 7: the classes are 0 to 2"):
        scores([0, 1], [0, 7], 3)
    with pytest.raises(ValueError, match="2 true and 3 predicted entries"):
        scores([0, 1], [0, 1, 2], 3)
    with pytest.raises(ValueError, match="entry 0 has 2 true and 1 predicted labels"):
        scores([np.array([0, 1])], [np.array([0])], 3)
    with pytest.raises(ValueError, match="nothing to score"):
        scores([-100, -100], [0, 1], 3)


class TestCompare:
    def test_the_same_predictions_differ_by_exactly_nothing(self):
        table = compare(TRUE, {"a": [PREDICTED], "b": [PREDICTED.copy()]}, 4, baseline="a", n_boot=50)
        assert table.loc["b", ["difference", "difference_low", "difference_high"]].tolist() == [0, 0, 0]

    def test_pairing_makes_the_difference_sharper_than_the_scores(self):
        better = np.where(np.arange(80) % 8 == 0, TRUE, PREDICTED)
        table = compare(TRUE, {"a": [PREDICTED], "b": [better]}, 4, baseline="a", metric="q3")
        row = table.loc["b"]
        assert row.difference == pytest.approx(accuracy_score(TRUE, better) - accuracy_score(TRUE, PREDICTED))
        assert row.difference_high - row.difference_low < row.high - row.low

    def test_seeds_are_averaged_and_widen_the_interval(self):
        bad = np.zeros_like(TRUE)
        steady = compare(TRUE, {"a": [PREDICTED, PREDICTED]}, 4, baseline="a").loc["a"]
        shaky = compare(TRUE, {"a": [TRUE, bad]}, 4, baseline="a").loc["a"]
        assert shaky.seeds == 2
        assert shaky.score == pytest.approx((1 + SKLEARN["macro_f1"](TRUE, bad) * 5 / 4) / 2)
        assert shaky.high - shaky.low > 2 * (steady.high - steady.low)

    def test_an_unknown_baseline_is_named(self):
        with pytest.raises(ValueError, match="baseline 'c' is not among the models: a"):
            compare(TRUE, {"a": [PREDICTED]}, 4, baseline="c")
