"""Checks of notebook 1: mask_tokens, mlm_loss and perplexity, audit_masking, unigram_perplexity, pseudo_perplexity."""

import itertools
import math
import random

import numpy as np
import torch
from hypothesis import strategies as st

from plmcourse import pretraining, scoring
from plmcourse.checks import inputs
from plmcourse.checks.engine import Exercise, expect, expect_close, expect_value_error, smallest
from plmcourse.checks.tiny import course_plm, tiny_plm
from plmcourse.sequences import CLS, EOS, MASK, PAD, RESIDUES, TOKENS

_IGNORE = pretraining.IGNORE


def _random_residues(rows, columns, seed=2024):
    """Residues in frequencies far from uniform: id 4 is drawn 20 times as often as id 23.

    The seed is none that a masking function gets here: the same stream of numbers would tie its draws to the residues.
    """
    weights = torch.arange(20.0, 0, -1)
    return 4 + torch.multinomial(weights, rows * columns, replacement=True, generator=inputs.generator(seed)).view(rows, columns)


# -------------------------------------------------------------------------------------------------------- 1.1 mask_tokens

mask_exercise = Exercise(
    "1.1",
    [pretraining.mask_tokens],
    hints=[
        "Two decisions per residue, each with dice of its own: is it selected, and if so, what becomes of it?",
        (
            "torch.rand(tokens.shape, generator=generator) < mask_prob draws the selection; combine it (&) with 'is a standard residue'."
            " A second torch.rand decides between <mask> (below 0.8), a random residue (0.8 to 0.9) and staying. Start from tokens.clone()."
        ),
        (
            "corrupted = tokens.clone(); corrupted[selected & (fate < 0.8)] = 32; where 0.8 <= fate < 0.9 put torch.randint(4, 24,"
            " tokens.shape, generator=generator); labels = tokens.masked_fill(~selected, -100)."
        ),
    ],
)


@mask_exercise.step("two tensors", points=0)
def mask_shape(mask_tokens):
    tokens = _random_residues(4, 25)
    result = mask_tokens(tokens, inputs.generator())
    expect(
        isinstance(result, (tuple, list)) and len(result) == 2,
        f"mask_tokens returned a {type(result).__name__}; asked for are two tensors: (corrupted, labels).",
    )
    for name, part in zip(("corrupted", "labels"), result):
        expect(isinstance(part, torch.Tensor), f"{name} is a {type(part).__name__}; asked for is a tensor.")
        expect(part.shape == tokens.shape, f"{name} has shape {list(part.shape)}; asked for is that of the tokens, {list(tokens.shape)}.")
        expect(part.dtype == torch.long, f"{name} is {part.dtype}; token ids and labels are whole numbers (torch.long).")


@mask_exercise.step("labels")
def mask_labels(mask_tokens):
    tokens = _random_residues(20, 100)
    corrupted, labels = mask_tokens(tokens, inputs.generator(), 0.5)
    changed, own, none = corrupted != tokens, labels == tokens, labels == _IGNORE
    expect(not (corrupted == _IGNORE).any(), "The two results are exchanged: asked for is (corrupted, labels), in this order.")
    expect(changed.any(), "Nothing is changed: `corrupted` equals the tokens, although half of them should be selected.")
    expect(not (labels == MASK).any(), "Labels hold 32: they were read from the corrupted tokens, where the answer is gone.")
    expect(
        not own.all(),
        "Every residue has its own id as label: where nothing is to be guessed, the label must be -100, or it counts in the loss.",
    )
    expect(not none.all(), "All labels are -100: nothing would be learned. Selected residues keep their original id as label.")
    expect(
        not (none[changed].all() and own[~changed].float().mean() > 0.5),
        "The labels are the wrong way round: -100 stands at the selected residues, the ids at the others.",
    )
    instead = corrupted[changed].bincount().argmax().item()
    expect((corrupted == MASK).any(), f"<mask> is 32, and no residue becomes 32; most of those that change become {instead}.")
    expect((~none).any(1).sum() > 1, "Only one row is treated, as the first protein alone: the others have no label at all.")
    expect(own[corrupted == MASK].all(), "A residue that became <mask> does not have its original id, at the same place, as label.")
    other = labels[~changed & ~own & ~none].unique().tolist()
    expect(not other, f"A label of a residue that is not selected is {other[:1]}; asked for is -100, which the loss skips.")
    expect(
        not none[changed].any(),
        "Residues that were replaced by another residue have the label -100: all selected positions are to be guessed, not only <mask>.",
    )
    expect(own[changed].all(), "The label of a replaced residue is not its original id: read labels from the tokens as they came.")


def _with_specials():
    """400 proteins of 10 residues with everything that is no standard residue around them: [400, 23]."""
    others = torch.tensor([CLS, EOS, PAD, 3, *range(24, 33)]).repeat(400, 1)
    return torch.cat([others[:, :1], _random_residues(400, 10), others[:, 1:]], 1)


@mask_exercise.step("residues only")
def mask_special(mask_tokens):
    tokens = _with_specials()
    corrupted, labels = mask_tokens(tokens, inputs.generator(), 0.5)
    touched = ((corrupted != tokens) | (labels != _IGNORE)) & ((tokens < 4) | (tokens > 23))
    ids = sorted(set(tokens[touched].tolist()))
    case = " ".join(TOKENS[i] for i in [CLS, 4, 5, EOS, PAD]) + "   →  only L and A may be selected"
    if ids:
        names = ", ".join(TOKENS[i] for i in ids)
        changed = (corrupted != tokens)[touched].any()
        why = (
            "the model would be asked to guess what is no residue"
            if set(ids) & {CLS, PAD, EOS, MASK}
            else "they name no amino acid to learn"
        )
        expect(changed, f"{names} stay as they are, but have a label: {why}. Their label is -100.", case)
        expect(False, f"{names} can be selected: {why}. Only the ids 4 to 23 may be.", case)
    selected = labels != _IGNORE
    missing = [TOKENS[i] for i in range(4, 24) if not selected[tokens == i].any()]
    expect(not missing, f"{', '.join(missing)} are never selected: the standard residues are the ids 4 to 23, both included.")


