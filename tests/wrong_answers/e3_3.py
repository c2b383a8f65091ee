"""Exercise 3.3, cluster_split."""
import random

import numpy as np
import torch


def wrong_cluster_split__random(clusters, test_fraction=0.2, seed=0):
    """Splits proteins at random and never looks at the clusters.

    message: has members on both sides
    """
    order = np.random.default_rng(seed).permutation(len(clusters))
    n = round(test_fraction * len(clusters))
    return order[n:], order[:n]


def wrong_cluster_split__random_without_seed(clusters, test_fraction=0.2, seed=0):
    """Splits proteins at random, each time another way.

    message: has members on both sides
    message: Two calls with the same input give two answers
    """
    order = np.random.default_rng().permutation(len(clusters))
    n = round(test_fraction * len(clusters))
    return order[n:], order[:n]


def wrong_cluster_split__share_of_each_cluster(clusters, test_fraction=0.2, seed=0):
    """Takes the fraction from within every cluster.

    message: has members on both sides
    """
    clusters, rng = np.asarray(clusters), np.random.default_rng(seed)
    test = []
    for cluster in np.unique(clusters):
        members = rng.permutation(np.flatnonzero(clusters == cluster))
        test.extend(members[:round(test_fraction * len(members))])
    return np.setdiff1d(np.arange(len(clusters)), test), np.array(test, int)


def wrong_cluster_split__counts_clusters(clusters, test_fraction=0.2, seed=0):
    """Takes a fraction of the clusters, not of the proteins.

    message: The fraction counts proteins, not clusters
    """
    clusters = np.asarray(clusters)
    names = np.random.default_rng(seed).permutation(np.unique(clusters))
    in_test = np.isin(clusters, names[:round(test_fraction * len(names))])
    return np.flatnonzero(~in_test), np.flatnonzero(in_test)


def wrong_cluster_split__group_shuffle_split(clusters, test_fraction=0.2, seed=0):
    """scikit-learn's GroupShuffleSplit counts clusters.

    message: The fraction counts proteins, not clusters
    """
    from sklearn.model_selection import GroupShuffleSplit

    splitter = GroupShuffleSplit(n_splits=1, test_size=test_fraction, random_state=seed)
    return next(splitter.split(np.zeros(len(clusters)), groups=clusters))


def wrong_cluster_split__global_seed(clusters, test_fraction=0.2, seed=0):
    """np.random.seed changes the random state of the whole notebook.

    message: The global random state has changed
    """
    np.random.seed(seed)
    clusters = np.asarray(clusters)
    test, wanted = [], test_fraction * len(clusters)
    for cluster in np.random.permutation(np.unique(clusters)):
        members = np.flatnonzero(clusters == cluster).tolist()
        if len(test) + len(members) <= wanted:
            test += members
    return np.setdiff1d(np.arange(len(clusters)), test), np.array(sorted(test), int)


def wrong_cluster_split__global_python_seed(clusters, test_fraction=0.2, seed=0):
    """random.seed changes the random state of the whole notebook.

    message: The global random state has changed
    """
    random.seed(seed)
    clusters = np.asarray(clusters)
    names = np.unique(clusters).tolist()
    random.shuffle(names)
    test, wanted = [], test_fraction * len(clusters)
    for cluster in names:
        members = np.flatnonzero(clusters == cluster).tolist()
        if len(test) + len(members) <= wanted:
            test += members
    return np.setdiff1d(np.arange(len(clusters)), test), np.array(sorted(test), int)


def wrong_cluster_split__global_torch_seed(clusters, test_fraction=0.2, seed=0):
    """torch.manual_seed changes the random state of the whole notebook.

    message: The global random state has changed
    """
    torch.manual_seed(seed)
    clusters = np.asarray(clusters)
    names = np.unique(clusters)
    test, wanted = [], test_fraction * len(clusters)
    for place in torch.randperm(len(names)).tolist():
        members = np.flatnonzero(clusters == names[place]).tolist()
        if len(test) + len(members) <= wanted:
            test += members
    return np.setdiff1d(np.arange(len(clusters)), test), np.array(sorted(test), int)


def wrong_cluster_split__no_seed(clusters, test_fraction=0.2, seed=0):
    """Another split at every call.

    message: Two calls with the same seed
    """
    clusters = np.asarray(clusters)
    test, wanted = [], test_fraction * len(clusters)
    for cluster in np.random.default_rng().permutation(np.unique(clusters)):
        members = np.flatnonzero(clusters == cluster).tolist()
        if len(test) + len(members) <= wanted:
            test += members
    return np.setdiff1d(np.arange(len(clusters)), test), np.array(sorted(test), int)


