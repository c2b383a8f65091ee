"""Exercise 1.4, unigram_perplexity."""
import math
from collections import Counter

import numpy as np
import torch

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"


def _surprises(train, test):
    """-log p of every residue of test, done right."""
    counts = Counter("".join(train).upper())
    total = sum(counts[letter] for letter in AMINO_ACIDS) + 20
    return [-math.log((counts[letter] + 1) / total) for letter in "".join(test).upper()]


def wrong_unigram_perplexity__no_smoothing(train, test):
    """Plain shares: a letter missing in train has probability 0, and log fails.

    message: add-one smoothing
    """
    counts = Counter("".join(train))
    total = sum(counts.values())
    return math.exp(np.mean([-math.log(counts[letter] / total) for letter in "".join(test)]))


def wrong_unigram_perplexity__infinite(train, test):
    """Plain shares in numpy: infinite for a missing letter.

    message: add-one smoothing
    """
    counts = Counter("".join(train))
    total = sum(counts.values())
    with np.errstate(divide="ignore"):
        return float(np.exp(-np.mean(np.log([counts[letter] / total for letter in "".join(test)]))))


def wrong_unigram_perplexity__missing_left_out(train, test):
    """Leaves out letters of test that train lacks.

    message: add-one smoothing
    """
    counts = Counter("".join(train))
    total = sum(counts.values())
    letters = [letter for letter in "".join(test) if counts[letter]]
    return math.exp(-sum(math.log(counts[letter] / total) for letter in letters) / max(1, len(letters)))


def wrong_unigram_perplexity__one_for_the_missing_only(train, test):
    """A count of 1 for missing letters, no smoothing for the others.

    message: add-one smoothing
    """
    counts = Counter("".join(train))
    total = sum(counts.values())
    return math.exp(np.mean([-math.log(max(counts[letter], 1) / total) for letter in "".join(test)]))


def wrong_unigram_perplexity__tiny_pseudocount(train, test):
    """Adds 1e-9 instead of 1.

    message: add-one smoothing
    """
    counts = Counter("".join(train))
    total = sum(counts.values())
    return math.exp(np.mean([-math.log(counts[letter] / total + 1e-9) for letter in "".join(test)]))


def wrong_unigram_perplexity__half_a_count(train, test):
    """Adds a half, as Jeffreys would.

    message: add-one
    message: not the perplexity of test under the letter frequencies of train
    """
    counts = Counter("".join(train))
    total = sum(counts.values()) + 10
    return math.exp(np.mean([-math.log((counts[letter] + 0.5) / total) for letter in "".join(test)]))


def wrong_unigram_perplexity__denominator_forgotten(train, test):
    """Adds one above the line only: the probabilities sum to more than 1.

    message: must add up to 1
    """
    counts = Counter("".join(train))
    total = sum(counts.values())
    return math.exp(np.mean([-math.log((counts[letter] + 1) / total) for letter in "".join(test)]))


def wrong_unigram_perplexity__denominator_plus_one(train, test):
    """Adds 1 below the line instead of 20.

    message: grows by 20
    """
    counts = Counter("".join(train))
    total = sum(counts.values()) + 1
    return math.exp(np.mean([-math.log((counts[letter] + 1) / total) for letter in "".join(test)]))


def wrong_unigram_perplexity__letters_seen(train, test):
    """Smooths over the letters that occur in train, not over 20.

    message: all 20 count
    """
    counts = Counter("".join(train))
    total = sum(counts.values()) + len(counts)
    return math.exp(np.mean([-math.log((counts[letter] + 1) / total) for letter in "".join(test)]))


def wrong_unigram_perplexity__over_26(train, test):
    """Smooths over the 26 letters of the alphabet.

    message: 26 letters
    message: not the perplexity of test under the letter frequencies of train
    """
    counts = Counter("".join(train))
    total = sum(counts.values()) + 26
    return math.exp(np.mean([-math.log((counts[letter] + 1) / total) for letter in "".join(test)]))


def wrong_unigram_perplexity__over_33(train, test):
    """Smooths over the 33 tokens of the model.

    message: 33 tokens
    """
    counts = Counter("".join(train))
    total = sum(counts.values()) + 33
    return math.exp(np.mean([-math.log((counts[letter] + 1) / total) for letter in "".join(test)]))


