"""Checks of notebook 5: SequenceClassifier, ResidueClassifier and align_labels, thaw, scores."""

import copy
import functools
import warnings

import numpy as np
import torch
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
from torch import nn

from plmcourse import classifiers, metrics
from plmcourse.checks import inputs
from plmcourse.checks.engine import Exercise, Wrong, expect, expect_close, expect_value_error
from plmcourse.checks.tiny import tiny_plm
from plmcourse.models import untrained
from plmcourse.sequences import IGNORE, PAD, TOKENS

_SEQUENCES = ["MKTAYI", "ACDX", "W"]  # X, an unknown residue, counts as one
_LONG = "ACDEFGHIKL" + ("MNPQRSTVWY" if inputs.SEED else "")  # renamed, these must still hold L and C, the first and the last id
_SETTINGS = {"dropout": 0.0}


def _tokens(sequences=_SEQUENCES):
    return tiny_plm().tokenize([inputs.protein(sequence) for sequence in sequences])


def _strip(tokens):
    return "   ".join(" ".join(TOKENS[i] for i in row) for row in tokens.tolist())


def _residues(tokens):
    return (tokens >= 4) & (tokens <= 28)


def _backbone():
    """A copy of the tiny model's backbone, everything trainable: a student's class may do to it what it likes."""
    return copy.deepcopy(tiny_plm().model.esm).requires_grad_(True).eval()


def _drawn(module, seed=0):
    """Fill a head with numbers large enough that no mistake hides behind a head of zeros or of tiny weights."""
    generator = inputs.generator(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, 0.7, generator=generator)
    return module


# --------------------------------------------------------------------------------------- what both classifiers must do


def _new(student, name, classes=3, backbone=None, **options):
    """A student's model in eval mode, its modules checked and its head filled."""
    backbone = _backbone() if backbone is None else backbone
    model = student(backbone, classes, **options)
    for part in ("backbone", "head"):
        expect(isinstance(getattr(model, part, None), nn.Module), f"{name} should have a module called {part}: self.{part} = ...")
    expect(
        model.backbone is backbone,
        "self.backbone should be the backbone that was handed in, not a copy and not something else: thaw and the training loop look for it"
        " there.",
    )
    elsewhere = [key for key, _ in model.named_parameters() if key.split(".")[0] not in ("backbone", "head")]
    expect(not elsewhere, f"The parameter {elsewhere[:1]} lies outside backbone and head: what is new belongs into self.head.")
    expect(
        any(True for _ in model.head.parameters()),
        "The head has no parameters, so it cannot learn: it needs a linear layer from the hidden size to the classes.",
    )
    frozen = [key for key, parameter in model.named_parameters() if not parameter.requires_grad]
    expect(not frozen, f"{frozen[:1]} is frozen: what may learn is decided later, by thaw; freeze nothing here.")
    head = _drawn(model.head)
    model.eval()(_tokens())
    expect(model.head is head, "forward makes a new head at each call, so that it never learns: make it once, in __init__.")
    return model


def _expect_no_softmax(logits, name):
    values = logits.detach().double()
    whole = values.sum(-1)
    expect(
        not (values.min() >= 0 and torch.allclose(whole, torch.ones_like(whole), atol=1e-4)),
        f"{name} returns probabilities (each row adds up to 1); asked for are logits: the loss takes the softmax itself.",
    )
    expect(
        not torch.allclose(values.logsumexp(-1), torch.zeros_like(whole), atol=1e-4),
        f"{name} returns log-probabilities; asked for are logits: the loss takes the softmax itself.",
    )
    expect(
        not (values.min() >= 0 and values.max() <= 1),
        f"All logits of {name} lie between 0 and 1, as behind a sigmoid: a logit can be any number. The loss takes the softmax itself.",
    )
    expect(
        values.min() < 0 or not (values == 0).any(),
        f"No logit of {name} is negative, as behind a ReLU: nothing may follow the last linear layer.",
    )


def _expect_shape(result, shape, name, others):
    """``others`` maps wrong shapes to sentences."""
    expect(isinstance(result, torch.Tensor), f"{name}.forward returned a {type(result).__name__}; asked for is a tensor of logits.")
    found = tuple(result.shape)
    sentence = others.get(found, "")
    expect(
        found != shape or not result.isnan().all(),
        f"All logits of {name} are nan: is every token hidden from the model? An attention mask is 1 (True) where a token may be looked"
        " at, tokens != 1, not where padding is.",
    )
    expect(found == shape, f"{name}.forward returned shape {list(found)}; asked for is {list(shape)}. {sentence}".rstrip())


def _expect_dropout(student, name, real):
    """Off in eval mode, on in training mode, as strong as asked for; ``real`` picks the logits that count."""
    tokens = _tokens()
    model = _new(student, name, dropout=0.5)
    expect(
        torch.allclose(real(model(tokens)), real(model(tokens)), atol=1e-6),
        "Two calls in eval mode differ: dropout is always on. nn.Dropout, as a module of the model, follows train() and eval();"
        " F.dropout needs training=self.training.",
    )
    model.train()
    first, second = real(model(tokens)), real(model(tokens))
    asleep = [key for key, part in model.named_modules() if not part.training and key.split(".")[0] in ("backbone", "head", "")]
    expect(
        not asleep,
        f"After model.train() and a call, {asleep[:1]} is in eval mode: forward and __init__ should leave the mode to whoever trains.",
    )
    expect(
        not torch.allclose(first, second, atol=1e-6),
        "With dropout=0.5 two calls in training mode agree: dropout is never on.",
    )
    expect(
        (first == 0).float().mean() < 0.1,
        "In training mode some logits are exactly 0: dropout stands behind the head, and strikes out whole classes. It belongs before it.",
    )
    model.eval()
    real(model(tokens))
    awake = [key for key, part in model.named_modules() if part.training]
    expect(not awake, f"After model.eval() and a call, {awake[:1]} is in training mode: forward should leave the mode alone.")
    _expect_rates(student, name, real)


