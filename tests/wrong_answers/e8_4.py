"""Exercise 8.4, fit_contact_head."""
from types import SimpleNamespace

import numpy as np
import torch
from scipy.special import expit
from sklearn.linear_model import Lasso, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer


def apc(maps):
    background = maps.sum(-1, keepdims=True) * maps.sum(-2, keepdims=True)
    return maps - background / maps.sum((-1, -2), keepdims=True)


def symmetrised(maps):
    maps = np.asarray(maps, dtype=float)
    return maps + maps.swapaxes(-1, -2)


def by_pair(maps):
    """[layers, heads, L, L] -> [L, L, layers * heads]."""
    return np.moveaxis(maps.reshape(-1, *maps.shape[-2:]), 0, -1)


def features(maps):
    """What the exercise asks for."""
    return by_pair(apc(symmetrised(maps)))


def regression(c=0.15, **options):
    return LogisticRegression(C=c, **{"l1_ratio": 1.0, "solver": "liblinear", "random_state": 0} | options)


def training_set(maps, contacts, least, read=features):
    """The pairs i < j of all chains, at least ``least`` apart: (features, contact or not)."""
    upper = [np.triu_indices(len(truth), least) for truth in contacts]
    return (np.concatenate([read(chain)[pairs] for chain, pairs in zip(maps, upper)]),
            np.concatenate([np.asarray(truth)[pairs] for truth, pairs in zip(contacts, upper)]).astype(int))


def probability(model, values):
    """[L, L] from [L, L, features]."""
    return model.predict_proba(values.reshape(-1, values.shape[-1]))[:, 1].reshape(values.shape[:2])


def head(model, read=features, after=lambda answer: answer):
    """An object with ``predict``."""
    return SimpleNamespace(predict=lambda maps: after(probability(model, read(maps))))


def fitted(maps, contacts, min_separation, c, read=features, **options):
    """A head that reads its features by ``read``, at training and afterwards."""
    return head(regression(c, **options).fit(*training_set(maps, contacts, min_separation, read)), read)


def wrong_fit_contact_head__no_apc(maps, contacts, min_separation=6, c=0.15):
    """Symmetrised, but without APC.

    message: apc
    """
    return fitted(maps, contacts, min_separation, c, lambda m: by_pair(symmetrised(m)))


def wrong_fit_contact_head__not_symmetrised(maps, contacts, min_separation=6, c=0.15):
    """APC, but the maps are never symmetrised: nor are the predictions.

    message: symmetric
    message: symmetrise
    """
    return fitted(maps, contacts, min_separation, c, lambda m: by_pair(apc(np.asarray(m, dtype=float))))


def wrong_fit_contact_head__raw_maps(maps, contacts, min_separation=6, c=0.15):
    """Neither symmetrised nor corrected.

    message: symmetric
    message: symmetrise
    message: apc
    """
    return fitted(maps, contacts, min_separation, c, lambda m: by_pair(np.asarray(m, dtype=float)))


def wrong_fit_contact_head__symmetric_at_the_end(maps, contacts, min_separation=6, c=0.15):
    """Fits on maps that are not symmetric and averages the two probabilities: contacts on one side only count half.

    message: symmetrise
    message: before
    """
    def read(chain):
        return by_pair(apc(np.asarray(chain, dtype=float)))

    model = regression(c).fit(*training_set(maps, contacts, min_separation, read))
    return head(model, read, lambda answer: (answer + answer.T) / 2)


def wrong_fit_contact_head__apc_first(maps, contacts, min_separation=6, c=0.15):
    """APC before symmetrising: another background where the sums of rows and columns differ.

    message: before
    message: order
    message: after symmetri
    message: symmetrise first
    """
    return fitted(maps, contacts, min_separation, c, lambda m: by_pair(symmetrised(apc(np.asarray(m, dtype=float)))))


def wrong_fit_contact_head__common_apc(maps, contacts, min_separation=6, c=0.15):
    """One total for all heads in the correction: nearly nothing is subtracted.

    message: apc
    message: each map
    message: each head
    """
    def read(chain):
        both = symmetrised(chain)
        return by_pair(both - both.sum(-1, keepdims=True) * both.sum(-2, keepdims=True) / both.sum())

    return fitted(maps, contacts, min_separation, c, read)