@mask_exercise.step("15 %")
def mask_rate(mask_tokens):
    tokens = _random_residues(200, 500)
    _expect_independent(mask_tokens(tokens, inputs.generator(), 0.4)[1] != _IGNORE)
    for given, wanted in (((), 0.15), ((0.4,), 0.4)):
        selected = mask_tokens(tokens, inputs.generator(), *given)[1] != _IGNORE
        share = selected.float().mean().item()
        call = f"mask_prob={wanted}" + ("" if given else ", the default")
        expect(not given or abs(share - 0.15) > 0.01, "With mask_prob=0.4 still 15 % are selected: mask_prob is not used.")
        expect(
            abs(share - 0.8 * wanted) > 0.006,
            f"{share:.1%} of the residues have a label for {call}: is the selection narrowed down to those that become <mask>?",
        )
        expect(
            abs(share - 0.895 * wanted) > 0.005,
            f"{share:.1%} of the residues have a label for {call}: do selected residues that stay have none? They are to be guessed, too.",
        )
        # 100,000 draws: the share scatters by 0.0011 to 0.0015
        expect(abs(share - wanted) < 0.01, f"{share:.1%} of the residues are selected for {call}.")
    tokens = tokens[:4]
    found = [mask_tokens(tokens, inputs.generator(seed))[1] != _IGNORE for seed in range(6)]
    same = all(torch.equal(found[0], other) for other in found)  # that is for the last step to say
    totals = {int(selected.sum()) for selected in found}  # scatters by 16
    expect(same or len(totals) > 1, "Each batch gets the very same number of selected residues; asked for are independent draws.")
    for mask_prob, wanted in ((0.0, 0), (1.0, tokens.numel())):
        found = int((mask_tokens(tokens, inputs.generator(), mask_prob)[1] != _IGNORE).sum())
        expect(found == wanted, f"For mask_prob={mask_prob} {found} of {tokens.numel()} residues are selected; asked for are {wanted}.")


def _spread(chosen):
    """Scatter of the counts per column and per row, as a multiple of that of independent draws: dict from name to number."""
    share = chosen.double().mean().clamp(0.01, 0.99).item()
    return {
        where: chosen.sum(axis).double().std().item() / math.sqrt(chosen.shape[axis] * share * (1 - share))
        for axis, where in ((0, "column"), (1, "protein"))
    }


def _expect_independent(selected):
    """Counts per row and per column must scatter as those of independent draws do."""
    for where, value in _spread(selected).items():
        expect(value < 1.5, f"Some {where}s get far more selected residues than others: draw for each residue of each protein anew.")
    for where, value in _spread(selected).items():
        expect(value > 0.6, f"Each {where} gets nearly the same number of selected residues; asked for are independent draws.")
    share = selected.double().mean().item()
    both = (selected[:, 1:] & selected[:, :-1]).double().mean().item()  # scatters by 0.002
    expect(
        abs(both - share**2) < 0.012,
        f"Neighbours are selected together in {both:.0%} of the cases; with independent draws it would be {share**2:.0%}.",
    )


@mask_exercise.step("80/10/10")
def mask_split(mask_tokens):
    tokens = _random_residues(200, 500)
    corrupted = mask_tokens(tokens, inputs.generator(), 1.0)[0]
    masked = (corrupted == MASK).float().mean().item()
    kept = (corrupted == tokens).float().mean().item()
    put_in = 1 - masked - kept
    shares = f"Of the selected residues {masked:.1%} become <mask>, {put_in:.1%} another token and {kept:.1%} stay."
    expect(masked < 0.99, f"{shares} One in ten should become a random residue, and one in ten stay.")
    expect(
        put_in > 0.001,
        f"{shares} No random residues: one selected residue in ten is replaced by a draw from the 20. "
        "(An assignment to x[condition1][condition2] is lost.)",
    )
    expect(kept > 0.03, f"{shares} Nothing is left as it was: one selected residue in ten stays.")
    expect(
        not (abs(put_in - 0.02) < 0.008 and masked > 0.75),
        f"{shares} The one in ten was drawn among those that were left over by <mask>: of what is left it must be one half.",
    )
    # 100,000 draws: the shares scatter by 0.0013 at most; 0.095 because one draw in twenty hits the original
    right = abs(masked - 0.8) < 0.01 and abs(put_in - 0.095) < 0.008 or _draws_badly(tokens, corrupted)
    expect(right, f"{shares} Asked for: 80 % <mask>, 10 % a random residue, 10 % unchanged.")
    _expect_own_fate(mask_tokens, tokens, corrupted)


def _expect_own_fate(mask_tokens, tokens, corrupted):
    """What becomes of a selected residue must be drawn for each on its own, and anew."""
    few, labels = mask_tokens(tokens, inputs.generator())
    masked = (few == MASK)[labels != _IGNORE].float().mean().item()  # scatters by 0.0033
    expect(
        abs(masked - 0.8) < 0.02,
        f"For mask_prob=0.15 {masked:.1%} become <mask>: does the same draw that selected decide this? Draw a second time.",
    )
    each = "What becomes of a selected residue is not decided for each on its own"
    expect(max(_spread(corrupted == MASK).values()) < 1.5, f"{each}: some proteins or columns get far more <mask> than others.")
    found = [mask_tokens(tokens[:4], inputs.generator(seed), 1.0)[0] for seed in range(6)]
    same = all(torch.equal(found[0], other) for other in found)  # that is for the last step to say
    totals = {int((other == MASK).sum()) for other in found}  # scatters by 18
    expect(same or len(totals) > 1, f"{each}: of 2,000 selected residues always exactly {max(totals)} become <mask>.")


def _draws_badly(tokens, corrupted):
    """Whether tokens other than residues are put in: the next step has the words for that."""
    put_in = corrupted[(corrupted != tokens) & (corrupted != MASK)]
    return bool(((put_in < 4) | (put_in > 23)).any())


@mask_exercise.step("random residues")
def mask_replacements(mask_tokens):
    tokens = _random_residues(800, 500)
    corrupted = mask_tokens(tokens, inputs.generator(), 1.0)[0]
    counts = torch.bincount(corrupted[(corrupted != tokens) & (corrupted != MASK)], minlength=33)
    outside = [i for i in range(33) if counts[i] and not 4 <= i <= 23]
    missing = [i for i in range(4, 24) if not counts[i]]
    expect(
        not outside,
        f"{', '.join(TOKENS[i] for i in outside)} are put in as 'random residues': draw from the ids 4 to 23"
        + (f" (and {', '.join(TOKENS[i] for i in missing)} never are)." if missing else ", torch.randint(4, 24, …)."),
    )
    expect(len(missing) < 19, f"All replaced residues become {TOKENS[counts.argmax()]}: draw one for each position.")
    expect(
        not missing,
        f"{', '.join(TOKENS[i] for i in missing)} are never put in: torch.randint leaves out its upper end, so it is torch.randint(4,"
        " 24, …).",
    )
    # an id that is frequent in `tokens` hits itself more often, and that leaves no trace in `counts`
    expected = 0.005 * np.array([int((tokens != i).sum()) for i in range(4, 24)])
    off = np.abs(counts[4:24].numpy() / expected - 1)  # scatters by 0.024
    worst = int(off.argmax())
    natural = np.corrcoef(expected, counts[4:24])[0, 1] < -0.3
    expect(
        off[worst] < 0.16,
        (
            "Frequent residues are put in more often than rare ones; asked for is a uniform draw from the ids 4 to 23."
            if natural
            else f"{TOKENS[4 + worst]} is put in {counts[4 + worst]} times where a uniform draw gives about {expected[worst]:.0f}."
        ),
    )
    same = (corrupted == tokens).float().mean().item()  # 0.105, scatters by 0.0005
    expect(same > 0.1025, "A random residue never equals the one it replaces; asked for is a draw from all 20, which may hit the original.")