def _expect_rates(student, name, real):
    tokens = _tokens()
    model = _new(student, name, dropout=0.0)
    quiet = real(model(tokens))
    expect(
        torch.allclose(quiet, real(model.train()(tokens)), atol=1e-5),
        "With dropout=0.0 training mode gives other logits than eval mode: is the argument `dropout` used, as the share that is dropped?",
    )
    spreads = []
    for share in (0.2, 0.8):
        model = _new(student, name, dropout=share)
        quiet = real(model(tokens))
        model.train()
        spreads.append(torch.stack([(real(model(tokens)) - quiet).abs().mean() for _ in range(12)]).mean().item())
    expect(
        spreads[1] > 1.3 * spreads[0],
        "Dropout of 0.8 disturbs no more than dropout of 0.2: is the argument `dropout` used, as the share that is dropped?",
    )
    torch.manual_seed(0)
    model = _new(student, name).train()
    expect(
        not torch.allclose(real(model(tokens)), real(model(tokens)), atol=1e-6),
        f"{name}(backbone, classes) has no dropout: its default is 0.1.",
    )


def _expect_learns(student, name, real, by_hand):
    """The gradients of backbone and head must be those of the computation done by hand."""
    tokens = _tokens()
    found = []
    for forward in (lambda model: model(tokens), lambda model: by_hand(model, tokens)):
        model = _new(student, name, **_SETTINGS)
        logits = real(forward(model))
        expect(
            logits.requires_grad,
            "The logits have no gradient, so nothing can learn: no .detach(), no torch.no_grad(), no plm.forward in here.",
        )
        logits.square().sum().backward()
        found.append({key: parameter.grad for key, parameter in model.named_parameters() if parameter.grad is not None})
    own, wanted = found
    silent = [key for key in wanted if key not in own]
    part = "the backbone" if all(key.startswith("backbone") for key in silent) else "backbone and head"
    expect(
        not silent,
        f"No gradient reaches {part} ({', '.join(silent[:1])}): no .detach(), no torch.no_grad() around it. What stays frozen is decided by"
        " thaw, not here.",
    )
    wrong = [key for key in wanted if not torch.allclose(own[key], wanted[key], rtol=1e-2, atol=1e-3 * wanted[key].abs().max() + 1e-5)]
    expect(not wrong, f"The logits are right, but not the gradient of {', '.join(wrong[:1])}: no .detach(), no .data, no torch.no_grad().")


_MASKS = {
    "": lambda tokens: tokens != PAD,
    "the attention mask is forgotten, so that the model reads padding": lambda tokens: None,
    "the attention mask is turned round: 1 means 'may be looked at'": lambda tokens: (tokens == PAD).long(),
    "the attention mask hides <cls> and <eos>; only padding is to be hidden": _residues,
    "the attention mask treats id 0 as padding, but 0 is <cls> and 1 is <pad>": lambda tokens: tokens != 0,
}


def _hidden(model, tokens, mask):
    return model.backbone(tokens, attention_mask=mask(tokens)).last_hidden_state


def _earlier_states(model, tokens):
    """Hidden states that are not the last, from words to tensor."""
    states = model.backbone(tokens, attention_mask=tokens != PAD, output_hidden_states=True).hidden_states
    return {"the input embedding, hidden state 0": states[0], "the last layer but one": states[-2]}


# -------------------------------------------------------------------------------------------------- 5.1 SequenceClassifier

sequence_exercise = Exercise(
    "5.1",
    [classifiers.SequenceClassifier],
    hints=[
        (
            "Three steps: the backbone turns tokens into one vector per token, the mean makes one vector of a protein, the head makes one"
            " number per class of it."
        ),
        (
            "The backbone must be told what padding is (attention_mask=tokens != 1), and pc.mean_pool, your function of notebook 3, leaves"
            " out <cls>, <eos> and padding. Dropout as a module, nn.Dropout, knows by itself whether the model is being trained."
        ),
        (
            "self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(backbone.config.hidden_size, classes)); hidden ="
            " self.backbone(tokens, attention_mask=tokens != 1).last_hidden_state; return self.head(pc.mean_pool(hidden, tokens))."
        ),
    ],
)


def _mean_over(hidden, counted):
    counted = counted.unsqueeze(-1)
    return (hidden * counted).sum(1) / counted.sum(1).clamp(min=1)


def _pools(tokens):
    """Ways to make one vector of many, from words to function."""
    real, there = _residues(tokens), tokens != PAD
    place, length = torch.arange(tokens.shape[1])[None], real.sum(1, keepdim=True)
    return {
        "": lambda h: _mean_over(h, real),
        "your average counts <cls> and <eos>": lambda h: _mean_over(h, there),
        "your average counts padding, and <cls> and <eos> too": lambda h: h.mean(1),
        "your average counts padding": lambda h: _mean_over(h, real | ~there),
        "your average counts <cls>": lambda h: _mean_over(h, real | (place == 0)),
        "your average counts <eos>": lambda h: _mean_over(h, real | (tokens == 2)),
        "your average counts <eos> and padding: it leaves out <cls> alone": lambda h: h[:, 1:].mean(1),
        "you cut off the first and the last column: padding and <eos> of the shorter proteins stay in": lambda h: h[:, 1:-1].mean(1),
        "your average begins at <cls> and lacks the last residue": lambda h: _mean_over(h, place < length),
        "your average lacks the last residue": lambda h: _mean_over(h, (place > 0) & (place < length)),
        "your average leaves out X (id 24): residues are the ids 4 to 28": lambda h: _mean_over(h, (tokens >= 4) & (tokens <= 23)),
        "your sum over the residues is divided by the width of the batch": lambda h: (h * real[..., None]).mean(1),
        "this is the vector of <cls> alone, and ESM-2 was never trained to put anything there": lambda h: h[:, 0],
        "this is the vector of the first residue alone": lambda h: h[:, 1],
        "this is the vector of <eos> alone": lambda h: h[(tokens == 2)],
        "this is the sum over the residues; the mean divides it by their number": lambda h: (h * real[..., None]).sum(1),
        "this is the largest value of each coordinate (max pooling), not the mean": (
            lambda h: h.masked_fill(~real[..., None], -torch.inf).amax(1)
        ),
    }