def wrong_fit_contact_head__separation_ignored(maps, contacts, min_separation=6, c=0.15):
    """All pairs i < j, so that the head learns neighbours, which are nearly always contacts.

    message: min_separation
    message: neighbours
    """
    return fitted(maps, contacts, 1, c)


def wrong_fit_contact_head__diagonal_too(maps, contacts, min_separation=6, c=0.15):
    """All entries of the matrices, the diagonal among them.

    message: min_separation
    message: diagonal
    """
    return head(regression(c).fit(np.concatenate([features(m).reshape(-1, features(m).shape[-1]) for m in maps]),
                                  np.concatenate([np.asarray(truth).ravel() for truth in contacts])))


def wrong_fit_contact_head__always_six(maps, contacts, min_separation=6, c=0.15):
    """A 6 in the code instead of the argument: right by default.

    message: min_separation
    """
    return fitted(maps, contacts, 6, c)


def wrong_fit_contact_head__above_the_least(maps, contacts, min_separation=6, c=0.15):
    """> instead of >=: pairs at exactly the least separation are lost.

    message: exactly
    message: min_separation
    message: >=
    """
    return fitted(maps, contacts, min_separation + 1, c)


def wrong_fit_contact_head__close_pairs_only(maps, contacts, min_separation=6, c=0.15):
    """The comparison the wrong way round: only pairs closer than the separation.

    message: min_separation
    message: closer
    """
    x, y = [], []
    for chain, truth in zip(maps, contacts):
        i, j = np.triu_indices(len(truth), 1)
        close = j - i < min_separation
        x.append(features(chain)[i[close], j[close]])
        y.append(np.asarray(truth)[i[close], j[close]])
    return head(regression(c).fit(np.concatenate(x), np.concatenate(y)))


def wrong_fit_contact_head__l2(maps, contacts, min_separation=6, c=0.15):
    """The default penalty, L2: no weight is exactly zero.

    message: l1
    message: L1
    message: sparse
    """
    return fitted(maps, contacts, min_separation, c, l1_ratio=0.0)


def wrong_fit_contact_head__no_penalty(maps, contacts, min_separation=6, c=0.15):
    """No penalty at all.

    message: l1
    message: L1
    message: penalty
    message: sparse
    """
    return fitted(maps, contacts, min_separation, 1e6)


def wrong_fit_contact_head__c_inverted(maps, contacts, min_separation=6, c=0.15):
    """Takes c for the strength of the penalty; scikit-learn's C is the inverse.

    message: inverse
    message: 1/c
    message: C=c
    """
    return fitted(maps, contacts, min_separation, 1 / c)


def wrong_fit_contact_head__c_ignored(maps, contacts, min_separation=6, c=0.15):
    """Always 0.15: right by default.

    message: ignores c
    message: c is
    message: C=c
    """
    return fitted(maps, contacts, min_separation, 0.15)


def wrong_fit_contact_head__c_of_sklearn(maps, contacts, min_separation=6, c=0.15):
    """scikit-learn's own default, C = 1.

    message: ignores c
    message: c is
    message: C=c
    """
    return fitted(maps, contacts, min_separation, 1.0)


def wrong_fit_contact_head__last_layer(maps, contacts, min_separation=6, c=0.15):
    """The heads of the last layer only.

    message: the last layer
    message: all layers
    """
    return fitted(maps, contacts, min_separation, c, lambda m: features(m[-1:]))


def wrong_fit_contact_head__first_layer(maps, contacts, min_separation=6, c=0.15):
    """The heads of the first layer only: maps[0] was taken for the sequence in its batch.

    message: the first layer
    message: all layers
    """
    return fitted(maps, contacts, min_separation, c, lambda m: features(m[:1]))


def wrong_fit_contact_head__mean_head(maps, contacts, min_separation=6, c=0.15):
    """One feature, the mean over all heads: a planted contact in one of them is lost.

    message: mean
    message: average
    message: every head
    message: each head
    """
    return fitted(maps, contacts, min_separation, c, lambda m: features(m).mean(-1, keepdims=True))