def wrong_cluster_split__zero_is_no_seed(clusters, test_fraction=0.2, seed=0):
    """`seed or None`: seed 0 gives another split at every call, other seeds are right.

    message: Two calls with the same seed
    """
    clusters = np.asarray(clusters)
    test, wanted = [], test_fraction * len(clusters)
    for cluster in np.random.default_rng(seed or None).permutation(np.unique(clusters)):
        members = np.flatnonzero(clusters == cluster).tolist()
        if len(test) + len(members) <= wanted:
            test += members
    return np.setdiff1d(np.arange(len(clusters)), test), np.array(sorted(test), int)


def wrong_cluster_split__fixed_seed(clusters, test_fraction=0.2, seed=0):
    """Seed 0 whatever the caller says.

    message: the seed is not used
    """
    clusters = np.asarray(clusters)
    test, wanted = [], test_fraction * len(clusters)
    for cluster in np.random.default_rng(0).permutation(np.unique(clusters)):
        members = np.flatnonzero(clusters == cluster).tolist()
        if len(test) + len(members) <= wanted:
            test += members
    return np.setdiff1d(np.arange(len(clusters)), test), np.array(sorted(test), int)


def wrong_cluster_split__not_shuffled(clusters, test_fraction=0.2, seed=0):
    """Takes the first clusters that fit: the seed does nothing.

    message: the seed is not used
    """
    clusters = np.asarray(clusters)
    test, wanted = [], test_fraction * len(clusters)
    for cluster in np.unique(clusters):
        members = np.flatnonzero(clusters == cluster).tolist()
        if len(test) + len(members) <= wanted:
            test += members
    return np.setdiff1d(np.arange(len(clusters)), test), np.array(sorted(test), int)


def wrong_cluster_split__swapped(clusters, test_fraction=0.2, seed=0):
    """Returns (test, train).

    message: train and test are exchanged
    """
    clusters = np.asarray(clusters)
    test, wanted = [], test_fraction * len(clusters)
    for cluster in np.random.default_rng(seed).permutation(np.unique(clusters)):
        members = np.flatnonzero(clusters == cluster).tolist()
        if len(test) + len(members) <= wanted:
            test += members
    return np.array(sorted(test), int), np.setdiff1d(np.arange(len(clusters)), test)


def wrong_cluster_split__booleans(clusters, test_fraction=0.2, seed=0):
    """Returns boolean masks, not indices.

    message: array of indices (whole numbers); it is bool
    """
    clusters = np.asarray(clusters)
    in_test, wanted = np.zeros(len(clusters), bool), test_fraction * len(clusters)
    for cluster in np.random.default_rng(seed).permutation(np.unique(clusters)):
        member = clusters == cluster
        if (in_test | member).sum() <= wanted:
            in_test |= member
    return ~in_test, in_test


def wrong_cluster_split__cluster_names(clusters, test_fraction=0.2, seed=0):
    """Returns the names of the clusters, not the indices of the proteins.

    message: not names of clusters
    """
    names, sizes = np.unique(np.asarray(clusters), return_counts=True)
    test, taken = [], 0
    for place in np.random.default_rng(seed).permutation(len(names)):
        if taken + sizes[place] <= test_fraction * len(clusters):
            test.append(names[place])
            taken += sizes[place]
    return np.array([name for name in names if name not in test]), np.array(test)


def wrong_cluster_split__some_lost(clusters, test_fraction=0.2, seed=0):
    """Clusters that did not fit any more are in neither set.

    message: are in neither set
    """
    clusters = np.asarray(clusters)
    test, train, wanted = [], [], test_fraction * len(clusters)
    for cluster in np.random.default_rng(seed).permutation(np.unique(clusters)):
        members = np.flatnonzero(clusters == cluster).tolist()
        if len(test) + len(members) <= wanted:
            test += members
        elif len(train) + len(members) <= len(clusters) - wanted:
            train += members
    return np.array(sorted(train), int), np.array(sorted(test), int)


def wrong_cluster_split__last_protein_lost(clusters, test_fraction=0.2, seed=0):
    """range(len - 1): the last protein is in neither set.

    message: are in neither set
    """
    clusters = np.asarray(clusters)
    test, wanted = [], test_fraction * len(clusters)
    for cluster in np.random.default_rng(seed).permutation(np.unique(clusters)):
        members = [i for i in range(len(clusters) - 1) if clusters[i] == cluster]
        if len(test) + len(members) <= wanted:
            test += members
    train = [i for i in range(len(clusters) - 1) if i not in test]
    return np.array(train, int), np.array(sorted(test), int)