def wrong_unigram_perplexity__smoothed_shares(train, test):
    """Adds one to the shares, not to the counts.

    message: not the perplexity of test under the letter frequencies of train
    message: to the counts
    """
    counts = Counter("".join(train))
    total = sum(counts.values())
    return math.exp(np.mean([-math.log((counts[letter] / total + 1) / 21) for letter in "".join(test)]))


def wrong_unigram_perplexity__test_frequencies(train, test):
    """Counts in test: the model knows the answers.

    message: counted in test
    """
    return math.exp(np.mean(_surprises(test, test)))


def wrong_unigram_perplexity__train_and_test(train, test):
    """Counts in both.

    message: counted in train and test together
    """
    return math.exp(np.mean(_surprises([*train, *test], test)))


def wrong_unigram_perplexity__measured_on_train(train, test):
    """Measures the surprise on train.

    message: perplexity of `train` itself
    """
    return math.exp(np.mean(_surprises(train, train)))


def wrong_unigram_perplexity__arguments_turned_round(train, test):
    """Counts in test, measures on train.

    message: Train and test are exchanged
    """
    return math.exp(np.mean(_surprises(test, train)))


def wrong_unigram_perplexity__entropy(train, test):
    """exp of the entropy of the shares in train: test is never looked at.

    message: entropy
    message: not the perplexity of test under the letter frequencies of train
    """
    counts = Counter("".join(train))
    total = sum(counts.values()) + 20
    shares = [(counts[letter] + 1) / total for letter in AMINO_ACIDS]
    return math.exp(-sum(p * math.log(p) for p in shares))


def wrong_unigram_perplexity__mean_over_letters(train, test):
    """Averages over the 20 letters, not over the residues of test.

    message: average over the 20 letters
    """
    counts = Counter("".join(train))
    total = sum(counts.values()) + 20
    return math.exp(-sum(math.log((counts[letter] + 1) / total) for letter in AMINO_ACIDS) / 20)


def wrong_unigram_perplexity__kinds_of_test(train, test):
    """Each kind of residue of test counts once.

    message: each residue of test counts
    """
    return math.exp(np.mean(_surprises(train, sorted(set("".join(test))))))


def wrong_unigram_perplexity__each_protein_the_same(train, test):
    """Mean of the proteins' means: a short protein weighs as much as a long one.

    message: Each protein weighs the same
    """
    return math.exp(np.mean([np.mean(_surprises(train, [protein])) for protein in test]))


def wrong_unigram_perplexity__mean_of_perplexities(train, test):
    """Mean of the proteins' perplexities.

    message: mean of the proteins' perplexities
    """
    return float(np.mean([math.exp(np.mean(_surprises(train, [protein]))) for protein in test]))


def wrong_unigram_perplexity__mean_of_shares(train, test):
    """Averages each letter's share over the proteins of train: short ones weigh as much as long ones.

    message: not the perplexity of test under the letter frequencies of train
    """
    shares = {letter: np.mean([(protein.count(letter) + 1) / (len(protein) + 20) for protein in train])
              for letter in AMINO_ACIDS}
    return math.exp(-np.mean([math.log(shares[letter]) for letter in "".join(test)]))


def wrong_unigram_perplexity__proteins_counted(train, test):
    """Counts in how many proteins a letter occurs, not how often.

    message: not the perplexity of test under the letter frequencies of train
    """
    counts = Counter(letter for protein in train for letter in set(protein))
    total = sum(counts.values()) + 20
    return math.exp(np.mean([-math.log((counts[letter] + 1) / total) for letter in "".join(test)]))


def wrong_unigram_perplexity__first_of_train(train, test):
    """Counts in the first protein of train only.

    message: first protein
    message: not the perplexity of test under the letter frequencies of train
    """
    return math.exp(np.mean(_surprises(train[:1], test)))


def wrong_unigram_perplexity__last_of_train(train, test):
    """The counts are set anew for every protein: only the last one counts.

    message: last protein
    message: not the perplexity of test under the letter frequencies of train
    """
    counts = Counter()
    for protein in train:
        counts = Counter(protein)
    total = sum(counts.values()) + 20
    return math.exp(np.mean([-math.log((counts[letter] + 1) / total) for letter in "".join(test)]))