def wrong_fit_contact_head__mean_of_each_layer(maps, contacts, min_separation=6, c=0.15):
    """One feature per layer, the mean over its heads.

    message: mean
    message: average
    message: every head
    message: each head
    """
    return fitted(maps, contacts, min_separation, c, lambda m: features(np.asarray(m).mean(1, keepdims=True)))


def wrong_fit_contact_head__reshaped(maps, contacts, min_separation=6, c=0.15):
    """Reshapes [layers, heads, L, L] to [L, L, layers * heads]: features of one pair come from many.

    message: reshape
    message: axes
    message: symmetric
    """
    def read(chain):
        corrected = apc(symmetrised(chain))
        return corrected.reshape(*corrected.shape[-2:], -1)

    return fitted(maps, contacts, min_separation, c, read)


def wrong_fit_contact_head__labels_in_another_order(maps, contacts, min_separation=6, c=0.15):
    """Features from the upper triangle, contacts from the lower: the same pairs in another order.

    message: order
    message: same pairs
    message: contacts
    """
    x, _ = training_set(maps, contacts, min_separation)
    y = [np.asarray(truth)[np.tril_indices(len(truth), -min_separation)] for truth in contacts]
    return head(regression(c).fit(x, np.concatenate(y)))


def wrong_fit_contact_head__contacts_inverted(maps, contacts, min_separation=6, c=0.15):
    """Column 0 of predict_proba: the probability that there is no contact.

    message: no contact
    message: column
    message: 1 −
    """
    return head(regression(c).fit(*training_set(maps, contacts, min_separation)), after=lambda answer: 1 - answer)


def wrong_fit_contact_head__first_chain(maps, contacts, min_separation=6, c=0.15):
    """Fits on the first chain only.

    message: first
    message: all chains
    """
    return fitted(maps[:1], contacts[:1], min_separation, c)


def wrong_fit_contact_head__last_chain(maps, contacts, min_separation=6, c=0.15):
    """Fits anew for each chain, so that the last one stays.

    message: last
    message: all chains
    """
    model = regression(c)
    for chain, truth in zip(maps, contacts):
        model.fit(*training_set([chain], [truth], min_separation))
    return head(model)


def wrong_fit_contact_head__mean_of_fits(maps, contacts, min_separation=6, c=0.15):
    """One fit per chain and the mean of their probabilities: contacts of all chains are never seen together.

    message: all chains
    message: one regression
    message: together
    """
    heads = [fitted([chain], [truth], min_separation, c) for chain, truth in zip(maps, contacts)]
    return SimpleNamespace(predict=lambda chain: np.mean([one.predict(chain) for one in heads], axis=0))


def wrong_fit_contact_head__balanced(maps, contacts, min_separation=6, c=0.15):
    """Weights the classes: contacts come out far too probable.

    message: balanced
    message: probabilities
    message: too high
    """
    return fitted(maps, contacts, min_separation, c, class_weight="balanced")


def wrong_fit_contact_head__as_many_of_each(maps, contacts, min_separation=6, c=0.15):
    """Draws as many pairs without contact as there are contacts: these come out far too probable.

    message: balanced
    message: probabilities
    message: too high
    message: all pairs
    """
    x, y = training_set(maps, contacts, min_separation)
    apart = np.random.default_rng(0).permutation(np.flatnonzero(y == 0))[:(y == 1).sum()]
    chosen = np.concatenate([np.flatnonzero(y == 1), apart])
    return head(regression(c).fit(x[chosen], y[chosen]))


def wrong_fit_contact_head__no_intercept(maps, contacts, min_separation=6, c=0.15):
    """Without intercept: a pair without any signal gets probability 0.5.

    message: intercept
    message: 0.5
    message: too high
    """
    return fitted(maps, contacts, min_separation, c, fit_intercept=False)