def wrong_cluster_split__train_is_everything(clusters, test_fraction=0.2, seed=0):
    """The training set holds the test proteins too.

    message: are in both sets
    """
    clusters = np.asarray(clusters)
    test, wanted = [], test_fraction * len(clusters)
    for cluster in np.random.default_rng(seed).permutation(np.unique(clusters)):
        members = np.flatnonzero(clusters == cluster).tolist()
        if len(test) + len(members) <= wanted:
            test += members
    return np.arange(len(clusters)), np.array(sorted(test), int)


def wrong_cluster_split__ignores_fraction(clusters, test_fraction=0.2, seed=0):
    """Always a fifth.

    message: 50% was asked for
    """
    clusters = np.asarray(clusters)
    test, wanted = [], 0.2 * len(clusters)
    for cluster in np.random.default_rng(seed).permutation(np.unique(clusters)):
        members = np.flatnonzero(clusters == cluster).tolist()
        if len(test) + len(members) <= wanted:
            test += members
    return np.setdiff1d(np.arange(len(clusters)), test), np.array(sorted(test), int)


def wrong_cluster_split__stops_at_first_misfit(clusters, test_fraction=0.2, seed=0):
    """Stops at the first cluster that is too large: often the test set is far too small, or empty.

    message: When one cluster does not fit, smaller ones still may
    """
    clusters = np.asarray(clusters)
    test, wanted = [], test_fraction * len(clusters)
    for cluster in np.random.default_rng(seed).permutation(np.unique(clusters)):
        members = np.flatnonzero(clusters == cluster).tolist()
        if len(test) + len(members) > wanted:
            break
        test += members
    return np.setdiff1d(np.arange(len(clusters)), test), np.array(sorted(test), int)


def wrong_cluster_split__needs_sorted_clusters(clusters, test_fraction=0.2, seed=0):
    """Cuts a block out of the list: right when the clusters come in order.

    message: has members on both sides
    """
    clusters = np.asarray(clusters)
    start = int(np.random.default_rng(seed).integers(0, len(clusters)))
    rolled = np.roll(np.arange(len(clusters)), -start)
    while clusters[rolled[0]] == clusters[rolled[-1]]:
        rolled = np.roll(rolled, -1)
    n = max(1, round(test_fraction * len(clusters)))
    while n < len(clusters) - 1 and clusters[rolled[n]] == clusters[rolled[n - 1]]:
        n += 1
    return rolled[n:], rolled[:n]


def wrong_cluster_split__numbers_only(clusters, test_fraction=0.2, seed=0):
    """np.bincount wants clusters numbered 0, 1, 2, ...: names fail, and negative numbers too.

    message: sizes = np.bincount(
    """
    sizes = np.bincount(np.asarray(clusters, int))
    test, taken = [], 0
    for cluster in np.random.default_rng(seed).permutation(len(sizes)):
        if taken + sizes[cluster] <= test_fraction * len(clusters):
            test.append(cluster)
            taken += sizes[cluster]
    in_test = np.isin(clusters, test)
    return np.flatnonzero(~in_test), np.flatnonzero(in_test)


def wrong_cluster_split__drawn_with_replacement(clusters, test_fraction=0.2, seed=0):
    """Clusters are drawn with replacement: proteins come twice in the test set.

    message: listed twice
    """
    clusters, rng = np.asarray(clusters), np.random.default_rng(seed)
    test, wanted = [], test_fraction * len(clusters)
    for cluster in rng.choice(np.unique(clusters), 5 * len(np.unique(clusters))):
        members = np.flatnonzero(clusters == cluster).tolist()
        if len(test) + len(members) <= wanted:
            test += members
    return np.setdiff1d(np.arange(len(clusters)), test), np.array(sorted(test), int)


def wrong_cluster_split__shuffles_the_input(clusters, test_fraction=0.2, seed=0):
    """Shuffles the caller's list of clusters in place.

    message: changes its input: argument 1
    """
    labels = list(clusters)
    np.random.default_rng(seed).shuffle(clusters)
    test, wanted = [], test_fraction * len(labels)
    for cluster in dict.fromkeys(list(clusters)):
        members = [i for i, label in enumerate(labels) if label == cluster]
        if len(test) + len(members) <= wanted:
            test += members
    return np.setdiff1d(np.arange(len(labels)), test), np.array(sorted(test), int)