def wrong_unigram_perplexity__first_of_test(train, test):
    """Measures the first protein of test only.

    message: first protein
    """
    return math.exp(np.mean(_surprises(train, test[:1])))


def wrong_unigram_perplexity__return_in_the_loop(train, test):
    """Returns after the first protein of test.

    message: inside the loop
    message: first protein
    """
    total, residues = 0.0, 0
    for protein in test:
        total += sum(_surprises(train, [protein]))
        residues += len(protein)
        return math.exp(total / residues)


def wrong_unigram_perplexity__per_protein(train, test):
    """Divides by the number of proteins.

    message: divided by the number of proteins
    """
    return math.exp(min(700, sum(_surprises(train, test)) / len(test)))


def wrong_unigram_perplexity__sum(train, test):
    """exp of the sum.

    message: exp of the sum
    """
    return math.exp(sum(_surprises(train, test)))


def wrong_unigram_perplexity__loss(train, test):
    """Forgets the exponential.

    message: perplexity is exp of it
    """
    return float(np.mean(_surprises(train, test)))


def wrong_unigram_perplexity__sign(train, test):
    """exp of the mean log-probability: below 1.

    message: The sign is turned
    """
    return math.exp(-np.mean(_surprises(train, test)))


def wrong_unigram_perplexity__bits_with_e(train, test):
    """log2 with exp: two bases.

    message: must have the same base
    """
    return math.exp(np.mean(_surprises(train, test)) / math.log(2))


def wrong_unigram_perplexity__nats_with_two(train, test):
    """log with 2**: two bases.

    message: must have the same base
    """
    return 2 ** float(np.mean(_surprises(train, test)))


def wrong_unigram_perplexity__inverse_mean_probability(train, test):
    """1 / mean p: the logarithm is missing.

    message: one over the mean probability
    """
    return 1 / float(np.mean([math.exp(-surprise) for surprise in _surprises(train, test)]))


def wrong_unigram_perplexity__mean_of_inverses(train, test):
    """Mean of 1 / p.

    message: mean of exp
    message: exp of the mean
    """
    return float(np.mean([math.exp(surprise) for surprise in _surprises(train, test)]))


def wrong_unigram_perplexity__product_underflows(train, test):
    """Multiplies probabilities: 0 for a few hundred residues, and a division by zero.

    message: stopped with ZeroDivisionError
    message: too small
    """
    product, surprises = 1.0, _surprises(train, test)
    for surprise in surprises:
        product *= math.exp(-surprise)
    return (1 / product) ** (1 / len(surprises))


def wrong_unigram_perplexity__always_twenty(train, test):
    """Twenty letters, so twenty.

    message: uniform guess
    """
    return 20.0


def wrong_unigram_perplexity__background_in_the_code(train, test):
    """Typical shares of the amino acids written into the code: train is never looked at.

    message: not the perplexity of test under the letter frequencies of train
    """
    background = dict(zip(AMINO_ACIDS, (825, 138, 546, 672, 386, 707, 227, 591, 580, 965, 241, 406, 474, 393, 553, 665,
                                        535, 686, 110, 292)))
    total = sum(background.values())
    letters = "".join(test).upper()
    return math.exp(-sum(math.log(background[letter] / total) for letter in letters) / len(letters))


def wrong_unigram_perplexity__first_residue_lost(train, test):
    """Leaves out each protein's first residue, as if <cls> came first.

    message: not the perplexity of test under the letter frequencies of train
    message: first residue
    """
    return math.exp(np.mean(_surprises(train, [protein[1:] for protein in test])))


def wrong_unigram_perplexity__separator_counted(train, test):
    """Joins with spaces, which are counted as letters of train.

    message: not the perplexity of test under the letter frequencies of train
    """
    text = " ".join(train)
    return math.exp(np.mean([-math.log((text.count(letter) + 1) / (len(text) + 20)) for letter in "".join(test)]))


def wrong_unigram_perplexity__counts_kept(train, test, counts=Counter()):  # noqa: B006
    """A Counter as default argument keeps the counts of earlier calls.

    message: Two calls
    message: two calls
    message: second call
    message: earlier call
    message: call before
    """
    for protein in train:
        counts.update(protein)
    total = sum(counts.values()) + 20
    return math.exp(np.mean([-math.log((counts[letter] + 1) / total) for letter in "".join(test)]))


