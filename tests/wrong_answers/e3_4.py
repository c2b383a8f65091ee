"""Exercise 3.4, nearest_label."""
import numpy as np
import torch
import torch.nn.functional as F


def wrong_nearest_label__dot_product(query, database, labels):
    """Dot product: long vectors win.

    message: scale each row of both matrices to length 1
    """
    return [labels[i] for i in (query @ database.T).argmax(1)]


def wrong_nearest_label__euclidean(query, database, labels):
    """Euclidean distance instead of cosine similarity.

    message: nearest in Euclidean distance
    """
    return [labels[i] for i in torch.cdist(query, database).argmin(1)]


def wrong_nearest_label__farthest(query, database, labels):
    """The least similar entry (argmin).

    message: take the largest cosine
    """
    similarity = F.normalize(query, dim=-1) @ F.normalize(database, dim=-1).T
    return [labels[i] for i in similarity.argmin(1)]


def wrong_nearest_label__indices(query, database, labels):
    """Returns positions in the database instead of labels.

    message: The result holds 0, which is none of the labels
    """
    similarity = F.normalize(query, dim=-1) @ F.normalize(database, dim=-1).T
    return similarity.argmax(1).tolist()


def wrong_nearest_label__similarities(query, database, labels):
    """Returns the similarity instead of the label.

    message: The result holds 1.0, which is none of the labels
    """
    similarity = F.normalize(query, dim=-1) @ F.normalize(database, dim=-1).T
    return similarity.max(1).values.tolist()


def wrong_nearest_label__normalised_over_proteins(query, database, labels):
    """Divides by the norm of each column (dim 0), not of each vector.

    message: scale each row of both matrices to length 1
    """
    similarity = F.normalize(query, dim=0) @ F.normalize(database, dim=0).T
    return [labels[i] for i in similarity.argmax(1)]


def wrong_nearest_label__only_query_normalised(query, database, labels):
    """The database is not normalised, so its long vectors win.

    message: scale each row of both matrices to length 1
    """
    similarity = F.normalize(query, dim=-1) @ database.T
    return [labels[i] for i in similarity.argmax(1)]


def wrong_nearest_label__one_norm_for_all(query, database, labels):
    """Divides by the norm of the whole matrix.

    message: scale each row of both matrices to length 1
    """
    similarity = (query / query.norm()) @ (database / database.norm()).T
    return [labels[i] for i in similarity.argmax(1)]


def wrong_nearest_label__squared_norm(query, database, labels):
    """Divides by the squared length of the vectors.

    message: divide the dot product by the lengths, not by their squares
    """
    similarity = query @ database.T / ((query ** 2).sum(1)[:, None] * (database ** 2).sum(1))
    return [labels[i] for i in similarity.argmax(1)]


def wrong_nearest_label__wrong_axis(query, database, labels):
    """The best query for each database entry.

    message: 3 queries should get 3 labels, not 4
    """
    similarity = F.normalize(query, dim=-1) @ F.normalize(database, dim=-1).T
    return [labels[i] for i in similarity.argmax(0)]


def wrong_nearest_label__first_query_only(query, database, labels):
    """Answers the first query only.

    message: 3 queries should get 3 labels, not 1
    """
    similarity = F.cosine_similarity(query[0], database)
    return [labels[int(similarity.argmax())]]


def wrong_nearest_label__argmax_of_everything(query, database, labels):
    """One argmax over the whole matrix: right for a single query.

    message: All queries get the same label
    """
    similarity = F.normalize(query, dim=-1) @ F.normalize(database, dim=-1).T
    return [labels[int(similarity.argmax()) % len(labels)]] * len(query)


def wrong_nearest_label__majority_of_three(query, database, labels):
    """Three neighbours vote.

    message: no vote among several
    """
    similarity = F.normalize(query, dim=-1) @ F.normalize(database, dim=-1).T
    found = []
    for row in similarity:
        votes = [labels[i] for i in row.argsort(descending=True)[:3]]
        found.append(max(votes, key=votes.count))
    return found


def wrong_nearest_label__skips_itself(query, database, labels):
    """Leaves out the best hit, as if the query were in the database.

    message: leave nothing out
    """
    similarity = F.normalize(query, dim=-1) @ F.normalize(database, dim=-1).T
    return [labels[i] for i in similarity.argsort(1, descending=True)[:, 1]]


def wrong_nearest_label__skips_identical(query, database, labels):
    """Leaves out hits with similarity 1: right unless a query equals an entry.

    message: nothing is left out here
    """
    similarity = F.normalize(query, dim=-1) @ F.normalize(database, dim=-1).T
    return [labels[i] for i in similarity.masked_fill(similarity > 0.9999, -1).argmax(1)]