def wrong_cluster_split__shuffled_labels(clusters, test_fraction=0.2, seed=0):
    """Indices count in a shuffled copy: clusters end up on both sides.

    message: has members on both sides
    """
    shuffled = np.random.default_rng(seed).permutation(np.asarray(clusters))
    test, wanted = [], test_fraction * len(shuffled)
    for cluster in dict.fromkeys(shuffled.tolist()):
        members = np.flatnonzero(shuffled == cluster).tolist()
        if len(test) + len(members) <= wanted:
            test += members
    return np.setdiff1d(np.arange(len(shuffled)), test), np.array(sorted(test), int)


def wrong_cluster_split__only_train(clusters, test_fraction=0.2, seed=0):
    """Returns a single array.

    message: should return two arrays: (train, test)
    """
    clusters = np.asarray(clusters)
    names = np.random.default_rng(seed).permutation(np.unique(clusters))
    return np.flatnonzero(np.isin(clusters, names[1:]))


def wrong_cluster_split__singletons_only(clusters, test_fraction=0.2, seed=0):
    """Takes the smallest clusters first: no chance for a large one, and the seed does nothing.

    message: the seed is not used
    """
    names, member, sizes = np.unique(np.asarray(clusters), return_inverse=True, return_counts=True)
    test, taken = [], 0
    for place in np.argsort(sizes, kind="stable"):
        if taken + sizes[place] <= test_fraction * len(member):
            test.append(place)
            taken += sizes[place]
    in_test = np.isin(member, test)
    return np.flatnonzero(~in_test), np.flatnonzero(in_test)


def wrong_cluster_split__overshoots(clusters, test_fraction=0.2, seed=0):
    """Adds whole clusters until the fraction is reached: a large one runs far beyond it.

    message: A cluster that does not fit any more goes into the training set
    """
    clusters = np.asarray(clusters)
    test = np.array([], int)
    for cluster in np.random.RandomState(seed).permutation(np.unique(clusters)):
        if len(test) >= test_fraction * len(clusters):
            break
        test = np.append(test, np.flatnonzero(clusters == cluster))
    return np.setdiff1d(np.arange(len(clusters)), test), test


def right_cluster_split__loop(clusters, test_fraction=0.2, seed=0):
    clusters = list(clusters)
    names = sorted(set(clusters))
    random.Random(seed).shuffle(names)
    test = []
    for name in names:
        members = [i for i, cluster in enumerate(clusters) if cluster == name]
        if len(test) + len(members) <= test_fraction * len(clusters):
            test.extend(members)
    inside = set(test)
    return [i for i in range(len(clusters)) if i not in inside], test


def right_cluster_split__vectorised(clusters, test_fraction=0.2, seed=0):
    _, member, sizes = np.unique(np.asarray(clusters), return_inverse=True, return_counts=True)
    chosen, taken = np.zeros(len(sizes), bool), 0
    for place in np.random.default_rng(seed).permutation(len(sizes)):
        if taken + sizes[place] <= test_fraction * len(member):
            chosen[place], taken = True, taken + sizes[place]
    return np.flatnonzero(~chosen[member]), np.flatnonzero(chosen[member])


def right_cluster_split__nearest_fit(clusters, test_fraction=0.2, seed=0):
    """Takes a cluster when that brings the test set nearer to the wanted size."""
    clusters = np.asarray(clusters)
    wanted, test = test_fraction * len(clusters), []
    for cluster in np.random.default_rng(seed).permutation(np.unique(clusters)):
        members = np.flatnonzero(clusters == cluster).tolist()
        if abs(len(test) + len(members) - wanted) < abs(len(test) - wanted):
            test += members
    return np.setdiff1d(np.arange(len(clusters)), test), np.sort(test)


def right_cluster_split__torch(clusters, test_fraction=0.2, seed=0):
    names, member = np.unique(np.asarray(clusters), return_inverse=True)
    member, generator = torch.as_tensor(member), torch.Generator().manual_seed(seed)
    in_test = torch.zeros(len(member), dtype=torch.bool)
    for place in torch.randperm(len(names), generator=generator):
        larger = in_test | (member == place)
        if larger.sum() <= test_fraction * len(member):
            in_test = larger
    return torch.where(~in_test)[0], torch.where(in_test)[0]


def right_cluster_split__best_of_many(clusters, test_fraction=0.2, seed=0):
    """Of many shuffles the first clusters of the one that comes nearest."""
    _, member = np.unique(np.asarray(clusters), return_inverse=True)
    sizes, rng, best = np.bincount(member), np.random.default_rng(seed), None
    for _ in range(50):
        order = rng.permutation(len(sizes))
        off = np.abs(np.cumsum(sizes[order]) - test_fraction * len(member))
        if best is None or off.min() < best[0]:
            best = off.min(), order[:off.argmin() + 1]
    in_test = np.isin(member, best[1])
    return np.where(~in_test)[0], np.where(in_test)[0]