def _sequence_mistakes(model, tokens):
    """What mistakes give with this model's own head, from sentence to logits."""
    found = {}
    for wrong_mask, mask in _MASKS.items():
        hidden = _hidden(model, tokens, mask)
        for wrong_pool, pool in _pools(tokens).items():
            sentence = ", and ".join(part for part in (wrong_pool, wrong_mask) if part)
            if sentence:
                found[f"{sentence[0].upper()}{sentence[1:]}."] = model.head(pool(hidden))
    pool = _pools(tokens)[""]
    for words, hidden in _earlier_states(model, tokens).items():
        found[f"The logits come from {words}; asked for is the last, last_hidden_state."] = model.head(pool(hidden))
    found["The vector of the mean is scaled to length 1; the head reads the mean itself."] = model.head(
        nn.functional.normalize(pool(_hidden(model, tokens, _MASKS[""])), dim=-1)
    )
    return found


def _sequence_by_hand(model, tokens):
    return model.head(_pools(tokens)[""](_hidden(model, tokens, _MASKS[""])))


def _expect_sequence_logits(model, tokens, classes):
    _expect_shape(
        model(tokens),
        (len(tokens), classes),
        "SequenceClassifier",
        {
            (len(tokens), tokens.shape[1], classes): "These are logits for every token; one row per protein is asked for.",
            (classes,): "With a single protein in the batch the first axis stays: no squeeze().",
            (len(tokens), 16): "These are vectors of the hidden size: was the head applied?",
        },
    )
    expect_close(
        model(tokens),
        _sequence_by_hand(model, tokens),
        lambda: _sequence_mistakes(model, tokens),
        "These are not the logits that your own head gives for the mean over the residues.",
        f"{_strip(tokens)}   →  only letters belong in the mean",
        tolerance=1e-3,
    )


@sequence_exercise.step("modules", points=0)
def sequence_modules(SequenceClassifier):
    model = _new(SequenceClassifier, "SequenceClassifier", 7)
    _expect_shape(model(_tokens()), (3, 7), "SequenceClassifier", {(3, 8, 7): "One row per protein is asked for, not per token."})
    _expect_no_softmax(model(_tokens()), "SequenceClassifier")


@sequence_exercise.step("one protein")
@torch.no_grad()
def sequence_one(SequenceClassifier):
    for sequence in ("MKTAYI", "W", "ACDXK"):
        _expect_sequence_logits(_new(SequenceClassifier, "SequenceClassifier"), _tokens([sequence]), 3)
    backbone = untrained(layers=2, dim=24, heads=2, attention="sdpa").model.esm
    _expect_sequence_logits(_new(SequenceClassifier, "SequenceClassifier", 5, backbone), _tokens(["MKTAYI"]), 5)


@sequence_exercise.step("padded batch")
@torch.no_grad()
def sequence_batch(SequenceClassifier):
    for sequences in (["MKT", "MK"], _SEQUENCES, ["W", _LONG]):
        _expect_sequence_logits(_new(SequenceClassifier, "SequenceClassifier", 2), _tokens(sequences), 2)


@sequence_exercise.step("dropout")
@torch.no_grad()
def sequence_dropout(SequenceClassifier):
    _expect_dropout(SequenceClassifier, "SequenceClassifier", lambda logits: logits)


@sequence_exercise.step("learns")
def sequence_learns(SequenceClassifier):
    _expect_learns(SequenceClassifier, "SequenceClassifier", lambda logits: logits, _sequence_by_hand)


# ---------------------------------------------------------------------------------- 5.2 ResidueClassifier and align_labels

residue_exercise = Exercise(
    "5.2",
    [classifiers.ResidueClassifier, classifiers.align_labels],
    hints=[
        (
            "The class is that of 5.1 without the mean: the head reads every token's vector. The labels then have to stand where the tokens"
            " of their residues stand."
        ),
        (
            "A linear layer works on the last axis, so it takes [proteins, tokens, dim] as it is. For the labels: start from a tensor like"
            " tokens that is full of -100, and compare the number of labels with the number of residues before you write them."
        ),
        (
            "return self.head(hidden); and aligned = torch.full_like(tokens, -100), then for each protein aligned[i, 1:1 + len(labels[i])]"
            " = torch.as_tensor(labels[i]), after `if len(labels[i]) != is_residue[i].sum(): raise ValueError(...)`."
        ),
    ],
)


def _residue_by_hand(model, tokens):
    return model.head(_hidden(model, tokens, _MASKS[""]))


def _at_residues(logits, tokens=None):
    tokens = _tokens() if tokens is None else tokens
    return logits[_residues(tokens)]


def _residue_mistakes(model, tokens):
    found = {f"{words[0].upper()}{words[1:]}.": model.head(_hidden(model, tokens, mask)) for words, mask in _MASKS.items() if words}
    for words, hidden in _earlier_states(model, tokens).items():
        found[f"The logits come from {words}; asked for is the last, last_hidden_state."] = model.head(hidden)
    right = _residue_by_hand(model, tokens)
    hidden = _hidden(model, tokens, _MASKS[""])
    mean = _mean_over(hidden, _residues(tokens))[:, None].expand_as(hidden)
    found["Each token should get its own logits: these come from the mean of the protein."] = model.head(mean)
    found["The logits are shifted by one token: leave the rows of all tokens where they are, <cls> in front."] = right.roll(-1, 1)
    found["The logits are shifted by one token: row i belongs to token i."] = right.roll(1, 1)
    found["The tokens are in reverse order."] = right.flip(1)
    return {sentence: _at_residues(value, tokens) for sentence, value in found.items()}


def _expect_residue_logits(model, tokens, classes):
    proteins, width = tokens.shape
    _expect_shape(
        model(tokens),
        (proteins, width, classes),
        "ResidueClassifier",
        {
            (proteins, width - 2, classes): (
                "The first and the last column are cut off; keep a row for every token, the labels say which ones count."
            ),
            (proteins, width - 1, classes): "A column is cut off; keep a row for every token, the labels say which ones count.",
            (proteins, classes): "One row per token is asked for, not one per protein.",
            (proteins, classes, width): "The classes are the last axis: [proteins, tokens, classes].",
            (proteins * width, classes): "Keep the proteins apart: [proteins, tokens, classes].",
        },
    )
    expect_close(
        _at_residues(model(tokens), tokens),
        _at_residues(_residue_by_hand(model, tokens), tokens),
        lambda: _residue_mistakes(model, tokens),
        "These are not the logits that your own head gives for each residue's vector.",
        _strip(tokens),
        tolerance=1e-3,
    )