def wrong_nearest_label__absolute(query, database, labels):
    """The opposite direction counts as similar.

    message: take the largest cosine
    """
    similarity = F.normalize(query, dim=-1) @ F.normalize(database, dim=-1).T
    return [labels[i] for i in similarity.abs().argmax(1)]


def wrong_nearest_label__correlation(query, database, labels):
    """Subtracts each vector's mean first: a correlation, not a cosine.

    message: does not subtract the mean
    """
    similarity = np.corrcoef(np.vstack([query, database]))[:len(query), len(query):]
    return [labels[i] for i in similarity.argmax(1)]


def wrong_nearest_label__mean_of_class(query, database, labels):
    """Compares with the mean vector of each label.

    message: no vote among several
    """
    names = list(dict.fromkeys(labels))
    centres = torch.stack([database[[i for i, label in enumerate(labels) if label == name]].mean(0) for name in names])
    return [names[i] for i in (F.normalize(query, dim=-1) @ F.normalize(centres, dim=-1).T).argmax(1)]


def wrong_nearest_label__mutates(query, database, labels):
    """Normalises the caller's tensors in place.

    message: changes its input: argument 1
    """
    query /= query.norm(dim=1, keepdim=True)
    database /= database.norm(dim=1, keepdim=True)
    return [labels[i] for i in (query @ database.T).argmax(1)]


def wrong_nearest_label__sorted_labels(query, database, labels):
    """Looks the index up in the sorted labels.

    message: neither sorted nor without its repeats
    """
    similarity = F.normalize(query, dim=-1) @ F.normalize(database, dim=-1).T
    return [sorted(labels)[i] for i in similarity.argmax(1)]


def wrong_nearest_label__unique_labels(query, database, labels):
    """Looks the index up in the list of different labels: right when each entry has a label of its own.

    message: neither sorted nor without its repeats
    """
    names = list(dict.fromkeys(labels))
    similarity = F.normalize(query, dim=-1) @ F.normalize(database, dim=-1).T
    return [names[i % len(names)] for i in similarity.argmax(1)]


def wrong_nearest_label__text(query, database, labels):
    """Returns all labels as text: right only when they are strings.

    message: Labels come back as they are
    """
    similarity = F.normalize(query, dim=-1) @ F.normalize(database, dim=-1).T
    return [str(labels[i]) for i in similarity.argmax(1)]


def wrong_nearest_label__set(query, database, labels):
    """Returns the set of labels found.

    message: returned a set; asked for is a list
    """
    similarity = F.normalize(query, dim=-1) @ F.normalize(database, dim=-1).T
    return {labels[i] for i in similarity.argmax(1)}


def wrong_nearest_label__last_query(query, database, labels):
    """The loop returns only the last answer.

    message: returned a str; asked for is a list
    """
    for row in F.normalize(query, dim=-1):
        label = labels[int((F.normalize(database, dim=-1) @ row).argmax())]
    return label


def wrong_nearest_label__nothing(query, database, labels):
    """Forgets the return.

    message: is the line with 'return' missing?
    """
    [labels[i] for i in (F.normalize(query, dim=-1) @ F.normalize(database, dim=-1).T).argmax(1)]


def right_nearest_label__loop(query, database, labels):
    found = []
    for vector in query:
        best, best_similarity = None, -2.0
        for entry, label in zip(database, labels):
            similarity = float(torch.dot(vector, entry) / (vector.norm() * entry.norm()))
            if similarity > best_similarity:
                best, best_similarity = label, similarity
        found.append(best)
    return found


def right_nearest_label__vectorised(query, database, labels):
    similarity = F.normalize(query, dim=-1) @ F.normalize(database, dim=-1).T
    return [labels[i] for i in similarity.argmax(dim=1)]


def right_nearest_label__only_database_normalised(query, database, labels):
    """The length of the query does not change which entry is best."""
    return [labels[i] for i in (query @ F.normalize(database, dim=-1).T).argmax(1).tolist()]


def right_nearest_label__sklearn(query, database, labels):
    from sklearn.metrics.pairwise import cosine_similarity

    return [labels[i] for i in cosine_similarity(query, database).argmax(axis=1)]


def right_nearest_label__scipy(query, database, labels):
    from scipy.spatial.distance import cdist

    return [labels[i] for i in cdist(query, database, "cosine").argmin(1)]


def right_nearest_label__sklearn_neighbours(query, database, labels):
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=1, metric="cosine").fit(np.asarray(database))
    found = search.kneighbors(np.asarray(query), return_distance=False)
    return [labels[i] for i in found[:, 0]]


def right_nearest_label__broadcast(query, database, labels):
    similarity = F.cosine_similarity(query[:, None], database[None], dim=-1)
    return [labels[int(i)] for i in similarity.topk(1).indices[:, 0]]