def wrong_unigram_perplexity__changes_train(train, test):
    """`train += test` changes the caller's list (and counts test).

    message: changes its input
    """
    train += test
    return math.exp(np.mean(_surprises(train, test)))


def wrong_unigram_perplexity__empties_test(train, test):
    """Pops the proteins off the caller's list.

    message: changes its input
    """
    letters = ""
    while test:
        letters += test.pop()
    return math.exp(np.mean(_surprises(train, [letters])))


def wrong_unigram_perplexity__tensor(train, test):
    """Returns a tensor.

    message: asked for is a Python float
    """
    return torch.tensor(_surprises(train, test)).mean().exp()


def wrong_unigram_perplexity__rounded(train, test):
    """Rounds to a whole number.

    message: not the perplexity of test under the letter frequencies of train
    """
    return float(round(math.exp(np.mean(_surprises(train, test)))))


def wrong_unigram_perplexity__list(train, test):
    """One number per protein.

    message: asked for is a Python float
    """
    return [math.exp(np.mean(_surprises(train, [protein]))) for protein in test]


def wrong_unigram_perplexity__swallows_errors(train, test):
    """Without smoothing, and where log fails the answer is 20.

    message: add-one smoothing
    """
    counts = Counter("".join(train))
    total = sum(counts.values())
    try:
        return math.exp(np.mean([-math.log(counts[letter] / total) for letter in "".join(test)]))
    except ValueError:
        return 20.0


def wrong_unigram_perplexity__nothing(train, test):
    """Forgets the return.

    message: is the line with 'return' missing?
    """
    math.exp(np.mean(_surprises(train, test)))


def right_unigram_perplexity__counter(train, test):
    counts = Counter("".join(train))
    total = sum(counts.values()) + 20
    letters = "".join(test)
    return math.exp(-sum(math.log((counts[letter] + 1) / total) for letter in letters) / len(letters))


def right_unigram_perplexity__counter_of_ones(train, test):
    """Begins with one of each letter; any case of letters."""
    counts = Counter(AMINO_ACIDS)
    for protein in train:
        counts.update(protein.upper())
    every = math.log(counts.total())
    surprise = [every - math.log(counts[letter]) for protein in test for letter in protein.upper()]
    return math.exp(math.fsum(surprise) / len(surprise))


def right_unigram_perplexity__numpy(train, test):
    """Histograms of the two sets, and their cross entropy; np.float64 is a float."""
    def histogram(proteins):
        codes = np.frombuffer("".join(proteins).upper().encode(), dtype=np.uint8)
        return np.bincount(codes, minlength=128)[np.frombuffer(AMINO_ACIDS.encode(), dtype=np.uint8)]

    known, wanted = histogram(train) + 1, histogram(test)
    return np.exp(-(wanted / wanted.sum()) @ np.log(known / known.sum()))


def right_unigram_perplexity__torch(train, test):
    def ids(proteins):
        return torch.tensor([AMINO_ACIDS.index(letter) for protein in proteins for letter in protein.upper()])

    log_probs = torch.log_softmax((torch.bincount(ids(train), minlength=20) + 1).double().log(), dim=0)
    return torch.nn.functional.nll_loss(log_probs.expand(len(ids(test)), 20), ids(test)).exp().item()


def right_unigram_perplexity__loops(train, test):
    counts = dict.fromkeys(AMINO_ACIDS, 1)
    for protein in train:
        for letter in protein:
            counts[letter] += 1
    every = sum(counts.values())
    total = residues = 0
    for protein in test:
        for letter in protein:
            total -= math.log(counts[letter] / every)
            residues += 1
    return math.exp(total / residues)


def right_unigram_perplexity__str_count(train, test):
    """Letter by letter with str.count, base 2 throughout."""
    train, test = "".join(train), "".join(test)
    bits = 0.0
    for letter in AMINO_ACIDS:
        bits -= test.count(letter) / len(test) * math.log2((train.count(letter) + 1) / (len(train) + 20))
    return 2.0 ** bits


def right_unigram_perplexity__geometric_mean(train, test):
    """Product of powers: no underflow, each letter of the alphabet once."""
    counts, wanted = Counter("".join(train)), Counter("".join(test))
    total, residues = counts.total() + 20, wanted.total()
    return math.prod((total / (counts[letter] + 1)) ** (wanted[letter] / residues) for letter in wanted)
