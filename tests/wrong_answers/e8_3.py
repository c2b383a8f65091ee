"""Exercise 8.3, precision_at_l."""
import heapq
import math

import numpy as np
import pandas as pd
import torch


def allowed(scores, contacts, least=6, most=None):
    """Scores and contacts of the pairs i < j in the order (i, j), and the length."""
    scores, contacts = np.asarray(scores), np.asarray(contacts).astype(bool)
    i, j = np.triu_indices(len(scores), least)
    keep = j - i <= (len(scores) if most is None else most)
    return scores[i, j][keep], contacts[i, j][keep], len(scores)


def share(scores, contacts, count):
    """The share of contacts among the ``count`` best pairs, ties in the order given."""
    return float(contacts[np.argsort(-scores, kind="stable")[:count]].mean())


def wrong_precision_at_l__neighbours_count(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """Takes all pairs i < j: neighbours in sequence are nearly always contacts.

    message: neighbour
    message: min_separation
    """
    scores, contacts, length = allowed(scores, contacts, 1, max_separation)
    return share(scores, contacts, max(1, int(fraction * length)))


def wrong_precision_at_l__diagonal_counts(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """Takes all pairs i <= j, each residue with itself as well.

    message: diagonal
    message: itself
    message: min_separation
    """
    scores, contacts, length = allowed(scores, contacts, 0, max_separation)
    return share(scores, contacts, max(1, int(fraction * length)))


def wrong_precision_at_l__always_six(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """A 6 in the code instead of the argument: right by default.

    message: min_separation
    """
    scores, contacts, length = allowed(scores, contacts, 6, max_separation)
    return share(scores, contacts, max(1, int(fraction * length)))


def wrong_precision_at_l__above_the_least(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """> instead of >=: pairs at exactly the least separation are lost.

    message: exactly min_separation
    message: min_separation
    message: >=
    """
    scores, contacts, length = allowed(scores, contacts, min_separation + 1, max_separation)
    return share(scores, contacts, max(1, int(fraction * length)))


def wrong_precision_at_l__below_the_most(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """< instead of <=: pairs at exactly the largest separation are lost.

    message: exactly max_separation
    message: max_separation
    message: <=
    """
    most = None if max_separation is None else max_separation - 1
    scores, contacts, length = allowed(scores, contacts, min_separation, most)
    return share(scores, contacts, max(1, int(fraction * length)))


def wrong_precision_at_l__most_ignored(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """Never looks at max_separation.

    message: max_separation
    """
    scores, contacts, length = allowed(scores, contacts, min_separation)
    return share(scores, contacts, max(1, int(fraction * length)))


def wrong_precision_at_l__needs_a_most(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """Compares with None when no largest separation is given.

    message: None
    message: TypeError
    """
    scores, contacts, length = np.asarray(scores), np.asarray(contacts), len(scores)
    pairs = [(i, j) for i in range(length) for j in range(i, length) if min_separation <= j - i <= max_separation]
    best = sorted(pairs, key=lambda pair: -scores[pair])[:max(1, int(fraction * length))]
    return float(np.mean([contacts[pair] for pair in best]))


def wrong_precision_at_l__both_triangles(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """Takes (i, j) and (j, i) for two pairs: L entries are L/2 pairs.

    message: twice
    message: both
    message: triangle
    """
    scores, contacts, length = np.asarray(scores), np.asarray(contacts), len(scores)
    apart = np.abs(np.subtract.outer(np.arange(length), np.arange(length)))
    keep = (apart >= min_separation) & (apart <= (length if max_separation is None else max_separation))
    return share(scores[keep], contacts[keep], max(1, int(fraction * length)))


def wrong_precision_at_l__lower_triangle(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """Reads the scores below the diagonal: another order of ties, and other scores if they are not symmetric.

    message: lower
    message: i < j
    message: ties
    """
    scores, contacts, length = np.asarray(scores), np.asarray(contacts), len(scores)
    i, j = np.tril_indices(length, -min_separation)
    keep = i - j <= (length if max_separation is None else max_separation)
    i, j = i[keep], j[keep]
    return share(scores[i, j], contacts[i, j], max(1, int(fraction * length)))


def wrong_precision_at_l__as_many_as_contacts(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """Takes as many pairs as there are contacts instead of as many as residues.

    message: number of contacts
    message: as many
    """
    scores, contacts, _ = allowed(scores, contacts, min_separation, max_separation)
    return share(scores, contacts, max(1, int(fraction * contacts.sum())))


def wrong_precision_at_l__fraction_of_the_pairs(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """Takes the fraction of all pairs instead of the length.

    message: all pairs
    message: number of pairs
    """
    scores, contacts, _ = allowed(scores, contacts, min_separation, max_separation)
    return share(scores, contacts, max(1, int(fraction * len(scores))))


def wrong_precision_at_l__shortened_length(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """Takes the length less the separation, the number of residues that have a partner to the right.

    message: length
    """
    scores, contacts, length = allowed(scores, contacts, min_separation, max_separation)
    return share(scores, contacts, max(1, int(fraction * (length - min_separation))))


def wrong_precision_at_l__fraction_ignored(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """Always the L best pairs.

    message: fraction
    """
    scores, contacts, length = allowed(scores, contacts, min_separation, max_separation)
    return share(scores, contacts, length)


def wrong_precision_at_l__divides_by_fraction(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """L divided by the fraction, as if 5 were asked for in place of 0.2.

    message: fraction
    """
    scores, contacts, length = allowed(scores, contacts, min_separation, max_separation)
    return share(scores, contacts, max(1, int(length / fraction)))


def wrong_precision_at_l__rounds(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """Rounds to the nearest number instead of down.

    message: round
    message: floor
    """
    scores, contacts, length = allowed(scores, contacts, min_separation, max_separation)
    return share(scores, contacts, max(1, round(fraction * length)))


def wrong_precision_at_l__rounds_up(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """Rounds up instead of down.

    message: round
    message: ceil
    message: floor
    """
    scores, contacts, length = allowed(scores, contacts, min_separation, max_separation)
    return share(scores, contacts, max(1, math.ceil(fraction * length)))


def wrong_precision_at_l__no_pair(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """A small fraction of a short chain gives no pair, and the mean of nothing divides by zero.

    message: at least one
    message: ZeroDivisionError
    """
    scores, contacts, length = allowed(scores, contacts, min_separation, max_separation)
    best = contacts[np.argsort(-scores, kind="stable")][:int(fraction * length)]
    return sum(best.tolist()) / len(best)


def wrong_precision_at_l__zero_without_pair(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """A small fraction of a short chain gives no pair, and precision 0.

    message: at least one
    message: short
    """
    scores, contacts, length = allowed(scores, contacts, min_separation, max_separation)
    count = int(fraction * length)
    return share(scores, contacts, count) if count else 0.0


def wrong_precision_at_l__divides_by_k(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """Divides by k even where a short chain has fewer pairs.

    message: fewer
    message: divide
    """
    scores, contacts, length = allowed(scores, contacts, min_separation, max_separation)
    count = max(1, int(fraction * length))
    return float(contacts[np.argsort(-scores, kind="stable")[:count]].sum() / count)


def wrong_precision_at_l__always_divides_by_length(scores, contacts, min_separation=6, max_separation=None,
                                                   fraction=1.0):
    """Takes the right pairs but divides by L whatever the fraction.

    message: divide
    message: fraction
    """
    scores, contacts, length = allowed(scores, contacts, min_separation, max_separation)
    best = np.argsort(-scores, kind="stable")[:max(1, int(fraction * length))]
    return float(contacts[best].sum() / length)


def wrong_precision_at_l__hidden_pairs_come_in(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """Gives pairs outside the separations -inf: a short chain has too few others, and they are chosen all the same.

    message: fewer
    message: outside
    """
    scores, contacts = torch.as_tensor(scores).double(), torch.as_tensor(contacts)
    length = len(scores)
    apart = torch.arange(length)[None] - torch.arange(length)[:, None]
    out = (apart < min_separation) | (apart > (length if max_separation is None else max_separation))
    best = scores.masked_fill(out, -math.inf).flatten().argsort(descending=True, stable=True)
    return float(contacts.flatten()[best[:max(1, int(fraction * length))]].double().mean())


def wrong_precision_at_l__ties_from_the_end(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """Turns an ascending order round: of equal scores, the last pair comes first.

    message: ties
    message: equal scores
    """
    scores, contacts, length = allowed(scores, contacts, min_separation, max_separation)
    best = np.argsort(scores, kind="stable")[::-1][:max(1, int(fraction * length))]
    return float(contacts[best].mean())


def wrong_precision_at_l__ties_by_j(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """The outer loop runs over j, so that ties are broken by (j, i).

    message: ties
    message: equal scores
    """
    scores, contacts, length = np.asarray(scores), np.asarray(contacts), len(scores)
    most = length if max_separation is None else max_separation
    pairs = [(i, j) for j in range(length) for i in range(j) if min_separation <= j - i <= most]
    best = sorted(pairs, key=lambda pair: scores[pair], reverse=True)[:max(1, int(fraction * length))]
    return float(np.mean([contacts[pair] for pair in best]))


def wrong_precision_at_l__ties_by_separation(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """Goes diagonal by diagonal, so that of equal scores the closer pair comes first.

    message: ties
    message: equal scores
    """
    scores, contacts, length = np.asarray(scores), np.asarray(contacts), len(scores)
    apart = range(min_separation, length if max_separation is None else min(length, max_separation + 1))
    values, truth = (np.concatenate([np.diagonal(of, d) for d in apart]) for of in (scores, contacts))
    return share(values, truth, max(1, int(fraction * length)))


def wrong_precision_at_l__contacts_win_ties(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """Sorts pairs of (score, contact): of equal scores the contact comes first, which flatters a constant.

    message: ties
    message: equal scores
    """
    scores, contacts, length = allowed(scores, contacts, min_separation, max_separation)
    best = sorted(zip(scores.tolist(), contacts.tolist()), reverse=True)[:max(1, int(fraction * length))]
    return sum(contact for _, contact in best) / len(best)


def wrong_precision_at_l__ascending(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """Takes the smallest scores, as if they were distances.

    message: smallest
    message: lowest
    message: worst
    """
    scores, contacts, length = allowed(scores, contacts, min_separation, max_separation)
    return share(-scores, contacts, max(1, int(fraction * length)))


def wrong_precision_at_l__absolute_values(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """Strongly negative scores count as strong.

    message: negative
    message: absolute
    """
    scores, contacts, length = allowed(scores, contacts, min_separation, max_separation)
    return share(np.abs(scores), contacts, max(1, int(fraction * length)))


def wrong_precision_at_l__recall(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """Divides by the number of contacts: the share of contacts found.

    message: recall
    """
    scores, contacts, length = allowed(scores, contacts, min_separation, max_separation)
    best = np.argsort(-scores, kind="stable")[:max(1, int(fraction * length))]
    return float(contacts[best].sum() / max(1, contacts.sum()))


def wrong_precision_at_l__threshold(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """Precision of all pairs above 0.5: none are among APC-corrected attention.

    message: threshold
    message: 0.5
    """
    scores, contacts, _ = allowed(scores, contacts, min_separation, max_separation)
    return float(contacts[scores > 0.5].mean()) if (scores > 0.5).any() else 0.0


def wrong_precision_at_l__accuracy(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """The share of pairs rightly called, non-contacts included: high for any sparse map.

    message: accuracy
    message: non-contacts
    """
    scores, contacts, length = allowed(scores, contacts, min_separation, max_separation)
    called = np.zeros_like(contacts)
    called[np.argsort(-scores, kind="stable")[:max(1, int(fraction * length))]] = True
    return float((called == contacts).mean())


def wrong_precision_at_l__share_of_all_pairs(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """The share of contacts among all allowed pairs: no score enters.

    message: all pairs
    message: scores
    """
    _, contacts, _ = allowed(scores, contacts, min_separation, max_separation)
    return float(contacts.mean())


def wrong_precision_at_l__percent(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """Returns percent.

    message: percent
    message: between 0 and 1
    """
    scores, contacts, length = allowed(scores, contacts, min_separation, max_separation)
    return 100 * share(scores, contacts, max(1, int(fraction * length)))


def wrong_precision_at_l__number_of_hits(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """Returns how many of the best pairs are contacts, not their share.

    message: number of
    message: divide
    """
    scores, contacts, length = allowed(scores, contacts, min_separation, max_separation)
    return float(contacts[np.argsort(-scores, kind="stable")[:max(1, int(fraction * length))]].sum())


def wrong_precision_at_l__best_of_each_residue(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """One pair per residue: the best partner to its right.

    message: each residue
    message: per residue
    message: best pairs
    """
    scores, contacts, length = np.asarray(scores), np.asarray(contacts), len(scores)
    most = length if max_separation is None else max_separation
    rows = [range(i + min_separation, min(length, i + most + 1)) for i in range(length)]
    best = [(i, max(row, key=lambda j, i=i: scores[i, j])) for i, row in enumerate(rows) if len(row)]
    best = sorted(best, key=lambda pair: -scores[pair])[:max(1, int(fraction * length))]
    return float(np.mean([contacts[pair] for pair in best]))


def wrong_precision_at_l__separation_after_choice(scores, contacts, min_separation=6, max_separation=None,
                                                  fraction=1.0):
    """Takes the k best of all pairs and then throws the close ones away: fewer than k are left.

    message: before
    message: first
    message: min_separation
    """
    scores, contacts, length = np.asarray(scores), np.asarray(contacts), len(scores)
    i, j = np.triu_indices(length, 1)
    best = np.argsort(-scores[i, j], kind="stable")[:max(1, int(fraction * length))]
    i, j = i[best], j[best]
    keep = (j - i >= min_separation) & (j - i <= (length if max_separation is None else max_separation))
    return float(contacts[i, j][keep].mean()) if keep.any() else 0.0


def wrong_precision_at_l__returns_a_tensor(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """A tensor of shape [1] instead of a number.

    message: float
    message: a number
    """
    scores, contacts, length = allowed(scores, contacts, min_separation, max_separation)
    return torch.tensor([share(scores, contacts, max(1, int(fraction * length)))])


def wrong_precision_at_l__marks_chosen_pairs(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """Sets each chosen score to -inf in the caller's own matrix, to find the next best.

    message: changes its input
    """
    _, _, length = allowed(scores, contacts)
    most, hits = length if max_separation is None else max_separation, []
    pairs = [(i, j) for i in range(length) for j in range(i + 1, length) if min_separation <= j - i <= most]
    for _ in range(min(max(1, int(fraction * length)), len(pairs))):
        best = max(pairs, key=lambda pair: float(scores[pair]))
        hits.append(bool(contacts[best]))
        scores[best] = -math.inf
    return float(np.mean(hits))


def wrong_precision_at_l__nothing(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    """Prints instead of returning.

    message: is the line with 'return' missing?
    """
    scores, contacts, length = allowed(scores, contacts, min_separation, max_separation)
    print(share(scores, contacts, max(1, int(fraction * length))))


def right_precision_at_l__loops(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    length, pairs = len(scores), []
    for i in range(length):
        for j in range(i + 1, length):
            if j - i < min_separation or (max_separation is not None and j - i > max_separation):
                continue
            pairs.append((-float(scores[i][j]), i, j))
    chosen = sorted(pairs)[:max(1, math.floor(fraction * length))]
    return sum(bool(contacts[i][j]) for _, i, j in chosen) / len(chosen)


def right_precision_at_l__numpy(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    scores, contacts = np.asarray(scores), np.asarray(contacts)
    length = scores.shape[0]
    i, j = np.triu_indices(length, k=min_separation)
    if max_separation is not None:
        i, j = i[j - i <= max_separation], j[j - i <= max_separation]
    order = np.lexsort((j, i, -scores[i, j]))
    chosen = order[:max(1, int(np.floor(fraction * length)))]
    return contacts[i[chosen], j[chosen]].mean().item()


def right_precision_at_l__torch(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    scores, contacts = torch.as_tensor(scores), torch.as_tensor(contacts)
    apart = torch.arange(scores.shape[0])
    apart = apart[None] - apart[:, None]
    allowed = apart >= min_separation
    if max_separation is not None:
        allowed &= apart <= max_separation
    _, order = scores[allowed].sort(descending=True, stable=True)
    count = min(max(1, int(len(scores) * fraction)), len(order))
    return contacts[allowed][order[:count]].float().mean().item()


def right_precision_at_l__masked_with_infinity(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    scores, contacts = np.array(scores, dtype=float), np.array(contacts, dtype=bool)
    length = len(scores)
    far = np.inf if max_separation is None else max_separation
    i, j = np.indices(scores.shape)
    outside = (j - i < min_separation) | (j - i > far)
    scores[outside] = -np.inf
    count = min(max(1, int(fraction * length)), int((~outside).sum()))
    chosen = np.argsort(-scores, axis=None, kind="stable")[:count]
    return float(contacts.ravel()[chosen].mean())


def right_precision_at_l__pandas(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    scores, contacts = np.asarray(scores), np.asarray(contacts)
    i, j = np.triu_indices(len(scores), 1)
    pairs = pd.DataFrame({"i": i, "j": j, "score": scores[i, j], "contact": contacts[i, j]})
    largest = len(scores) if max_separation is None else max_separation
    pairs = pairs[(pairs.j - pairs.i).between(min_separation, largest)]
    pairs = pairs.sort_values(["score", "i", "j"], ascending=[False, True, True])
    return float(pairs.contact.head(max(1, int(fraction * len(scores)))).mean())


def right_precision_at_l__heap(scores, contacts, min_separation=6, max_separation=None, fraction=1.0):
    length = len(scores)
    last = length - 1 if max_separation is None else max_separation
    pairs = ((i, j) for i in range(length) for j in range(i + min_separation, min(i + last, length - 1) + 1))
    best = heapq.nlargest(max(1, int(fraction * length)), pairs, key=lambda p: (float(scores[p]), -p[0], -p[1]))
    return float(np.mean([bool(contacts[p]) for p in best]))