def wrong_fit_contact_head__lasso(maps, contacts, min_separation=6, c=0.15):
    """A linear regression with an L1 penalty, cut off at 0 and 1: no logistic function.

    message: logistic
    message: probabilities
    """
    model = Lasso(alpha=0.001 / c).fit(*training_set(maps, contacts, min_separation))

    def predict(chain):
        values = features(chain)
        return model.predict(values.reshape(-1, values.shape[-1])).reshape(values.shape[:2]).clip(0, 1)

    return SimpleNamespace(predict=predict)


def wrong_fit_contact_head__logits(maps, contacts, min_separation=6, c=0.15):
    """decision_function: the logit, not the probability.

    message: logit
    message: between 0 and 1
    message: probabilit
    """
    model = regression(c).fit(*training_set(maps, contacts, min_separation))
    return SimpleNamespace(predict=lambda chain: features(chain) @ model.coef_[0] + model.intercept_[0])


def wrong_fit_contact_head__classes(maps, contacts, min_separation=6, c=0.15):
    """scikit-learn's predict: 0 or 1 at a threshold of 0.5.

    message: predict_proba
    message: 0 or 1
    message: 0 and 1
    message: probabilit
    """
    model = regression(c).fit(*training_set(maps, contacts, min_separation))
    return head(model, after=lambda answer: (answer > 0.5).astype(float))


def wrong_fit_contact_head__both_columns(maps, contacts, min_separation=6, c=0.15):
    """The whole of predict_proba: [L, L, 2].

    message: shape
    """
    model = regression(c).fit(*training_set(maps, contacts, min_separation))
    return head(model, after=lambda answer: np.stack([1 - answer, answer], axis=-1))


def wrong_fit_contact_head__flat(maps, contacts, min_separation=6, c=0.15):
    """A row of L * L probabilities.

    message: shape
    """
    return head(regression(c).fit(*training_set(maps, contacts, min_separation)), after=np.ravel)


def wrong_fit_contact_head__upper_triangle(maps, contacts, min_separation=6, c=0.15):
    """Fills in the pairs i < j only.

    message: symmetric
    message: triangle
    """
    return head(regression(c).fit(*training_set(maps, contacts, min_separation)), after=np.triu)


def wrong_fit_contact_head__sum_of_triangles(maps, contacts, min_separation=6, c=0.15):
    """Makes a symmetric matrix more symmetric: all probabilities are doubled.

    message: twice
    message: between 0 and 1
    message: double
    """
    model = regression(c).fit(*training_set(maps, contacts, min_separation))
    return head(model, after=lambda answer: answer + answer.T)


def wrong_fit_contact_head__predicts_without_apc(maps, contacts, min_separation=6, c=0.15):
    """APC in training, none in predict.

    message: apc
    message: same way
    message: predict
    """
    model = regression(c).fit(*training_set(maps, contacts, min_separation))
    return head(model, lambda m: by_pair(symmetrised(m)))


def wrong_fit_contact_head__predicts_without_symmetrising(maps, contacts, min_separation=6, c=0.15):
    """Symmetrised in training, not in predict.

    message: symmetric
    message: symmetrise
    """
    model = regression(c).fit(*training_set(maps, contacts, min_separation))
    return head(model, lambda m: by_pair(apc(np.asarray(m, dtype=float))))


def wrong_fit_contact_head__predicts_half(maps, contacts, min_separation=6, c=0.15):
    """Adds the transpose in training and averages with it in predict: half of what the weights were fitted to.

    message: half
    message: same way
    message: predict
    """
    model = regression(c).fit(*training_set(maps, contacts, min_separation))
    return head(model, lambda m: features(m) / 2)


def wrong_fit_contact_head__heads_first_in_predict(maps, contacts, min_separation=6, c=0.15):
    """In predict the heads come before the layers: the weights meet other features.

    message: order
    message: same way
    message: layers and heads
    """
    model = regression(c).fit(*training_set(maps, contacts, min_separation))
    return head(model, lambda m: features(np.asarray(m).swapaxes(0, 1)))


def wrong_fit_contact_head__remembers(maps, contacts, min_separation=6, c=0.15):
    """predict never reads its argument: always the first training chain.

    message: argument
    message: training
    message: has shape
    """
    answer = fitted(maps, contacts, min_separation, c).predict(maps[0])
    return SimpleNamespace(predict=lambda chain: answer)