@mask_exercise.step("generator")
def mask_generator(mask_tokens):
    tokens = _random_residues(20, 100)
    state = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    generator = inputs.generator()
    first, second = (torch.cat(mask_tokens(tokens, generator)) for _ in range(2))
    again, other = (torch.cat(mask_tokens(tokens, inputs.generator(seed))) for seed in (0, 1))
    labels_agree = torch.equal(first[20:], again[20:])
    expect(
        torch.equal(first, again) or not labels_agree,
        "The same seed selects the same residues but changes them differently: a draw (torch.rand, torch.randint …) lacks "
        "generator=generator.",
    )
    expect(torch.equal(first, again), "Two generators with the same seed give two results: pass generator=generator to each draw.")
    expect(not torch.equal(first, other), "Seeds 0 and 1 give the same result: all randomness should come from the generator as it is.")
    expect(
        not torch.equal(first, second),
        "Two calls with one generator give the same result: do not seed it anew, an epoch would see the same masks again and again.",
    )
    untouched = torch.equal(state[0], torch.get_rng_state()) and np.array_equal(state[1], np.random.get_state()[1])
    expect(
        untouched and state[2] == random.getstate(),
        "The global random state has changed: draw from the generator alone, without torch.manual_seed.",
    )


# ------------------------------------------------------------------------------------------- 1.2 mlm_loss and perplexity

loss_exercise = Exercise(
    "1.2",
    [pretraining.mlm_loss, pretraining.perplexity],
    hints=[
        (
            "At each labelled position: how surprised was the model by the true token? Average over these positions, whichever row they"
            " are in."
        ),
        (
            "PyTorch's F.cross_entropy(logits [N, V], labels [N]) leaves out labels of -100 by itself. Flatten batch and positions first,"
            " and turn half precision into float32 before the softmax. Perplexity is exp of the loss."
        ),
        (
            "F.cross_entropy(logits.float().flatten(0, 1), labels.flatten()), after a ValueError when (labels == -100).all(); and"
            " math.exp(mlm_loss(logits, labels).item())."
        ),
    ],
)


def _guesses(counts=(5, 1, 2), columns=7, vocabulary=33, seed=0):
    """Logits and labels with this many labelled positions in each row."""
    generator = inputs.generator(seed)
    logits = 2 * torch.randn(len(counts), columns, vocabulary, generator=generator)
    labels = torch.full((len(counts), columns), _IGNORE)
    for row, count in enumerate(counts):
        places = torch.randperm(columns, generator=generator)[:count]
        labels[row, places] = torch.randint(min(4, vocabulary - 1), min(24, vocabulary), (count,), generator=generator)
    return logits, labels


def _true_loss(logits, labels):
    rows, columns = (labels != _IGNORE).nonzero(as_tuple=True)
    return -logits.double().log_softmax(-1)[rows, columns, labels[rows, columns]].mean()


def _at(table, labels):
    """What a table [B, T, V] holds at the labels, [B, T]; at -100 what it holds for token 0."""
    return table.gather(-1, labels.clamp(min=0)[..., None])[..., 0]


def _loss_mistakes(logits, labels):
    """What mistakes give, from sentence to value."""
    logits, wanted = logits.detach().double(), labels != _IGNORE
    per_row, p = wanted.sum(1), _at(logits.softmax(-1), labels)[wanted]
    every = -_at(logits.log_softmax(-1), labels)
    at = every.masked_fill(~wanted, 0)
    loss, rows = at.sum() / wanted.sum(), per_row > 0
    return {
        "The sign is turned: a loss is the negative log-probability.": -loss,
        "This is the sum over the labelled positions; asked for is their mean.": at.sum(),
        "You average within each row first: each labelled position of the batch should weigh the same.": (
            (at.sum(1)[rows] / per_row[rows]).mean()
        ),
        "You divide by all positions; only the labelled ones count.": at.sum() / labels.numel(),
        "You divide by the number of rows; asked for is the mean over the labelled positions.": at.sum() / len(labels),
        "Positions with the label -100 count as if token 0 were the answer: leave them out.": every.mean(),
        "Positions with the label -100 count: index -100 picks some other token. Leave them out.": (
            -_at(logits.log_softmax(-1), labels % logits.shape[-1]).mean()
        ),
        "This is the perplexity; the loss is its logarithm.": loss.exp(),
        "This logarithm has base 2; asked for are nats.": loss / math.log(2),
        "This logarithm has base 10; asked for are nats.": loss / math.log(10),
        "This is the mean probability of the true token; asked for is the mean of the negative logarithm.": p.mean(),
        "This is minus the mean probability: the logarithm is missing.": -p.mean(),
        "This is 1 - probability of the true token; asked for is the negative logarithm.": 1 - p.mean(),
        "This is the logarithm of the mean probability; asked for is the mean of the logarithms.": -p.mean().log(),
        "The first row alone is counted.": at[0].sum() / per_row[0],
    } | _softmax_mistakes(logits, labels, wanted)


def _softmax_mistakes(logits, labels, wanted):
    """What mistakes on the way to the log-probabilities give, from sentence to value."""
    shifted, reshaped = wanted[:, 1:], logits.reshape(len(logits), -1, logits.shape[1]).transpose(1, 2)
    found = {
        "The softmax runs over the positions; it belongs over the tokens, the last axis.": -_at(logits.log_softmax(1), labels)[wanted],
        "These are raw logits: take log_softmax over the tokens first.": -_at(logits, labels)[wanted],
        "The logits were reshaped where their axes should be exchanged: use transpose(1, 2), or flatten(0, 1).": -_at(
            reshaped.log_softmax(-1), labels
        )[wanted],
        "The logits are already made probabilities when the softmax comes: cross_entropy wants raw logits.": -_at(
            logits.softmax(-1).log_softmax(-1), labels
        )[wanted],
        "Label i is compared with the output at i - 1, as in a causal model; here output and label stand at the same position.": -_at(
            logits[:, :-1].log_softmax(-1), labels[:, 1:]
        )[shifted],
    }
    if logits.shape[-1] == 33 and ((labels[wanted] >= 4) & (labels[wanted] < 24)).all():
        only = _at(logits[..., 4:24].log_softmax(-1), labels - 4)
        found["The softmax runs over 20 residues; asked for is the whole vocabulary."] = -only[wanted]
    return {sentence: values.mean() for sentence, values in found.items()}


def _expect_loss(mlm_loss, logits, labels, otherwise="The number is not the mean negative log-probability at the labelled positions."):
    counts = (labels != _IGNORE).sum(1).tolist()
    expect_close(
        mlm_loss(logits, labels),
        _true_loss(logits, labels),
        lambda: _loss_mistakes(logits, labels),
        otherwise,
        f"logits {list(logits.shape)}, rows with {counts} labelled positions",
    )