@residue_exercise.step("modules", points=0)
def residue_modules(ResidueClassifier, align_labels):
    model, tokens = _new(ResidueClassifier, "ResidueClassifier", 7), _tokens()
    result = model(tokens)
    if tuple(getattr(result, "shape", ())) == (*tokens.shape, 7):
        _expect_no_softmax(_at_residues(result), "ResidueClassifier")
    else:
        _expect_residue_logits(model, tokens, 7)


@residue_exercise.step("logits")
@torch.no_grad()
def residue_logits(ResidueClassifier, align_labels):
    for sequences, classes in ((["MKTAYI"], 3), (["W"], 2), (["MKT", "MK"], 3), (_SEQUENCES, 2)):
        _expect_residue_logits(_new(ResidueClassifier, "ResidueClassifier", classes), _tokens(sequences), classes)
    backbone = untrained(layers=2, dim=24, heads=2, attention="sdpa").model.esm
    _expect_residue_logits(_new(ResidueClassifier, "ResidueClassifier", 4, backbone), _tokens(["MKTAYI"]), 4)


@residue_exercise.step("dropout")
@torch.no_grad()
def residue_dropout(ResidueClassifier, align_labels):
    _expect_dropout(ResidueClassifier, "ResidueClassifier", _at_residues)


@residue_exercise.step("learns")
def residue_learns(ResidueClassifier, align_labels):
    _expect_learns(ResidueClassifier, "ResidueClassifier", _at_residues, _residue_by_hand)


def _aligned(labels, tokens):
    """Labels at 1 … L, worked out without the package."""
    rows = [[IGNORE, *own, *[IGNORE] * (tokens.shape[1] - 1 - len(own))] for own in map(list, labels)]
    return torch.tensor(rows)


def _align_mistakes(labels, tokens):
    right, residue = _aligned(labels, tokens), _residues(tokens)
    first = [list(labels[0])[: len(own)] + list(labels[-1])[len(labels[0]) : len(own)] for own in labels]

    def elsewhere(cls, eos, pad):
        marked = right.clone()
        for token, value in ((0, cls), (2, eos), (PAD, pad)):
            marked[tokens == token] = value
        return marked

    found = {
        "The labels come one place too early: token 0 is <cls>, the first residue is token 1.": right.roll(-1, 1),
        "The labels come one place too late: the first residue is token 1.": right.roll(1, 1),
        "The classes are shifted by one: a label stays the number it is.": torch.where(residue, right + 1, right),
        "The classes are shifted by one: a label stays the number it is, 0 is a class.": torch.where(residue, right - 1, right),
        "The labels are shifted within each protein: every residue has the label of its neighbour.": _aligned(
            [np.roll(own, 1) for own in labels], tokens
        ),
        "The labels of each protein are shifted by one: every residue has the label of its neighbour.": _aligned(
            [np.roll(own, -1) for own in labels], tokens
        ),
        "The labels of each protein are in reverse order.": _aligned([list(own)[::-1] for own in labels], tokens),
        "Every protein got the labels of the first.": _aligned(first, tokens),
        "The last residue has lost its label.": _aligned([list(own)[:-1] for own in labels], tokens),
    }
    if all(len(own) == len(labels[0]) for own in labels):
        found.pop("Every protein got the labels of the first.")
    for name, value in {"0, which is a class": 0, "-1": -1, "1, the id of <pad>": 1}.items():
        found |= {
            f"<cls>, <eos> and padding are labelled {value}; asked for is -100, which the loss leaves out.": elsewhere(value, value, value),
            f"<pad>, the padding, is labelled {value}; asked for is -100.": elsewhere(IGNORE, IGNORE, value),
            f"<cls> and <eos> are labelled {value}; asked for is -100.": elsewhere(value, value, IGNORE),
            f"<cls> is labelled {value}; asked for is -100.": elsewhere(value, IGNORE, IGNORE),
            f"<eos> is labelled {value}; asked for is -100.": elsewhere(IGNORE, value, IGNORE),
            f"<eos> and padding are labelled {value}; asked for is -100.": elsewhere(IGNORE, value, value),
        }
    return found


def _align_sentence(result, labels, tokens):
    """What is wrong where no known mistake fits: the first place that differs."""
    right, residue = _aligned(labels, tokens), _residues(tokens)
    for steps, word in ((-1, "early"), (1, "late")):
        if torch.equal(result.roll(-steps, 1)[residue], right[residue]):
            return f"The labels come one place too {word}: token 0 is <cls>, the first residue is token 1."
    row, column = (result != right).nonzero()[0].tolist()
    name, found, wanted = TOKENS[tokens[row, column]], int(result[row, column]), int(right[row, column])
    if wanted == IGNORE:
        return f"{name} (protein {row}, token {column}) is labelled {found}; asked for is -100 wherever a token is no residue."
    return f"{name} (protein {row}, token {column}) is labelled {found}; its label is {wanted}."


@residue_exercise.step("labels")
def labels_in_place(ResidueClassifier, align_labels):
    for sequences in (["MKT"], ["MKT", "MK"], _SEQUENCES, ["W", _LONG, "MK"]):
        tokens = _tokens(sequences)
        labels = [np.arange(len(own)) * 2 % 3 + (place == 1) for place, own in enumerate(sequences)]
        case = f"labels {[own.tolist() for own in labels]} for {_strip(tokens)}"
        result = align_labels(labels, tokens)
        expect(isinstance(result, torch.Tensor), f"align_labels returned a {type(result).__name__}; asked for is a LongTensor.", case)
        cut = "<cls> and <eos> keep their columns, labelled -100." if result.shape[-1:] == (tokens.shape[1] - 2,) else ""
        expect(
            result.shape == tokens.shape,
            f"The labels have shape {list(result.shape)}, the tokens {list(tokens.shape)}: one label for every token. {cut}".rstrip(),
            case,
        )
        expect(
            result.dtype == torch.int64,
            f"The labels are {str(result.dtype).removeprefix('torch.')}; the loss wants a LongTensor (int64).",
            case,
        )
        if not torch.equal(result, _aligned(labels, tokens)):
            expect_close(
                result, _aligned(labels, tokens), lambda: _align_mistakes(labels, tokens), _align_sentence(result, labels, tokens), case
            )
    tokens = _tokens(["MKT"])
    unknown = align_labels([np.array([0, IGNORE, 2])], tokens)
    expect(unknown.tolist() == [[IGNORE, 0, IGNORE, 2, IGNORE]], "A label of -100 (not known) should stay -100.", "labels [0, -100, 2]")