def wrong_fit_contact_head__constant(maps, contacts, min_separation=6, c=0.15):
    """Always the share of contacts among the training pairs.

    message: constant
    message: same probability
    message: every pair
    """
    _, y = training_set(maps, contacts, min_separation)
    return SimpleNamespace(predict=lambda chain: np.full(np.asarray(chain).shape[-2:], y.mean()))


def wrong_fit_contact_head__separation_only(maps, contacts, min_separation=6, c=0.15):
    """The frequency of contacts at each separation, which is the baseline: no attention enters.

    message: separation
    message: attention
    """
    apart, truth = [], []
    for each in contacts:
        i, j = np.triu_indices(len(each), min_separation)
        apart.append(j - i)
        truth.append(np.asarray(each)[i, j])
    x, y = np.log(np.concatenate(apart))[:, None], np.concatenate(truth).astype(int)
    model = LogisticRegression().fit(x, y)

    def predict(chain):
        places = np.arange(np.asarray(chain).shape[-1])
        return probability(model, np.log(np.abs(places[:, None] - places).clip(min=1))[..., None])

    return SimpleNamespace(predict=predict)


def wrong_fit_contact_head__returns_the_weights(maps, contacts, min_separation=6, c=0.15):
    """Returns the weights instead of something with predict.

    message: predict
    """
    return regression(c).fit(*training_set(maps, contacts, min_separation)).coef_[0]


def wrong_fit_contact_head__returns_a_function(maps, contacts, min_separation=6, c=0.15):
    """Returns the function itself: head(maps) works, head.predict(maps) does not.

    message: predict
    """
    return fitted(maps, contacts, min_separation, c).predict


def wrong_fit_contact_head__returns_the_regression(maps, contacts, min_separation=6, c=0.15):
    """Returns scikit-learn's model, whose predict wants a table and knows nothing of maps.

    message: predict
    """
    return regression(c).fit(*training_set(maps, contacts, min_separation))


def wrong_fit_contact_head__changes_the_maps(maps, contacts, min_separation=6, c=0.15):
    """Symmetrises the caller's own maps: fitting again gives another head.

    message: changes
    """
    for chain in maps:
        chain += chain.swapaxes(-1, -2) + 0
    x = [by_pair(apc(np.asarray(chain, dtype=float))) for chain in maps]
    upper = [np.triu_indices(len(truth), min_separation) for truth in contacts]
    y = np.concatenate([np.asarray(truth)[pairs] for truth, pairs in zip(contacts, upper)])
    return head(regression(c).fit(np.concatenate([one[pairs] for one, pairs in zip(x, upper)]), y))


def wrong_fit_contact_head__nothing(maps, contacts, min_separation=6, c=0.15):
    """Forgets the return.

    message: is the line with 'return' missing?
    """
    regression(c).fit(*training_set(maps, contacts, min_separation))


class ContactHead:
    """A model and what it reads, as a student would write it."""

    def __init__(self, weights, bias):
        self.weights, self.bias = torch.as_tensor(weights), float(bias)

    def predict(self, maps):
        maps = torch.as_tensor(maps).double()
        maps = maps + maps.transpose(-1, -2)
        maps = maps - maps.sum(-1, keepdim=True) * maps.sum(-2, keepdim=True) / maps.sum((-1, -2), keepdim=True)
        return torch.sigmoid(torch.einsum("nij,n->ij", maps.flatten(0, 1), self.weights) + self.bias)


def right_fit_contact_head__class_in_torch(maps, contacts, min_separation=6, c=0.15):
    x, y = [], []
    for chain, truth in zip(maps, contacts):
        chain, truth = torch.as_tensor(chain).double(), torch.as_tensor(truth)
        chain = chain + chain.mT
        chain = chain - chain.sum(-1, keepdim=True) * chain.sum(-2, keepdim=True) / chain.sum((-1, -2), keepdim=True)
        i, j = torch.triu_indices(len(truth), len(truth), min_separation)
        x.append(chain.flatten(0, 1)[:, i, j].T)
        y.append(truth[i, j])
    model = LogisticRegression(C=c, l1_ratio=1.0, solver="liblinear", random_state=0)
    model.fit(torch.cat(x).numpy(), torch.cat(y).numpy())
    return ContactHead(model.coef_[0], model.intercept_[0])