@loss_exercise.step("a scalar", points=0)
def loss_shape(mlm_loss, perplexity):
    result = mlm_loss(*_guesses())
    expect(
        isinstance(result, torch.Tensor),
        f"mlm_loss returned a {type(result).__name__}; asked for is a tensor, so that training can go backwards through it (no .item()).",
    )
    expect(
        result.shape == (), f"The loss has shape {list(result.shape)}; asked for is a single number: the mean over all labelled positions."
    )


@loss_exercise.step("value")
def loss_value(mlm_loss, perplexity):
    _expect_loss(mlm_loss, *_guesses())
    logits, labels = _guesses()
    logits, labels = torch.cat([logits, logits[:1]]), torch.cat([labels, torch.full_like(labels[:1], _IGNORE)])
    expect(
        not mlm_loss(logits, labels).isnan(),
        "A row without any label makes the loss nan: average over the labelled positions of the batch.",
    )
    _expect_loss(mlm_loss, logits, labels, "A row without any label changes the loss of the others.")
    _expect_loss(mlm_loss, *_guesses((3, 3), 40, 8, seed=1))
    zero = torch.tensor([[_IGNORE, 0, 3]])
    logits = _guesses((1,), 3, seed=2)[0]
    expect_close(
        mlm_loss(logits, zero),
        _true_loss(logits, zero),
        {"The label 0 is left out: only -100 means 'not to be guessed'.": _true_loss(logits, torch.tensor([[_IGNORE, _IGNORE, 3]]))},
        "The loss is wrong for the labels -100, 0 and 3.",
        "one row with the labels -100, 0, 3",
    )
    big = 1000 * _guesses()[0]
    expect(
        bool(mlm_loss(big, _guesses()[1]).isfinite()),
        "For large logits the loss is not finite: the logarithm of a softmax underflows, use log_softmax or cross_entropy.",
        "logits of about 2,000",
    )


@loss_exercise.step("gradient")
def loss_gradient(mlm_loss, perplexity):
    logits, labels = _guesses()
    logits.requires_grad_()
    loss = mlm_loss(logits, labels)
    expect(loss.requires_grad, "The loss carries no gradient (no .detach(), .item() or no_grad inside): nothing could be learned from it.")
    mine = torch.autograd.grad(loss, logits, allow_unused=True)[0]
    expect(mine is not None, "The gradient does not reach the logits: was a new tensor made from their numbers?")
    expected = torch.autograd.grad(_true_loss(logits, labels), logits)[0]
    expect_close(mine, expected, {}, "The loss is right and its gradient is not: was a part of it detached?")


def _coarse():
    """Logits and labels: the first draw in which a softmax in half precision is off by enough; in some its errors cancel out."""
    for seed in itertools.count():
        logits, labels = _guesses((300, 300), 400, seed=seed)
        half = logits.bfloat16()
        slip = -_at(half.log_softmax(-1), labels)[labels != _IGNORE].float().mean()
        if abs(slip - _true_loss(half, labels)) > 3e-4:
            return logits, labels


@loss_exercise.step("half precision")
def loss_half(mlm_loss, perplexity):
    logits, labels = _coarse()
    for dtype in (torch.float16, torch.bfloat16):
        loss = mlm_loss(logits.to(dtype), labels)
        expect(
            loss.dtype in (torch.float32, torch.float64),
            f"For logits in {dtype} the loss is in {loss.dtype}, with two or three digits: work in float32, logits.float().",
        )
        expected = _true_loss(logits.to(dtype), labels)
        expect(
            abs(float(loss) - float(expected)) < 2e-4,
            f"For logits in {dtype} the loss is {float(loss):.4f}, in float32 it is {float(expected):.4f}: convert before the softmax.",
        )


@loss_exercise.step("nothing to guess")
def loss_nothing(mlm_loss, perplexity):
    logits = _guesses()[0]
    expect_value_error(
        mlm_loss, logits, torch.full(logits.shape[:2], _IGNORE), sentence="All labels are -100: there is nothing to average over."
    )


def _perplexity_mistakes(logits, labels, loss):
    """What mistakes give, from sentence to value."""
    at = -_at(logits.log_softmax(-1), labels)[labels != _IGNORE]
    rows = torch.stack([_true_loss(row[None], wanted[None]).exp() for row, wanted in zip(logits, labels)])
    of_loss = {text: value for text, value in _loss_mistakes(logits, labels).items() if text.startswith(("You ", "Positions "))}
    return {
        "This is the loss; the perplexity is exp of it.": loss,
        "This is 2 to the power of a loss in nats; its base must be e.": 2**loss,
        "This is exp(-loss), the reverse of the perplexity.": (-loss).exp(),
        "This is the mean of exp(loss) over the positions; take exp of the mean loss.": at.exp().mean(),
        "This is one over the mean probability; take exp of the mean loss.": 1 / (-at).exp().mean(),
        "This is exp of the summed loss; take exp of the mean.": at.sum().exp(),
        "This is the mean of each row's perplexity; take exp of the mean over the labelled positions.": rows.mean(),
    } | {text: value.exp() for text, value in of_loss.items()}


@loss_exercise.step("perplexity")
def loss_perplexity(mlm_loss, perplexity):
    for seed, vocabulary in ((0, 33), (1, 33), (2, 8)):
        logits, labels = _guesses(vocabulary=vocabulary, seed=seed)
        loss = _true_loss(logits, labels)
        result = perplexity(logits.requires_grad_(), labels)
        expect(isinstance(result, float), f"The perplexity is a {type(result).__name__}; asked for is a Python float (.item()).")
        case = f"logits {list(logits.shape)}, a loss of {loss:.3f}"
        mistakes = _perplexity_mistakes(logits.detach().double(), labels, loss.detach())
        expect_close(result, loss.exp(), mistakes, "The number is not exp of the mean loss.", case)
    flat = perplexity(torch.zeros(1, 4, 33), torch.tensor([[4, 5, _IGNORE, 6]]))
    expect(abs(flat - 33) < 1e-3, f"A model that finds all 33 tokens equally likely has perplexity 33, not {flat:.2f}.")


# ------------------------------------------------------------------------------------------------------ 1.3 audit_masking

audit_exercise = Exercise(
    "1.3",
    [pretraining.audit_masking],
    hints=[
        "You cannot see inside mask_fn, but you choose what goes in. Which input makes each of the seven bugs show?",
        (
            "One large batch with all 33 ids will do, since no bug cares for biology. Keep a copy, call once, and compare: changed ="
            " corrupted != tokens; selected = labels != -100. For the generator you need three calls, with the seeds 0, 0 and 1 and a fresh"
            " generator each time."
        ),
        (
            "tokens = torch.arange(33).repeat(200, 25). touches_special: ((changed | selected) & ~residue).any(); bad_replacements:"
            " set(corrupted[changed & (corrupted != 32)].tolist()) is neither empty nor set(range(4, 24)); wrong_rate:"
            " selected[residue].float().mean() is more than 0.01 off 0.15."
        ),
    ],
)