@residue_exercise.step("labels that do not fit")
def labels_that_do_not_fit(ResidueClassifier, align_labels):
    tokens = _tokens(["MKT", "MK"])
    for labels, why in (
        ([[0, 1, 2], [0]], "The second protein has 2 residues and 1 label."),
        ([[0, 1, 2], [0, 1, 2]], "The second protein has 2 residues and 3 labels."),
        ([[0, 1], [0, 1]], "Protein 0 has 3 residues and 2 labels."),
        ([[0, 1, 2, 1], [0, 1]], "Protein 0 has 3 residues and 4 labels."),
        ([[0, 1], [0, 1, 2]], "Protein 0 has 3 residues and 2 labels, protein 1 the other way round."),
        ([[0, 1, 2]], "There are 2 proteins and labels for 1."),
        ([[0, 1, 2], [0, 1], [0, 1]], "There are 2 proteins and labels for 3."),
    ):
        expect_value_error(align_labels, [np.array(own) for own in labels], tokens, sentence=why)


# ------------------------------------------------------------------------------------------------------------- 5.3 thaw

thaw_exercise = Exercise(
    "5.3",
    [classifiers.thaw],
    hints=[
        "First freeze everything, whatever was trainable before; then open exactly what should learn.",
        (
            "module.requires_grad_(False), with the underscore, reaches every parameter of a module. The layers are"
            " model.backbone.encoder.layer, the norm behind them is model.backbone.encoder.emb_layer_norm_after. Mind last_n = 0: a list"
            " sliced with [-0:] is the whole list."
        ),
        (
            "depth = len(layers); if not 0 <= last_n <= depth: raise ValueError(...); model.requires_grad_(False);"
            " model.head.requires_grad_(True); for layer in layers[depth - last_n:]: layer.requires_grad_(True); the norm if last_n > 0;"
            " return model."
        ),
    ],
)


def _names(model, last_n):
    """Names of the parameters that should be trainable, worked out from the names alone."""
    depth = len(model.backbone.encoder.layer)
    opened = [f"backbone.encoder.layer.{k}." for k in range(depth - last_n, depth)]
    opened += ["head."] + (["backbone.encoder.emb_layer_norm_after."] if last_n else [])
    return {name for name, _ in model.named_parameters() if name.startswith(tuple(opened))}


def _layers_of(names):
    return sorted({int(name.split("layer.")[1].split(".")[0]) for name in names if "encoder.layer." in name})


def _thaw_sentence(found, model, last_n, before):
    """What these trainable parameters say about the mistake."""
    everything, wanted = {name for name, _ in model.named_parameters()}, _names(model, last_n)
    depth, opened, right = len(model.backbone.encoder.layer), _layers_of(found), _layers_of(wanted)
    norm = {name for name in everything if "emb_layer_norm_after" in name}
    head = {name for name in everything if name.startswith("head.")}
    other = found - norm - head - {name for name in everything if "encoder.layer." in name}
    if found == everything:
        if last_n == 0:
            return "Everything is trainable: with last_n = 0, layers[-0:] is the whole list; or nothing was frozen."
        if last_n == depth:
            return "Everything is trainable: all layers should be, but the embedding below them (and the contact head) stays frozen."
        return (
            "Everything is trainable: the backbone is not frozen first. requires_grad_(False), with the underscore, reaches all parameters"
            " of a module."
        )
    if not found:
        return (
            "Nothing is trainable, not even the head: freeze first, then open; requires_grad_(True), with the underscore, reaches all"
            " parameters of a module."
        )
    if not head <= found:
        return "The head is frozen; it always learns."
    if opened != right:
        return _layer_sentence(opened, right, depth, last_n, before)
    if norm & found != norm & wanted:
        return (
            "The final LayerNorm, encoder.emb_layer_norm_after, is forgotten: it belongs to the last layers, and learns with them."
            if last_n
            else "With last_n = 0 the backbone is frozen altogether, its final LayerNorm too."
        )
    if other:
        kind = "contact head" if all("contact" in name for name in other) else "embedding" if all("embed" in name for name in other) else ""
        return f"The backbone's {kind or 'other part'} is trainable ({sorted(other)[0]}): only layers, final LayerNorm and head may be."
    return f"{sorted(wanted ^ found)[0]} is {'trainable' if found - wanted else 'frozen'}, and should not be."


def _layer_sentence(opened, right, depth, last_n, before):
    if last_n == 0 and opened == list(range(depth)):
        return "With last_n = 0 all layers are trainable: layers[-0:] is the whole list. 0 means a frozen backbone."
    if opened == list(range(last_n)):
        return f"Layers {opened} are trainable, counted from the front; the last {last_n} are {right}."
    if before == "everything" and set(opened) > set(right) and len(opened) == depth:
        return f"All layers are trainable, {right} should be: the others are not frozen first."
    if before.startswith("thawed") and set(opened) > set(right):
        return f"Layers {opened} are trainable, {right} should be: what an earlier call opened is not closed again."
    if opened == right[1:]:
        return f"One layer too few: {opened or 'none'} instead of {right}."
    if opened == list(range(depth - last_n - 1, depth)):
        return f"One layer too many: {opened} instead of {right}."
    return f"The trainable layers are {opened or 'none'}; the last {last_n} of {depth} are {right or 'none'} (counted from 0)."


def _tiny_classifier(kind, depth=3):
    backbone = _backbone() if depth == 3 else untrained(layers=depth, dim=16, heads=2, attention="sdpa").model.esm
    torch.manual_seed(0)
    return kind(backbone, 3)


_KINDS = (classifiers.SequenceClassifier, classifiers.ResidueClassifier)


def _expect_thawed(thaw, model, last_n, before):
    weights = {name: parameter.clone() for name, parameter in model.named_parameters()}
    result = thaw(model, last_n)
    case = f"{type(model).__name__} with {len(model.backbone.encoder.layer)} layers, last_n = {last_n}; before: {before} trainable"
    expect(
        result is model,
        f"thaw returned a {type(result).__name__}, another object than it was given: change the model in place, and return it.",
        case,
    )
    found = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    if found != _names(model, last_n):
        raise Wrong(_thaw_sentence(found, model, last_n, before), case)
    changed = [name for name, parameter in model.named_parameters() if not torch.equal(parameter, weights[name])]
    expect(not changed, f"The weights of {changed[:1]} have changed; thaw only says what may learn.", case)