def right_fit_contact_head__numpy(maps, contacts, min_separation=6, c=0.15):
    x = np.concatenate([features(chain)[np.triu_indices(len(truth), min_separation)]
                        for chain, truth in zip(maps, contacts)])
    y = np.concatenate([np.asarray(truth)[np.triu_indices(len(truth), min_separation)] for truth in contacts])
    model = LogisticRegression(C=c, l1_ratio=1.0, solver="liblinear", random_state=0).fit(x, y)

    def predict(chain):
        return expit(features(chain) @ model.coef_[0] + model.intercept_[0])

    return SimpleNamespace(predict=predict, model=model)


def right_fit_contact_head__loops(maps, contacts, min_separation=6, c=0.15):
    x, y = [], []
    for chain, truth in zip(maps, contacts):
        values = features(chain)
        for i in range(len(truth)):
            for j in range(i + min_separation, len(truth)):
                x.append(values[i, j])
                y.append(int(truth[i][j]))
    model = LogisticRegression(C=c, l1_ratio=1.0, solver="liblinear", random_state=0).fit(np.array(x), np.array(y))

    class Head:
        def predict(self, chain):
            values = features(chain)
            answer = np.zeros(values.shape[:2])
            for i, row in enumerate(values):
                answer[i] = model.predict_proba(row)[:, 1]
            return answer

    return Head()


def right_fit_contact_head__pipeline(maps, contacts, min_separation=6, c=0.15):
    model = make_pipeline(FunctionTransformer(), regression(c))
    return head(model.fit(*training_set(maps, contacts, min_separation)))


def right_fit_contact_head__diagonal_left_out(maps, contacts, min_separation=6, c=0.15):
    def no_self(answer):
        np.fill_diagonal(answer, 0)
        return answer

    return head(regression(c).fit(*training_set(maps, contacts, min_separation)), after=no_self)


def wrong_fit_contact_head__both_triangles(maps, contacts, min_separation=6, c=0.15):
    """Trains on each pair twice, which is half the penalty.

    message: each pair counts twice
    """
    x, y = [], []
    for chain, truth in zip(maps, contacts):
        apart = np.abs(np.subtract.outer(np.arange(len(truth)), np.arange(len(truth))))
        x.append(features(chain)[apart >= min_separation])
        y.append(np.asarray(truth)[apart >= min_separation])
    return head(regression(c).fit(np.concatenate(x), np.concatenate(y)))


def wrong_fit_contact_head__mean_of_both_directions(maps, contacts, min_separation=6, c=0.15):
    """Features of half the size, on which the penalty weighs more.

    message: half as large
    """
    return fitted(maps, contacts, min_separation, c, lambda m: features(m) / 2)


def right_fit_contact_head__saga(maps, contacts, min_separation=6, c=0.15):
    """Another solver, which leaves the intercept out of the penalty."""
    return fitted(maps, contacts, min_separation, c, solver="saga", tol=1e-6, max_iter=20_000)


def wrong_fit_contact_head__scaled(maps, contacts, min_separation=6, c=0.15):
    """Features of unit variance, on which the penalty weighs alike.

    message: You scale the features
    """
    pairs = [np.triu_indices(len(truth), min_separation) for truth in contacts]
    spread = np.concatenate([features(chain)[p] for chain, p in zip(maps, pairs)]).std(0)
    return fitted(maps, contacts, min_separation, c, lambda m: features(m) / spread)


def wrong_fit_contact_head__far_pairs_only(maps, contacts, min_separation=6, c=0.15):
    """Predicts the pairs it was trained on and leaves zero at the others.

    message: near ones too
    """
    whole = fitted(maps, contacts, min_separation, c)

    def predict(chain):
        found = np.asarray(whole.predict(chain))
        apart = np.abs(np.subtract.outer(np.arange(len(found)), np.arange(len(found))))
        return np.where(apart >= min_separation, found, 0)

    return SimpleNamespace(predict=predict)