_NAMES = {"mutates_input", "touches_special", "bad_replacements", "wrong_labels", "wrong_rate", "wrong_split", "ignores_generator"}


def _masker(
    select=lambda t: (t >= 4) & (t < 24),
    rate=0.15,
    split=(0.8, 0.9),
    low=4,
    high=24,
    in_place=False,
    labels="own",
    generators=lambda generator: (generator, generator),
):
    """A masking function, correct unless told otherwise; each argument plants one kind of bug."""

    def mask_fn(tokens, generator, mask_prob=0.15):
        original, (dice, letters) = tokens.clone(), generators(generator)
        selected = (torch.rand(tokens.shape, generator=dice) < rate * mask_prob / 0.15) & select(tokens)
        fate = torch.rand(tokens.shape, generator=dice)
        corrupted = tokens if in_place else tokens.clone()
        masked, replaced = selected & (fate < split[0]), selected & (fate >= split[0]) & (fate < split[1])
        corrupted[masked] = MASK
        corrupted[replaced] = torch.randint(low, high, tokens.shape, generator=letters)[replaced]
        answers = _labels(labels, original, corrupted, selected, masked)
        if in_place != "labels":
            return corrupted.clone() if in_place == "copied" else corrupted, answers
        corrupted = corrupted.clone()
        tokens.copy_(answers)
        return corrupted, answers

    return mask_fn


def _labels(kind, original, corrupted, selected, masked):
    """Labels as they should be ("own"), or wrong in one of several ways."""
    special = (original < 4) | (original > 23)
    source, where = {
        "own": (original, selected),
        "corrupted": (corrupted, selected),
        "only masked": (original, masked),
        "everywhere": (original, torch.ones_like(selected)),
        "not special": (original, selected & ~special),
        "special": (original, selected | special),
        "zero": (original * selected, selected | ~special),
    }[kind]
    return source.masked_fill(~where, _IGNORE)


def _by_bernoulli(tokens, generator, mask_prob=0.15):
    """A correct one: three Bernoulli draws, and residues drawn only where they are needed."""
    corrupted, labels = tokens.clone(), torch.full_like(tokens, _IGNORE)
    selected = torch.bernoulli(mask_prob * ((tokens > 3) & (tokens < 24)).float(), generator=generator).bool()
    labels[selected] = tokens[selected]
    masked = torch.bernoulli(torch.full(tokens.shape, 0.8), generator=generator).bool() & selected
    corrupted[masked] = MASK
    replaced = torch.bernoulli(torch.full(tokens.shape, 0.5), generator=generator).bool() & selected & ~masked
    corrupted[replaced] = torch.randint(4, 24, (int(replaced.sum()),), generator=generator)
    return corrupted, labels


def _by_one_draw(tokens, generator, mask_prob=0.15):
    """A correct one: a single number per residue decides everything, the double precision leaves room for it."""
    draw = torch.rand(tokens.shape, generator=generator, dtype=torch.double) / mask_prob
    selected = (draw < 1) & (tokens >= 4) & (tokens <= 23)
    letter = 4 + ((draw - 0.8) * 200).long().clamp(0, 19)
    corrupted = torch.where(selected & (draw < 0.9), torch.where(draw < 0.8, MASK, letter), tokens)
    return corrupted, torch.where(selected, tokens, _IGNORE)


def _by_numpy(tokens, generator, mask_prob=0.15):
    """A correct one: NumPy, its seed drawn from the generator."""
    rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
    ids = tokens.numpy()
    kind = rng.choice(4, ids.shape, p=[1 - mask_prob, 0.8 * mask_prob, 0.1 * mask_prob, 0.1 * mask_prob])
    kind[(ids < 4) | (ids > 23)] = 0
    corrupted = np.where(kind == 1, MASK, np.where(kind == 2, rng.integers(4, 24, ids.shape), ids))
    return torch.from_numpy(corrupted), torch.from_numpy(np.where(kind > 0, ids, _IGNORE))


_CORRECT = (_masker(), _by_bernoulli, _by_one_draw, _by_numpy)

_ACCUSED = {
    "mutates_input": "it does not change its input. Compare the tensor you handed in with a copy, not with `corrupted`.",
    "touches_special": "it selects the ids 4 to 23 only. Which tokens do you count as special?",
    "bad_replacements": (
        "it draws from the ids 4 to 23. Leave <mask> (32) out of what you look at, and let the batch have 50,000 residues or more, so that"
        " each of the 20 is drawn."
    ),
    "wrong_labels": "its labels are the original ids where selected, -100 elsewhere. Compare them with the tokens as they were.",
    "wrong_rate": (
        "it selects 15 % of the standard residues. Count labels at standard residues alone, and let the batch have 50,000 of them or more:"
        " small samples scatter. (Tokens drawn with the very seed that the function gets are tied to its draws.)"
    ),
    "wrong_split": (
        "it has 80/10/10. One random draw in twenty hits the original: among the labelled residues 80 % are <mask>, 9.5 % another residue"
        " and 10.5 % unchanged, and in a small batch these scatter."
    ),
    "ignores_generator": (
        "it uses the generator as it should. A generator moves on with each draw: for 'the same seed' you need a fresh one each time,"
        " torch.Generator().manual_seed(0), and the same tokens."
    ),
}


def _shuffled(cases):
    """In another order for each seed but 0: who knows the order by heart need not audit."""
    return [cases[i] for i in inputs.rng().permutation(len(cases))] if inputs.SEED else cases


def _answer(audit_masking, mask_fn):
    with torch.random.fork_rng(devices=[]):  # some of the functions draw from the global random state
        torch.default_generator.manual_seed(inputs.generator().initial_seed())
        result = audit_masking(mask_fn)
    expect(isinstance(result, (set, frozenset)), f"audit_masking returned a {type(result).__name__}; asked for is a set of names.")
    unknown = sorted(map(repr, result - _NAMES))
    expect(not unknown, f"The set holds {', '.join(unknown)}, which is none of the seven names.")
    return result


@audit_exercise.step("correct functions")
def audit_correct(audit_masking):
    for mask_fn in _shuffled(_CORRECT):
        for name in sorted(_answer(audit_masking, mask_fn)):
            how = (mask_fn.__doc__ or ": one torch.rand to select, another for what becomes of it.").removeprefix("A correct one: ")
            expect(False, f"A correct function is accused of {name!r}: {_ACCUSED[name]}", f"correct, in another style: {how.strip(': ')}")


def _no_generator(generator):
    return None, None


def _own_generator(generator):
    own = torch.Generator().manual_seed(0)
    return own, own


def _half_generator(generator):
    return generator, None


def _special(*ids):
    """Selects these ids as well as the residues."""
    return lambda t: (t >= 4) & (t < 24) | torch.isin(t, torch.tensor(ids))