@thaw_exercise.step("last layers")
def thaw_last(thaw):
    for kind in _KINDS:
        for last_n in (1, 2):
            _expect_thawed(thaw, _tiny_classifier(kind), last_n, "everything")
    depth = 5 if inputs.SEED == 0 else int(inputs.rng().integers(4, 9))
    _expect_thawed(thaw, _tiny_classifier(_KINDS[0], depth), 2, "everything")


@thaw_exercise.step("none and all")
def thaw_ends(thaw):
    for kind in _KINDS:
        _expect_thawed(thaw, _tiny_classifier(kind), 0, "everything")
        _expect_thawed(thaw, _tiny_classifier(kind), 3, "everything")


@thaw_exercise.step("whatever was before")
def thaw_again(thaw):
    for kind in _KINDS:
        _expect_thawed(thaw, _tiny_classifier(kind).requires_grad_(False), 1, "nothing")
        _expect_thawed(thaw, _tiny_classifier(kind).requires_grad_(False), 0, "nothing")
        model = _tiny_classifier(kind)
        for before, last_n in ((None, 3), (3, 1), (1, 2), (2, 0), (0, 1)):
            _expect_thawed(thaw, model, last_n, "everything" if before is None else f"thawed with last_n = {before},")
    model = _tiny_classifier(_KINDS[0])
    classifiers.thaw(model, 1)
    model.backbone.embeddings.requires_grad_(True)
    model.backbone.contact_head.requires_grad_(True)
    _expect_thawed(thaw, model, 1, "thawed, and embeddings and contact head opened by hand:")


@thaw_exercise.step("impossible numbers")
def thaw_bad(thaw):
    for last_n, why in ((4, "the model has 3 layers"), (100, "the model has 3 layers"), (-1, "a negative number of layers does not exist")):
        expect_value_error(thaw, _tiny_classifier(_KINDS[0]), last_n, sentence=f"last_n = {last_n}: {why}.")


# ----------------------------------------------------------------------------------------------------------- 5.4 scores

scores_exercise = Exercise(
    "5.4",
    [metrics.scores],
    hints=[
        (
            "Two parts: three numbers from one flat list of true and predicted labels, and the same three numbers for many samples drawn"
            " with replacement. What is drawn are proteins when true is a list of arrays: residues of a protein resemble each other."
        ),
        (
            "Throw the positions with -100 away first, the same ones on both sides. f1_score needs labels=range(classes), average='macro',"
            " zero_division=0, or a class that nobody has disappears from the mean. In a draw, join the arrays of the drawn proteins."
        ),
        (
            "rows = rng.integers(0, n, n) with rng = np.random.default_rng(seed); y = np.concatenate([true[i] for i in rows]), and p"
            " likewise; at the end np.quantile(values, [(1 - level) / 2, (1 + level) / 2]) for each of the three. Much faster: one confusion"
            " matrix per protein; that of a draw is their sum, and pc.metrics.from_confusion scores many at once."
        ),
    ],
)

_METRICS = ("macro_f1", "mcc", "q3")


def _labelled(n=60, classes=3, right=0.7, seed=0):
    """Labels of which the last class is rare, and guesses of which about the share ``right`` is right."""
    generator = inputs.rng(seed)
    shares = np.array([0.55, 0.33, *[0.12 / (classes - 2)] * (classes - 2)])
    true = generator.choice(classes, n, p=shares / shares.sum())
    guess = np.where(generator.random(n) < right, true, generator.integers(0, classes, n))
    return true, guess


def _proteins(n=24, length=30, seed=0):
    """Proteins of which each is predicted well or badly as a whole, with some positions of no known label."""
    generator = inputs.rng(seed)
    true, guess = [], []
    for i in range(n):
        own = generator.integers(0, 3, length + i % 7)
        true.append(own)
        guess.append(np.where(generator.random(len(own)) < (0.95 if i % 2 else 0.3), own, (own + 1) % 3))
    for own in true:
        own[:4] = IGNORE
    return true, guess


def _values(true, guess, classes):
    """The three numbers, from scikit-learn."""
    macro = f1_score(true, guess, labels=range(classes), average="macro", zero_division=0)
    return {"macro_f1": macro, "mcc": matthews_corrcoef(true, guess), "q3": accuracy_score(true, guess)}


def _flat(true, guess):
    joined = [np.concatenate([np.atleast_1d(part) for part in parts]) for parts in (true, guess)]
    return [part[joined[0] != IGNORE] for part in joined], joined


def _f1(true, guess, classes, average, labels=None, zero=0):
    return f1_score(true, guess, labels=labels, average=average, zero_division=zero)


def _macro_f1_mistakes(t, p, classes):
    everything = range(classes)
    return {
        "This F1 leaves out a class that nobody has and nobody predicts; it counts, with F1 0 (labels=range(classes)).": _f1(
            t, p, classes, "macro"
        ),
        "This F1 averages over the classes that occur among the true labels; all classes count (labels=range(classes)).": _f1(
            t, p, classes, "macro", np.unique(t)
        ),
        "This is the weighted F1, in which frequent classes count more; asked for is the plain (macro) mean over classes.": _f1(
            t, p, classes, "weighted", everything
        ),
        "This is the micro F1, which is the accuracy; asked for is the plain (macro) mean over classes.": _f1(
            t, p, classes, "micro", everything
        ),
        "A class that nobody has and nobody predicts got F1 1; asked for is 0.": _f1(t, p, classes, "macro", everything, 1),
        "This is the mean recall of the classes; F1 combines recall and precision.": _mean_recall(t, p, classes),
        "This F1 leaves out class 0; all classes count.": _f1(t, p, classes, "macro", everything[1:]),
        "This is the F1 of a single class; asked for is the mean over all classes.": _f1(t, p, classes, None, everything)[-1],
    }


def _mcc_mistakes(t, p, classes):
    numbers = "This is Pearson's correlation of the class numbers, which are only names; see sklearn.metrics.matthews_corrcoef."
    return {
        "This is the accuracy.": accuracy_score(t, p),
        "The sign is turned.": -matthews_corrcoef(t, p),
        numbers: np.corrcoef(t, p)[0, 1] if np.ptp(t) and np.ptp(p) else np.nan,
    }