# name, the planted bug in words, the function, and what more may be said without being wrong
_PLANTED = [
    ("mutates_input", "it writes <mask> into the tokens it was given (and returns them)", _masker(in_place=True), ()),
    ("mutates_input", "it works on the tokens it was given, and returns a copy of them", _masker(in_place="copied"), ()),
    ("mutates_input", "it writes the labels into the tokens it was given", _masker(in_place="labels"), ()),
    ("touches_special", "it selects <cls> and <eos>, too", _masker(_special(CLS, EOS)), ()),
    ("touches_special", "it selects <pad>, too: a batch without padding cannot show that", _masker(_special(PAD)), ()),
    ("touches_special", "it selects X, B, U, Z and O, too, the ids 24 to 28", _masker(_special(*range(24, 29))), ()),
    ("touches_special", "it hides <cls>, <eos> and <pad>, without a label", _masker(_special(CLS, EOS, PAD), labels="not special"), ()),
    ("touches_special", "it changes residues only, but every special token has a label", _masker(labels="special"), ()),
    ("bad_replacements", "it draws from the ids 0 to 32, special tokens included", _masker(low=0, high=33), ()),
    ("bad_replacements", "it draws from the ids 0 to 19, as if residues began at 0", _masker(low=0, high=20), ()),
    ("bad_replacements", "it draws from the ids 4 to 22: C (23) is never put in, all that is put in is a residue", _masker(high=23), ()),
    ("bad_replacements", "it draws from the ids 4 to 28: X, B, U, Z and O are put in as well", _masker(high=29), ()),
    ("wrong_labels", "its labels are read from the corrupted tokens", _masker(labels="corrupted"), ()),
    ("wrong_labels", "it gives labels only to what became <mask>; replaced residues have -100", _masker(labels="only masked"), ()),
    ("wrong_labels", "its label is 0 instead of -100 at residues that are not selected", _masker(labels="zero"), ()),
    ("wrong_labels", "it labels every token, selected or not", _masker(labels="everywhere"), ("touches_special",)),
    ("wrong_rate", "it selects 10 %", _masker(rate=0.10), ()),
    ("wrong_rate", "it selects 20 %", _masker(rate=0.20), ()),
    ("wrong_rate", "it selects 80 %", _masker(rate=0.80), ()),
    ("wrong_split", "it puts in <mask> always", _masker(split=(1.0, 1.0)), ()),
    ("wrong_split", "80 % <mask>, 20 % random, nothing stays", _masker(split=(0.8, 1.0)), ()),
    ("wrong_split", "70 % <mask>, 20 % random, 10 % stay", _masker(split=(0.7, 0.9)), ()),
    ("wrong_split", "80 % <mask>, 20 % stay, nothing random", _masker(split=(0.8, 0.8)), ()),
    ("wrong_split", "10 % <mask>, 10 % random, 80 % stay: the shares are mixed up", _masker(split=(0.1, 0.2)), ()),
    ("ignores_generator", "it draws from the global random state", _masker(generators=_no_generator), ()),
    ("ignores_generator", "it makes a generator of its own, always with seed 0", _masker(generators=_own_generator), ()),
    (
        "ignores_generator",
        "it selects with the generator, but draws the random residues without it",
        _masker(generators=_half_generator),
        (),
    ),
]


def _expect_found(audit_masking, wanted, words, mask_fn, allowed=()):
    found = _answer(audit_masking, mask_fn)
    missed, extra = sorted(wanted - found), sorted(found - wanted - set(allowed))
    expect(not missed, f"{', '.join(map(repr, missed))} was not noticed. The function's bug: {words}.")
    if extra:
        settled = (
            "when the labels are wrong, rate and split are not judged."
            if "wrong_labels" in wanted and set(extra) <= {"wrong_rate", "wrong_split"}
            else "of that it is innocent."
        )
        expect(False, f"A function was accused of {', '.join(map(repr, extra))}, but {settled} Its bug: {words}.")


@audit_exercise.step("one bug", points=2)
def audit_one(audit_masking):
    for name, words, mask_fn, allowed in _shuffled(_PLANTED):
        _expect_found(audit_masking, {name}, words, mask_fn, allowed)


@audit_exercise.step("two bugs")
def audit_two(audit_masking):
    cases = [
        ("mutates_input", "touches_special", _masker(_special(CLS, EOS, PAD), in_place=True)),
        ("mutates_input", "wrong_labels", _masker(in_place=True, labels="corrupted")),
        ("mutates_input", "wrong_split", _masker(in_place=True, split=(0.5, 0.75))),
        ("bad_replacements", "wrong_rate", _masker(low=0, rate=0.3)),
        ("touches_special", "bad_replacements", _masker(_special(CLS, PAD, EOS), low=0, high=20)),
        ("touches_special", "ignores_generator", _masker(_special(PAD), generators=_no_generator)),
        ("wrong_labels", "ignores_generator", _masker(labels="only masked", generators=_own_generator)),
        ("wrong_rate", "wrong_split", _masker(rate=0.25, split=(1.0, 1.0))),
    ]
    for first, second, mask_fn in _shuffled(cases):
        _expect_found(audit_masking, {first, second}, f"two at once, {first} and {second}", mask_fn)


# ------------------------------------------------------------------------------------------------- 1.4 unigram_perplexity

unigram_exercise = Exercise(
    "1.4",
    [pretraining.unigram_perplexity],
    hints=[
        "The model is a table of 20 probabilities, made from `train`. How surprised is it, on average, by a residue of `test`?",
        (
            "Join the proteins, count each letter of train, add 1 to each of the 20 counts, divide by their sum. Then -log of the"
            " probability of every residue in test, the mean over all residues, exp."
        ),
        (
            "p = {a: (text.count(a) + 1) / (len(text) + 20) for a in pc.RESIDUES}, with text = ''.join(train);"
            " math.exp(-sum(math.log(p[a]) for a in other) / len(other)) with other made from test."
        ),
    ],
)


def _proteins(*texts):
    """These proteins; for a seed other than 0 renamed, and some longer: the names of the letters alone change no perplexity."""
    more = inputs.rng(len(texts)).integers(0, 4, len(texts)) if inputs.SEED else [0] * len(texts)
    return [inputs.protein(text + text[0] * int(count)) for text, count in zip(texts, more)]


def _counts(proteins):
    text = "".join(proteins).upper()
    return np.array([text.count(letter) for letter in RESIDUES], float)


def _true_unigram(train, test):
    p = (_counts(train) + 1) / (_counts(train).sum() + 20)
    return math.exp(-(_counts(test) @ np.log(p)) / _counts(test).sum())


def _unigram_mistakes(train, test):
    """What mistakes give, from sentence to value."""
    a, b = _counts(train), _counts(test)

    def cross(p, counts):
        seen = counts > 0
        with np.errstate(divide="ignore"):
            return -(counts[seen] @ np.log(p[seen])) / counts.sum()

    p = (a + 1) / (a.sum() + 20)
    loss, per_protein = cross(p, b), [cross(p, _counts([protein])) for protein in test]
    kinds = (a > 0).sum()
    losses = {
        "This is exp of the sum; take exp of the mean over the residues.": min(700, loss * b.sum()),
        "This is the first protein of test alone: does the return stand inside the loop?": per_protein[0],
        "This is exp of a logarithm with base 2; exp and log must have the same base.": loss / math.log(2),
        "This is the perplexity of `train` itself; the residues that are scored come from test.": cross(p, a),
        "Train and test are exchanged: count in train, score test.": math.log(_true_unigram(test, train)),
        "The letters are counted in test: that is knowing the answer. Count in train.": math.log(_true_unigram(test, test)),
        "The letters are counted in train and test together; test must be new.": math.log(_true_unigram([*train, *test], test)),
        "You did not add 1 to the counts (add-one smoothing).": cross(a / a.sum(), b),
        "You add 1 to each count but divide by the old sum: the 20 probabilities must add up to 1.": cross((a + 1) / a.sum(), b),
        "You add 1 to each count and to the sum; 20 counts have grown, so the sum grows by 20.": cross((a + 1) / (a.sum() + 1), b),
        "Smoothing runs over 33 tokens; asked for are the 20 standard amino acids.": cross((a + 1) / (a.sum() + 33), b),
        "Smoothing runs only over the letters that train has; all 20 count.": cross((a + 1) / (a.sum() + kinds), b),
        "Each protein weighs the same; asked for is the mean over all residues of test.": np.mean(per_protein),
        "You average over the 20 letters; each residue of test counts.": -np.log(p).mean(),
        "You average over the kinds of letters in test; each residue of test counts.": -np.log(p[b > 0]).mean(),
        "The sum is divided by the number of proteins; divide by the number of residues.": min(700, loss * b.sum() / len(test)),
        "The sign is turned: this is one over the perplexity.": -loss,
    }
    return {
        "This is the cross-entropy in nats; the perplexity is exp of it.": loss,
        "This is 2 to the power of a cross-entropy in nats; exp and log must have the same base.": 2**loss,
        "This is the mean of the proteins' perplexities; asked for is exp of the mean over all residues.": np.mean(np.exp(per_protein)),
        "This is one over the mean probability; take exp of the mean negative logarithm.": b.sum() / (b @ p),
        "This is the mean of 1/p over the residues; take exp of the mean negative logarithm.": (b @ (1 / p)) / b.sum(),
        "This is the perplexity of a uniform guess; count how common each letter is.": 20.0,
    } | {sentence: math.exp(value) for sentence, value in losses.items()}


def _expect_unigram(
    unigram_perplexity, train, test, otherwise="The number is not the perplexity of test under the letter frequencies of train."
):
    result = unigram_perplexity(train, test)
    expect(isinstance(result, float), f"The result is a {type(result).__name__}; asked for is a Python float.")
    case = f"train {train}, test {test}" if len("".join(train)) < 60 else f"{len(train)} proteins in train, {len(test)} in test"
    expect_close(result, _true_unigram(train, test), lambda: _unigram_mistakes(train, test), otherwise, case, tolerance=1e-5)


@unigram_exercise.step("value")
def unigram_value(unigram_perplexity):
    first, second = (unigram_perplexity(_proteins("LLAAG", "LAGW"), _proteins("LAL", "AWG")) for _ in range(2))
    expect(first == second or math.isnan(first), "Two calls with the same input give two answers: are counts kept from an earlier call?")
    train, test = _proteins("LLLLLLLAAAG", "LAGVSERTIDPKQNFYMHWC", "LLL"), _proteins("LLAGGW", "AAAAAAAAC", "LKV")
    _expect_unigram(unigram_perplexity, train, test)
    _expect_unigram(unigram_perplexity, _proteins("LAGVSERTIDPKQNFYMHWC" * 3, "LLAAGG" * 9), _proteins("MKTAYIAKQR" * 2, "LAG"))


@unigram_exercise.step("letters that train lacks")
def unigram_unseen(unigram_perplexity):
    train, test = _proteins("LLLA", "LG"), _proteins("LW", "LLLLC")
    _expect_unigram(unigram_perplexity, train, test, "A letter that train lacks is not impossible: add 1 to each of the 20 counts.")


@unigram_exercise.step("any proteins")
def unigram_any(unigram_perplexity):
    proteins = st.lists(st.text(RESIDUES, min_size=1, max_size=6).map(inputs.protein), min_size=1, max_size=3)
    found = smallest(st.tuples(proteins, proteins), lambda pair: not abs(unigram_perplexity(*pair) / _true_unigram(*pair) - 1) < 1e-5)
    if found is not None:
        _expect_unigram(unigram_perplexity, *found)
    long = _proteins("LAGVSERTIDPKQNFYMHWC" * 50), _proteins("MKTAYIAKQR" * 200)
    _expect_unigram(
        unigram_perplexity, *long, "For 2,000 residues the number is off: a product of so many probabilities underflows, add up logarithms."
    )


# -------------------------------------------------------------------------------------------------- 1.5 pseudo_perplexity

pseudo_exercise = Exercise(
    "1.5",
    [scoring.pseudo_perplexity],
    hints=[
        "Play fill-in-the-blank with every residue in turn: one blank at a time, all others visible.",
        (
            "A loop over the residues: copy the tokens, put 32 at place i + 1 (<cls> comes first), run the model, read the log-probability"
            " of the residue that stood there. Then the mean, the minus sign, exp."
        ),
        "log_p = plm.forward(copy).logits[0, place].log_softmax(-1)[tokens[0, place]]; in the end math.exp(-total / len(sequence)).",
    ],
)

_SEQUENCE = inputs.protein("MKTAYIAKQR")
_LONG = inputs.protein("MKTAYIAKQRWGDNLVHPSFEC" * 3 + "KKAA")  # 70 residues: more than one batch for those who work in batches


def _logits(plm, sequence, masked):
    """Logits [L + 2, 33] after masking these tokens, computed step by step and independently of the package's batching."""
    tokens = plm.tokenize([sequence])
    tokens[0, list(masked)] = MASK
    return plm.forward(tokens).logits[0].float()


def _surprise(plm, sequence, place, masked):
    """Minus log-probability at a place of the residue that stands in the sequence there."""
    return -_logits(plm, sequence, masked).log_softmax(-1)[place, plm.tokenize([sequence])[0, place]]


def _surprises(plm, sequence):
    return torch.stack([_surprise(plm, sequence, place, [place]) for place in range(1, len(sequence) + 1)])