def _q3_mistakes(t, p, classes):
    return {
        "This is the mean recall of the classes (balanced accuracy); Q3 is the share of all positions that are right.": _mean_recall(
            t, p, classes
        ),
        "This is the share of wrong answers; asked for is that of right ones.": 1 - accuracy_score(t, p),
    }


_MISTAKES = {"macro_f1": _macro_f1_mistakes, "mcc": _mcc_mistakes, "q3": _q3_mistakes}


def _value_mistakes(name, true, guess, classes):
    """What mistakes give for one of the three, from sentence to value."""
    (t, p), (raw_true, raw_guess) = _flat(true, guess)
    found = _MISTAKES[name](t, p, classes)
    if len(raw_true) > len(t):
        sentence = "Positions with -100 count in this value: throw them away, on both sides, before you score."
        found[sentence] = _with_ignored(name, raw_true, raw_guess)
    if np.ndim(true[0]):
        each = [_values(*_flat([own], [its])[0], classes)[name] for own, its in zip(true, guess)]
        found["This is the mean of the proteins' own scores; asked for is one score over the residues of all of them."] = np.mean(each)
    return {f"{name}: {sentence}": float(value) for sentence, value in found.items()}


def _mean_recall(true, guess, classes):
    """Mean over all classes of the share of members found."""
    return sum(np.mean(guess[true == k] == k) for k in range(classes) if (true == k).any()) / classes


def _with_ignored(name, true, guess):
    if name == "macro_f1":
        return f1_score(true, guess, average="macro", zero_division=0)
    return matthews_corrcoef(true, guess) if name == "mcc" else accuracy_score(true, guess)


def _expect_values(scores, true, guess, classes, case):
    with warnings.catch_warnings(record=True):  # a draw of so few may hold a single class, and scikit-learn says so
        result, other = (scores(true, guess, classes, n_boot=3, seed=seed) for seed in (0, 1))
    wanted = _values(*_flat(true, guess)[0], classes)
    for name in _METRICS:
        value, second = map(float, result[name][:2])
        expect(
            abs(value - wanted[name]) < 1e-6 or abs(second - wanted[name]) > 1e-6,
            f"The second number of {name} is its value; asked for is (value, low, high).",
            case,
        )
        expect(
            abs(value - wanted[name]) < 1e-6 or abs(value - float(other[name][0])) < 1e-9,
            f"The value of {name} depends on the seed: is it the mean of the draws? Asked for is the score of the data themselves.",
            case,
        )
        expect_close(
            float(result[name][0]),
            wanted[name],
            lambda: _value_mistakes(name, true, guess, classes),  # noqa: B023, used before the loop goes on
            f"{name} is {float(result[name][0]):.4f}; it should be {wanted[name]:.4f}.",
            case,
            tolerance=1e-6,
        )


@scores_exercise.step("three triples", points=0)
def scores_shape(scores):
    result = scores(*_labelled(), 3, n_boot=3)
    expect(isinstance(result, dict), f"scores returned a {type(result).__name__}; asked for is a dict with the keys {', '.join(_METRICS)}.")
    expect(set(_METRICS) <= set(result), f"The dict has the keys {sorted(map(str, result))}; asked for are {', '.join(_METRICS)}.")
    for name in _METRICS:
        entry = result[name]
        good = isinstance(entry, (tuple, list, np.ndarray)) and len(entry) == 3 and all(np.ndim(value) == 0 for value in entry)
        expect(good, f"{name} is {entry!r}; asked for are three numbers: (value, low, high).")
        expect(np.isfinite([float(value) for value in entry]).all(), f"{name} is {entry!r}; asked for are three finite numbers.")


@scores_exercise.step("values")
def scores_values(scores):
    small = np.array([0, 0, 0, 0, 1, 1, 2]), np.array([0, 0, 0, 1, 1, 0, 0])
    _expect_values(scores, *small, 3, f"true {small[0].tolist()}, predicted {small[1].tolist()}")
    _expect_values(scores, *_labelled(), 3, "60 proteins, three classes")
    _expect_values(scores, *_labelled(classes=5, right=0.5, seed=3), 5, "60 proteins, five classes")
    perfect = np.array([0, 1, 2, 1])
    _expect_values(scores, perfect, perfect, 3, "all predictions right")
    _expect_values(scores, perfect, np.zeros(4, int), 3, "true [0, 1, 2, 1], and class 0 predicted for all")
    for classes in (3, 4):
        two = np.array([0, 0, 1, 1, 0]), np.array([0, 1, 1, 1, 0])
        _expect_values(
            scores, *two, classes, f"true {two[0].tolist()}, predicted {two[1].tolist()}, {classes} classes: nobody has class {classes - 1}"
        )


@scores_exercise.step("residues, -100")
def scores_ignored(scores):
    true = [np.array([0, 1, IGNORE, 2]), np.array([1, IGNORE, 0])]
    guess = [np.array([0, 1, 1, 1]), np.array([1, 0, 2])]
    case = f"true {[own.tolist() for own in true]}, predicted {[own.tolist() for own in guess]}"
    _expect_values(scores, true, guess, 3, case)
    _expect_values(scores, *_proteins(), 3, "24 proteins, the first four positions of each -100")
    rows = np.array([0, 1, IGNORE, 2, 1, 0]), np.array([0, 1, 1, 1, 1, 1])
    _expect_values(scores, *rows, 3, f"true {rows[0].tolist()}, predicted {rows[1].tolist()}")


@functools.cache
def _expected_draws(kind):
    """Draws of the three numbers, many of them: dict from name to array. Kind: rows, proteins, or residues drawn one by one."""
    if kind == "rows":
        matrices = metrics.confusions(*_labelled(), 3)
    elif kind == "proteins":
        matrices = metrics.confusions(*_proteins(), 3)
    else:
        matrices = metrics.confusions(*_flat(*_proteins())[0], 3)
    return metrics.from_confusion(metrics.redraw(matrices, 4000, seed=11))


def _near(found, kind, name, level):
    """Whether an interval is the one of these draws, up to what 60 or 120 draws leave to chance."""
    draws = _expected_draws(kind)[name]
    wanted = metrics.interval(draws, level)
    chance = 1.1 if level > 0.9 else 0.62  # the ends of a wide interval scatter more
    return max(abs(a - b) for a, b in zip(found, wanted)) < chance * draws.std(), wanted


def _expect_interval(result, kind, level, case, twin=None):
    for name in _METRICS:
        value, low, high = map(float, result[name])
        expect(low <= high, f"The interval of {name} runs from {low:.3f} to {high:.3f}: low and high are exchanged.", case)
        expect(
            high - low > 1e-6,
            f"The interval of {name} has no width: all draws are the same. Draw with replacement, from one generator for all draws.",
            case,
        )
        good, wanted = _near((low, high), kind, name, level)
        if good:
            continue
        about = f"The {level:.0%} interval of {name} is {low:.3f} to {high:.3f}; about {wanted[0]:.3f} to {wanted[1]:.3f} is expected."
        if twin and _near((low, high), twin, name, level)[0]:
            raise Wrong(f"{about} Yours draws residues one by one. Residues of a protein resemble each other: draw whole proteins.", case)
        if level != 0.95 and _near((low, high), kind, name, 0.95)[0]:
            raise Wrong(f"{about} Yours is the 95 % interval: use the argument level.", case)
        spread = _expected_draws(kind)[name].std()
        if not low - 2 * spread < value < high + 2 * spread:
            why = "draw true and predicted together, at the same places"
            raise Wrong(f"{about} It lies far from {name} = {value:.3f} itself: {why}.", case)
        raise Wrong(about, case)


@scores_exercise.step("interval")
def scores_interval(scores):
    for level, n_boot in ((0.95, 120), (0.5, 120 if inputs.SEED else 60)):  # of other data, 60 draws leave too much to chance
        case = f"60 proteins with one label each, {n_boot} draws, level={level}"
        _expect_interval(scores(*_labelled(), 3, n_boot=n_boot, level=level), "rows", level, case)
    _expect_single_draws(scores)
    _expect_every_row(scores)
    nearly = np.arange(40) % 2, np.r_[1, np.arange(1, 40) % 2]
    for name, (value, low, high) in scores(*nearly, 2, n_boot=25).items():
        expect(
            name not in _METRICS or high <= 1 + 1e-9,
            f"The interval of {name} ends at {high:.3f}, and nothing is better than 1: take percentiles of the draws, not the value plus"
            " and minus something.",
            "40 proteins, 39 of them right",
        )


def _expect_single_draws(scores):
    """With n_boot=1 the interval is the one draw itself: look at some."""
    true, guess = np.array([0, 1, 0, 1, 0]), np.array([0, 1, 0, 1, 1])
    case = "5 proteins, the last one predicted wrongly, n_boot=1, 12 seeds"
    with warnings.catch_warnings(record=True):
        found = [tuple(map(float, scores(true, guess, 2, n_boot=1, seed=seed)["q3"])) for seed in range(12)]
    expect(
        all(abs(high - low) < 1e-9 for _, low, high in found),
        "With n_boot=1 there is one draw, and yet the interval has a width: n_boot is not used, or the interval is not made of percentiles"
        " of the draws.",
        case,
    )
    expect(
        any(abs(low - value) > 1e-9 for value, low, _ in found),
        "With n_boot=1 both ends are the value itself, whatever the seed: asked for are percentiles of the draws, not the value plus and"
        " minus something.",
        case,
    )
    odd = [low for _, low, _ in found if abs(5 * low - round(5 * low)) > 1e-6]
    expect(
        not odd,
        f"A draw of 5 proteins has an accuracy of {odd[:1]}, which is no number of fifths: a draw has as many proteins as the data, with"
        " replacement, and one that is drawn twice counts twice.",
        case,
    )


def _expect_every_row(scores):
    """One row is wrong, the first or the last: a draw with it is worse than one without it."""
    for place, name in ((0, "first"), (7, "last")):
        true = np.arange(8) % 2
        guess = np.where(np.arange(8) == place, 1 - true, true)
        with warnings.catch_warnings(record=True):
            low = scores(true, guess, 2, n_boot=25)["q3"][1]
        expect(
            low < 0.95,
            f"The {name} protein is never drawn: rng.integers(0, n, n) draws 0 to n - 1.",
            f"8 proteins, the {name} one predicted wrongly",
        )


@scores_exercise.step("proteins are drawn")
def scores_proteins(scores):
    case = "24 proteins of about 30 residues, each predicted well or badly as a whole; 100 draws"
    _expect_interval(scores(*_proteins(), 3, n_boot=100), "proteins", 0.95, case, twin="residues")


@scores_exercise.step("seed, draws, bad input")
def scores_options(scores):
    state = np.random.get_state()[1].copy()
    found = [scores(*_labelled(), 3, n_boot=4, seed=seed) for seed in (4, 4, 5, 0, 0)]
    triples = [[tuple(map(float, one[name])) for name in _METRICS] for one in found]
    expect(triples[0] == triples[1], "Two calls with the same seed give two intervals: all randomness must come from the seed.")
    expect(triples[3] == triples[4], "Two calls with seed=0 give two intervals: 0 is a seed like any other.")
    expect(triples[0] != triples[2], "Seeds 4 and 5 give the same interval: the seed is not used.")
    expect(np.array_equal(state, np.random.get_state()[1]), "The global random state has changed: use np.random.default_rng(seed).")
    true, guess = np.array([0, 1, 2, 1]), np.array([0, 1, 1, 1])
    for bad, why in (
        ((true, guess[:3], 3), "4 true and 3 predicted labels."),
        (([true, true], [guess, guess[:3]], 3), "The second protein has 4 true and 3 predicted labels."),
        (([true, true], [guess], 3), "2 proteins in true and 1 in predicted."),
        ((np.full(4, IGNORE), guess, 3), "All true labels are -100: there is nothing to score."),
        ((true, guess, 2), "The true label 2 does not exist with 2 classes."),
        ((np.minimum(true, 1), np.array([0, 1, 2, 1]), 2), "The predicted label 2 does not exist with 2 classes."),
        ((np.array([0, 1, -1, 1]), guess, 3), "The true label -1 is no class; only -100 means 'no label'."),
    ):
        expect_value_error(scores, *bad, sentence=why, n_boot=3)