def _pseudo_mistakes(plm, sequence):
    """What mistakes give, from sentence to value."""
    at, places = _surprises(plm, sequence), range(1, len(sequence) + 1)
    loss, length = at.mean(), len(sequence)
    ends = torch.stack([_surprise(plm, sequence, place, [place]) for place in (0, length + 1)])
    losses = {
        "This is exp of the sum; take exp of the mean over the residues.": at.sum(),
        "The sign is turned: this is one over the perplexity.": -loss,
        "This is exp of a logarithm with base 2; exp and log must have the same base.": loss / math.log(2),
        "<cls> and <eos> are counted too: only residues belong in the mean.": torch.cat([at, ends]).mean(),
        "The sum is divided by the number of tokens, <cls> and <eos> included; there are two residues less.": at.sum() / (length + 2),
        "<eos> is counted too: only residues belong in the mean.": (at.sum() + ends[1]) / (length + 1),
        "<cls> is counted, and the last residue is not: residue i is token i + 1.": (ends[0] + at[:-1].sum()) / length,
        "Each kind of residue is counted once; asked for is each position.": torch.stack(list(dict(zip(sequence, at)).values())).mean(),
        "A residue that comes a second time gets the value of the first: count positions (enumerate), do not search for the letter.": (
            at[[sequence.index(letter) for letter in sequence]].mean()
        ),
        "The last residue is missing in the sum.": at[:-1].sum() / length,
        "The last residue is left out.": at[:-1].mean(),
        "The first residue is left out.": at[1:].mean(),
        "This is the first residue alone: does the return stand inside the loop?": at[0],
    }
    masked = {
        "The residues stay visible in your input: mask each one in turn.": lambda place: [],
        "All residues are masked at once: the model has nothing left to read.": lambda place: places,
        "The masks pile up: each copy must start from the unmasked sequence.": lambda place: range(1, place + 1),
        "Several residues are masked at once, every seventh; asked for is one at a time.": lambda place: range(
            (place - 1) % 7 + 1, length + 1, 7
        ),
    }
    for sentence, mask in masked.items():
        losses[sentence] = torch.stack([_surprise(plm, sequence, place, mask(place)) for place in places]).mean()
    return {
        "This is the mean negative log-probability; the perplexity is exp of it.": loss,
        "This is 2 to the power of a loss in nats; exp and log must have the same base.": 2**loss,
        "This is the mean of exp over the residues; take exp of the mean.": at.exp().mean(),
        "This is the pseudo-log-likelihood, a sum; take the mean, turn its sign, then exp.": -at.sum(),
        "This is one over the mean probability; take exp of the mean negative logarithm.": 1 / (-at).exp().mean(),
    } | {sentence: value.exp() for sentence, value in (losses | _wrong_readings(plm, sequence)).items()}


def _last_of_prefix(plm, prefix):
    """Logits [33] at the last residue, masked, of a protein that is cut off behind it."""
    tokens = plm.tokenize([prefix])[:, :-1]
    tokens[0, -1] = MASK
    return plm.forward(tokens).logits[0, -1].float()


def _wrong_readings(plm, sequence):
    """Mean losses when the wrong row, column or softmax is read, from sentence to value."""
    places, true = range(1, len(sequence) + 1), plm.tokenize([sequence])[0, 1:-1, None]
    outputs = [_logits(plm, sequence, [place]) for place in places]
    rows = torch.stack([output[place] for place, output in zip(places, outputs)])
    early = torch.stack([_logits(plm, sequence, [place - 1])[place - 1] for place in places])
    before = torch.stack([output[place - 1] for place, output in zip(places, outputs)])
    piled = torch.stack([_logits(plm, sequence, range(1, place + 1))[place] for place in places])
    left = torch.stack([_last_of_prefix(plm, sequence[:place]) for place in places])
    across = torch.stack([output.log_softmax(0)[place] for place, output in zip(places, outputs)])
    found = {
        "Residue i is compared with token i; <cls> comes first, so it is token i + 1.": early.log_softmax(-1).gather(1, true),
        "You mask the right token but read the one before: <cls> comes first.": before.log_softmax(-1).gather(1, true),
        "The softmax runs over 20 residues; asked for is the whole vocabulary of 33 tokens.": (
            rows[:, 4:24].log_softmax(-1).gather(1, true - 4)
        ),
        "These are raw logits: take log_softmax over the tokens first.": rows.gather(1, true),
        "Your softmax runs over the positions; it belongs over the tokens, the last axis.": across.gather(1, true),
        "This is the log-probability of <mask>: read the true residue from the unmasked tokens.": rows.log_softmax(-1)[:, MASK],
        "The masks pile up, and <mask> is looked up: work on a copy, tokens.clone().": piled.log_softmax(-1)[:, MASK],
        "The model sees only what comes before each residue; what comes after belongs to the context too.": (
            left.log_softmax(-1).gather(1, true)
        ),
        "This is the perplexity of the most probable tokens, not of the residues that stand there.": rows.log_softmax(-1).amax(1),
    }
    return {sentence: -values.mean() for sentence, values in found.items()}


def _expect_pseudo(pseudo_perplexity, plm, sequence, otherwise="The number is not exp of the mean negative masked log-probability."):
    expect_close(
        pseudo_perplexity(plm, sequence),
        _surprises(plm, sequence).mean().exp(),
        lambda: _pseudo_mistakes(plm, sequence),
        otherwise,
        f"'{sequence}'",
    )


@pseudo_exercise.step("a float", points=0)
def pseudo_shape(pseudo_perplexity):
    result = pseudo_perplexity(tiny_plm(), _SEQUENCE)
    expect(isinstance(result, float), f"The result is a {type(result).__name__}; asked for is a Python float.")


@pseudo_exercise.step("value")
def pseudo_value(pseudo_perplexity):
    for sequence in (_SEQUENCE, _SEQUENCE[:2]):  # the longer one first: there no two mistakes give the same number
        _expect_pseudo(pseudo_perplexity, tiny_plm(), sequence)
    _expect_pseudo(pseudo_perplexity, course_plm(), _SEQUENCE)


@pseudo_exercise.step("any sequence")
def pseudo_any(pseudo_perplexity):
    found = smallest(
        st.text(RESIDUES, min_size=1, max_size=8).map(inputs.protein),
        lambda sequence: not abs(math.log(pseudo_perplexity(tiny_plm(), sequence)) - _surprises(tiny_plm(), sequence).mean()) < 1e-3,
    )
    if found is not None:
        _expect_pseudo(pseudo_perplexity, tiny_plm(), found)
    longest = _SEQUENCE * 25
    expect(
        math.isfinite(pseudo_perplexity(tiny_plm(), longest)),
        f"For {len(longest)} residues the result is not finite: a product of so many probabilities is too small for the computer. "
        "Add up logarithms.",
        f"{len(longest)} residues",
    )
    result = pseudo_perplexity(tiny_plm(), _LONG)
    expect_close(
        result,
        _surprises(tiny_plm(), _LONG).mean().exp(),
        {},
        f"The number is right for 10 residues and wrong for {len(_LONG)}: if you work in batches, is each residue counted once?",
        f"'{_LONG}'",
        tolerance=1e-3,
    )
