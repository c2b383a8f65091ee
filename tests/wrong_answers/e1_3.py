"""Exercise 1.3, audit_masking."""
import inspect
from collections import Counter

import numpy as np
import torch

NAMES = ["mutates_input", "touches_special", "bad_replacements", "wrong_labels", "wrong_rate", "wrong_split",
         "ignores_generator"]


def _batch(rows=250, longest=120, odd=True, padded=True, ids=range(4, 24), seed=1):
    """A batch of random proteins of different lengths, with some X, B, U, Z, O where ``odd``."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.tensor(list(ids))
    tokens = ids[torch.randint(0, len(ids), (rows, longest + 2), generator=generator)]
    if odd:
        others = torch.rand(tokens.shape, generator=generator) < 0.1
        tokens = torch.where(others, torch.randint(24, 29, tokens.shape, generator=generator), tokens)
    lengths = torch.randint(longest // 2, longest + 1, (rows, 1), generator=generator)
    lengths[0] = longest
    if not padded:
        lengths[:] = longest
    column = torch.arange(longest + 2)
    tokens = tokens.masked_fill(column > lengths + 1, 1).masked_fill(column == lengths + 1, 2)
    tokens[:, 0] = 0
    return tokens


def _generator(seed):
    return torch.Generator().manual_seed(seed)


def _residue(tokens):
    return (tokens >= 4) & (tokens <= 23)


def _mutates(mask_fn, tokens, handed, corrupted, labels):
    return not torch.equal(handed, tokens)


def _touches(mask_fn, tokens, handed, corrupted, labels):
    return bool((((corrupted != tokens) | (labels != -100)) & ~_residue(tokens)).any())


def _put_in(tokens, corrupted):
    return corrupted[(corrupted != tokens) & (corrupted != 32)]


def _bad_replacements(mask_fn, tokens, handed, corrupted, labels):
    found = set(_put_in(tokens, corrupted).tolist())
    return bool(found) and found != set(range(4, 24))


def _wrong_labels(mask_fn, tokens, handed, corrupted, labels):
    inside = _residue(tokens)
    foreign = inside & (labels != -100) & (labels != tokens)
    silent = inside & (corrupted != tokens) & (labels == -100)
    return bool(foreign.any() or silent.any() or (labels[inside] != -100).all())


def _rate(tokens, labels):
    return (labels[_residue(tokens)] != -100).double().mean().item()


def _wrong_rate(mask_fn, tokens, handed, corrupted, labels):
    return abs(_rate(tokens, labels) - 0.15) > 0.025


def _shares(tokens, corrupted, labels):
    """Shares of the labelled residues that are <mask>, changed otherwise, unchanged."""
    chosen = _residue(tokens) & (labels != -100)
    new, old = corrupted[chosen], tokens[chosen]
    masked, same = (new == 32).double().mean().item(), (new == old).double().mean().item()
    return masked, 1 - masked - same, same


def _wrong_split(mask_fn, tokens, handed, corrupted, labels):
    return any(abs(found - wanted) > 0.05
               for found, wanted in zip(_shares(tokens, corrupted, labels), (0.8, 0.095, 0.105)))


def _differ(first, second):
    return not all(torch.equal(a, b) for a, b in zip(first, second))


def _ignores(mask_fn, tokens, handed, corrupted, labels):
    first, again, other = (mask_fn(tokens.clone(), _generator(seed)) for seed in (7, 7, 8))
    return _differ(first, again) or not _differ(first, other)


TESTS = dict(zip(NAMES, [_mutates, _touches, _bad_replacements, _wrong_labels, _wrong_rate, _wrong_split, _ignores]))


def _audit(mask_fn, tokens=None, **replaced):
    """An auditor that is right, unless the batch or one of its tests is replaced by a wrong one."""
    tokens = _batch() if tokens is None else tokens
    handed = tokens.clone()
    corrupted, labels = mask_fn(handed, _generator(0))
    found = {name for name, test in (TESTS | replaced).items() if test(mask_fn, tokens, handed, corrupted, labels)}
    return found - {"wrong_rate", "wrong_split"} if "wrong_labels" in found else found


# ----------------------------------------------------------------------------------------------- the form of the answer

def wrong_audit_masking__always_content(mask_fn):
    """Finds nothing, ever.

    message: was not noticed
    """
    return set()


def wrong_audit_masking__always_everything(mask_fn):
    """Finds everything, always.

    message: A correct function is accused of
    """
    return set(NAMES)


def wrong_audit_masking__list(mask_fn):
    """Returns a list.

    message: returned a list; asked for is a set
    """
    return sorted(_audit(mask_fn))


def wrong_audit_masking__tuple(mask_fn):
    """Returns a tuple.

    message: returned a tuple; asked for is a set
    """
    return tuple(_audit(mask_fn))


def wrong_audit_masking__text(mask_fn):
    """Returns one text.

    message: returned a str; asked for is a set
    """
    return ", ".join(sorted(_audit(mask_fn)))


def wrong_audit_masking__boolean(mask_fn):
    """Only says whether something is wrong.

    message: returned a bool; asked for is a set
    """
    return bool(_audit(mask_fn))


def wrong_audit_masking__dict(mask_fn):
    """Returns a dictionary from name to True or False.

    message: returned a dict; asked for is a set
    """
    found = _audit(mask_fn)
    return {name: name in found for name in NAMES}


def wrong_audit_masking__letters(mask_fn):
    """set("wrong_rate") is a set of letters.

    message: none of the seven names
    """
    found = set()
    for name in _audit(mask_fn):
        found |= set(name)
    return found


def wrong_audit_masking__none_when_correct(mask_fn):
    """Returns None, not an empty set, when nothing is wrong.

    message: returns None
    """
    return _audit(mask_fn) or None


def wrong_audit_masking__empty_dict(mask_fn):
    """{} is an empty dictionary, not an empty set.

    message: returned a dict; asked for is a set
    """
    found = {}
    for name in _audit(mask_fn):
        found = set(found) | {name}
    return found


def wrong_audit_masking__misspelt(mask_fn):
    """Another spelling of one name.

    message: 'mutates_inputs', which is none
    """
    return {name.replace("mutates_input", "mutates_inputs") for name in _audit(mask_fn)}


def wrong_audit_masking__own_name(mask_fn):
    """Adds a name of its own for a correct function.

    message: 'ok', which is none
    """
    return _audit(mask_fn) or {"ok"}


def wrong_audit_masking__first_bug_only(mask_fn):
    """Stops at the first bug.

    message: was not noticed
    """
    found = _audit(mask_fn)
    return {next(name for name in NAMES if name in found)} if found else found


def wrong_audit_masking__last_bug_only(mask_fn):
    """`found = {name}` instead of `found.add(name)`: the last bug replaces the others.

    message: was not noticed
    """
    found = _audit(mask_fn)
    return {[name for name in NAMES if name in found][-1]} if found else found


def wrong_audit_masking__keeps_between_calls(mask_fn, found=set()):  # noqa: B006
    """A set as default argument keeps the bugs of earlier maskers.

    message: accused of 'mutates_input', but
    """
    found |= _audit(mask_fn)
    return found


def wrong_audit_masking__nothing(mask_fn):
    """Forgets the return.

    message: is the line with 'return' missing?
    """
    _audit(mask_fn)


# -------------------------------------------------------------------------------------------------------- mutates_input

def wrong_audit_masking__mutation_not_tested(mask_fn):
    """Never looks at the tensor that was handed in.

    message: 'mutates_input' was not noticed
    """
    return _audit(mask_fn, mutates_input=lambda *args: False)


def wrong_audit_masking__before_is_no_copy(mask_fn):
    """`before = tokens` is the same tensor: never differs, and what follows is compared with the changed one.

    message: 'mutates_input' was not noticed
    """
    tokens = _batch()
    before = tokens
    corrupted, labels = mask_fn(tokens, _generator(0))
    found = {name for name, test in TESTS.items() if test(mask_fn, before, tokens, corrupted, labels)}
    return found - {"wrong_rate", "wrong_split"} if "wrong_labels" in found else found


def wrong_audit_masking__identity(mask_fn):
    """Asks whether the result is the input object: misses a change whose result is copied.

    message: 'mutates_input' was not noticed
    """
    return _audit(mask_fn, mutates_input=lambda fn, tokens, handed, corrupted, labels:
                  corrupted is handed or labels is handed)


def wrong_audit_masking__compares_with_the_changed_input(mask_fn):
    """Notices the change, but compares everything else with the changed tensor.

    message: it writes <mask> into the tokens it was given
    """
    tokens = _batch()
    handed = tokens.clone()
    corrupted, labels = mask_fn(handed, _generator(0))
    found = {name for name, test in TESTS.items() if test(mask_fn, handed, handed, corrupted, labels)}
    found -= {"wrong_rate", "wrong_split"} if "wrong_labels" in found else set()
    return found | ({"mutates_input"} if _mutates(mask_fn, tokens, handed, corrupted, labels) else set())


def wrong_audit_masking__same_tensor_again(mask_fn):
    """Hands the same tensor to every call: after a masker that changes it, the seeds seem not to matter.

    message: it writes <mask> into the tokens it was given
    """
    tokens = _batch()
    handed = tokens.clone()
    corrupted, labels = mask_fn(handed, _generator(0))
    mutated = not torch.equal(handed, tokens)
    first, again, other = (tuple(part.clone() for part in mask_fn(handed, _generator(seed))) for seed in (7, 7, 8))
    found = {name for name, test in TESTS.items() if name not in ("mutates_input", "ignores_generator")
             and test(mask_fn, tokens, handed, corrupted, labels)}
    found -= {"wrong_rate", "wrong_split"} if "wrong_labels" in found else set()
    found |= {"mutates_input"} if mutated else set()
    return found | ({"ignores_generator"} if _differ(first, again) or not _differ(first, other) else set())


def wrong_audit_masking__shape_compared(mask_fn):
    """Compares the tensor's shape and type before and after, not what is in it.

    message: 'mutates_input' was not noticed
    """
    return _audit(mask_fn, mutates_input=lambda fn, tokens, handed, corrupted, labels:
                  handed.shape != tokens.shape or handed.dtype != tokens.dtype)


def wrong_audit_masking__labels_watched(mask_fn):
    """Notices only -100 in the tensor that was handed in: misses a <mask> written there.

    message: 'mutates_input' was not noticed
    """
    return _audit(mask_fn, mutates_input=lambda fn, tokens, handed, corrupted, labels: bool((handed == -100).any()))


def wrong_audit_masking__masks_watched(mask_fn):
    """Notices only <mask> in the tensor that was handed in: misses -100 or a residue written there.

    message: 'mutates_input' was not noticed
    """
    return _audit(mask_fn, mutates_input=lambda fn, tokens, handed, corrupted, labels: bool((handed == 32).any()))


# ------------------------------------------------------------------------------------------------------ touches_special

def wrong_audit_masking__special_not_tested(mask_fn):
    """Never looks at the special tokens.

    message: 'touches_special' was not noticed
    """
    return _audit(mask_fn, touches_special=lambda *args: False)


def wrong_audit_masking__no_padding_in_the_batch(mask_fn):
    """All proteins are equally long: a masker that hides padding is not found out.

    message: a batch without padding cannot show that
    """
    return _audit(mask_fn, tokens=_batch(padded=False))


def wrong_audit_masking__no_x_in_the_batch(mask_fn):
    """No X in the batch: a masker that hides X is not found out.

    message: it selects X, B, U, Z and O
    """
    return _audit(mask_fn, tokens=_batch(odd=False))


def wrong_audit_masking__x_is_a_residue(mask_fn):
    """Takes the ids 24 to 28 for residues.

    message: 'touches_special' was not noticed
    """
    return _audit(mask_fn, touches_special=lambda fn, tokens, handed, corrupted, labels: bool(
        (((corrupted != tokens) | (labels != -100)) & ((tokens < 4) | (tokens > 28))).any()))


def wrong_audit_masking__cls_and_eos_only(mask_fn):
    """Forgets padding and X.

    message: 'touches_special' was not noticed
    """
    return _audit(mask_fn, touches_special=lambda fn, tokens, handed, corrupted, labels: bool(
        (((corrupted != tokens) | (labels != -100)) & ((tokens == 0) | (tokens == 2))).any()))


def wrong_audit_masking__padding_forgotten(mask_fn):
    """Looks at <cls>, <eos> and X, not at padding.

    message: it selects <pad>, too
    """
    return _audit(mask_fn, touches_special=lambda fn, tokens, handed, corrupted, labels: bool(
        (((corrupted != tokens) | (labels != -100)) & ~_residue(tokens) & (tokens != 1)).any()))


def wrong_audit_masking__special_labels_only(mask_fn):
    """Looks at the labels of special tokens, not at whether they are changed.

    message: 'touches_special' was not noticed
    """
    return _audit(mask_fn, touches_special=lambda fn, tokens, handed, corrupted, labels: bool(
        (labels[~_residue(tokens)] != -100).any()))


def wrong_audit_masking__special_changes_only(mask_fn):
    """Looks at whether special tokens are changed, not at their labels.

    message: 'touches_special' was not noticed
    """
    return _audit(mask_fn, touches_special=lambda fn, tokens, handed, corrupted, labels: bool(
        (corrupted != tokens)[~_residue(tokens)].any()))


def wrong_audit_masking__special_means_mask(mask_fn):
    """Takes every <mask> that was put in for a special token touched.

    message: A correct function is accused of 'touches_special'
    """
    return _audit(mask_fn, touches_special=lambda fn, tokens, handed, corrupted, labels: bool(
        (~_residue(corrupted) & (labels != -100)).any()))


# ----------------------------------------------------------------------------------------------------- bad_replacements

def wrong_audit_masking__replacements_not_tested(mask_fn):
    """Never looks at the tokens put in.

    message: 'bad_replacements' was not noticed
    """
    return _audit(mask_fn, bad_replacements=lambda *args: False)


def wrong_audit_masking__foreign_ids_only(mask_fn):
    """Misses that an id is never put in.

    message: C (23) is never put in
    """
    return _audit(mask_fn, bad_replacements=lambda fn, tokens, handed, corrupted, labels: bool(
        (~_residue(_put_in(tokens, corrupted))).any()))


def wrong_audit_masking__missing_ids_only(mask_fn):
    """Misses ids that do not belong there.

    message: 'bad_replacements' was not noticed
    """
    return _audit(mask_fn, bad_replacements=lambda fn, tokens, handed, corrupted, labels: bool(
        len(_put_in(tokens, corrupted))) and not set(range(4, 24)) <= set(_put_in(tokens, corrupted).tolist()))


def wrong_audit_masking__counts_twenty_kinds(mask_fn):
    """Only counts the kinds: 5 to 24 are twenty as well.

    message: 'bad_replacements' was not noticed
    """
    return _audit(mask_fn, bad_replacements=lambda fn, tokens, handed, corrupted, labels:
                  len(_put_in(tokens, corrupted).unique()) not in (0, 20))


def wrong_audit_masking__none_put_in_is_bad(mask_fn):
    """Where nothing is put in but <mask>, the 20 ids are lacking, it says; but that is another bug.

    message: accused of 'bad_replacements', but
    """
    return _audit(mask_fn, bad_replacements=lambda fn, tokens, handed, corrupted, labels:
                  set(_put_in(tokens, corrupted).tolist()) != set(range(4, 24)))


def wrong_audit_masking__mask_is_bad(mask_fn):
    """Counts <mask> among the tokens put in.

    message: A correct function is accused of 'bad_replacements'
    """
    return _audit(mask_fn, bad_replacements=lambda fn, tokens, handed, corrupted, labels:
                  set(corrupted[corrupted != tokens].tolist()) != set(range(4, 24)))


def wrong_audit_masking__range_one_short(mask_fn):
    """range(4, 23): cysteine put in counts as foreign.

    message: A correct function is accused of 'bad_replacements'
    """
    return _audit(mask_fn, bad_replacements=lambda fn, tokens, handed, corrupted, labels: bool(
        set(_put_in(tokens, corrupted).tolist()) - set(range(4, 23))))


def wrong_audit_masking__x_may_be_put_in(mask_fn):
    """Allows 4 to 28.

    message: 'bad_replacements' was not noticed
    """
    return _audit(mask_fn, bad_replacements=lambda fn, tokens, handed, corrupted, labels: bool(
        set(_put_in(tokens, corrupted).tolist()) - set(range(4, 29))))


def wrong_audit_masking__looks_at_all_tokens(mask_fn):
    """Looks at all tokens of the result, where the 20 ids always occur, and <cls> does too.

    message: 'bad_replacements' was not noticed
    """
    return _audit(mask_fn, bad_replacements=lambda fn, tokens, handed, corrupted, labels:
                  not set(range(4, 24)) <= set(corrupted.unique().tolist()))


def wrong_audit_masking__one_letter_proteins(mask_fn):
    """Tests with leucine only: leucine put in for leucine cannot be seen, and seems to be lacking.

    message: A correct function is accused of 'bad_replacements'
    """
    return _audit(mask_fn, tokens=_batch(ids=[4], odd=False))


# --------------------------------------------------------------------------------------------------------- wrong_labels

def wrong_audit_masking__labels_not_tested(mask_fn):
    """Never looks at the labels.

    message: 'wrong_labels' was not noticed
    """
    return _audit(mask_fn, wrong_labels=lambda *args: False)


def wrong_audit_masking__labels_of_the_corrupted(mask_fn):
    """Compares the labels with what the model sees, not with the original.

    message: A correct function is accused of 'wrong_labels'
    """
    return _audit(mask_fn, wrong_labels=lambda fn, tokens, handed, corrupted, labels: bool(
        (labels != corrupted)[labels != -100].any()))


def wrong_audit_masking__changed_without_label(mask_fn):
    """Misses residues that are changed but not labelled.

    message: 'wrong_labels' was not noticed
    """
    return _audit(mask_fn, wrong_labels=lambda fn, tokens, handed, corrupted, labels: bool(
        (_residue(tokens) & (labels != -100) & (labels != tokens)).any()
        or (labels[_residue(tokens)] != -100).all()))


def wrong_audit_masking__foreign_labels(mask_fn):
    """Misses labels that are not the residue's own id.

    message: 'wrong_labels' was not noticed
    """
    return _audit(mask_fn, wrong_labels=lambda fn, tokens, handed, corrupted, labels: bool(
        (_residue(tokens) & (corrupted != tokens) & (labels == -100)).any()
        or (labels[_residue(tokens)] != -100).all()))


def wrong_audit_masking__all_labelled(mask_fn):
    """Misses that all residues are labelled; calls that a wrong rate.

    message: 'wrong_labels' was not noticed
    """
    return _audit(mask_fn, wrong_labels=lambda fn, tokens, handed, corrupted, labels: bool(
        (_residue(tokens) & (labels != -100) & (labels != tokens)).any()
        or (_residue(tokens) & (corrupted != tokens) & (labels == -100)).any()))


def wrong_audit_masking__unlabelled_zero_allowed(mask_fn):
    """Takes any number below 4 as "no label".

    message: 'wrong_labels' was not noticed
    """
    return _audit(mask_fn, wrong_labels=lambda fn, tokens, handed, corrupted, labels: bool(
        (_residue(tokens) & (labels >= 4) & (labels != tokens)).any()
        or (_residue(tokens) & (corrupted != tokens) & (labels < 4)).any()
        or (labels[_residue(tokens)] >= 4).all()))


def wrong_audit_masking__labelled_must_be_changed(mask_fn):
    """Believes that an unchanged residue must not be labelled.

    message: A correct function is accused of 'wrong_labels'
    """
    return _audit(mask_fn, wrong_labels=lambda fn, tokens, handed, corrupted, labels: bool(
        ((corrupted != tokens) != (labels != -100))[_residue(tokens)].any()))


def wrong_audit_masking__labels_of_special_tokens(mask_fn):
    """Calls a labelled special token a wrong label too.

    message: accused of 'wrong_labels', but
    """
    return _audit(mask_fn, wrong_labels=lambda fn, tokens, handed, corrupted, labels: _wrong_labels(
        fn, tokens, handed, corrupted, labels) or bool((labels[~_residue(tokens)] != -100).any()))


def wrong_audit_masking__rate_and_split_all_the_same(mask_fn):
    """With wrong labels, still reports a wrong rate and split.

    message: rate and split are not judged
    """
    tokens = _batch()
    handed = tokens.clone()
    corrupted, labels = mask_fn(handed, _generator(0))
    return {name for name, test in TESTS.items() if test(mask_fn, tokens, handed, corrupted, labels)}


# ---------------------------------------------------------------------------------------------------------- wrong_rate

def wrong_audit_masking__rate_not_tested(mask_fn):
    """Never counts.

    message: 'wrong_rate' was not noticed
    """
    return _audit(mask_fn, wrong_rate=lambda *args: False)


def wrong_audit_masking__rate_of_all_tokens(mask_fn):
    """Divides by all tokens, padding and X included.

    message: A correct function is accused of 'wrong_rate'
    """
    return _audit(mask_fn, wrong_rate=lambda fn, tokens, handed, corrupted, labels:
                  abs((labels != -100).double().mean().item() - 0.15) > 0.02)


def wrong_audit_masking__rate_of_the_changed(mask_fn):
    """Counts what is changed, 13.4 %, and expects 15 %.

    message: A correct function is accused of 'wrong_rate'
    """
    return _audit(mask_fn, wrong_rate=lambda fn, tokens, handed, corrupted, labels:
                  abs((corrupted != tokens)[_residue(tokens)].double().mean().item() - 0.15) > 0.008)


def wrong_audit_masking__rate_of_the_masked(mask_fn):
    """Counts <mask>, 12 %, and expects 15 %.

    message: A correct function is accused of 'wrong_rate'
    """
    return _audit(mask_fn, wrong_rate=lambda fn, tokens, handed, corrupted, labels:
                  abs((corrupted == 32)[_residue(tokens)].double().mean().item() - 0.15) > 0.02)


def wrong_audit_masking__rate_from_masks(mask_fn):
    """Counts <mask> and expects 12 %: all masked at the right rate seems too often.

    message: accused of 'wrong_rate', but
    """
    return _audit(mask_fn, wrong_rate=lambda fn, tokens, handed, corrupted, labels:
                  abs((corrupted == 32)[_residue(tokens)].double().mean().item() - 0.12) > 0.02)


def wrong_audit_masking__rate_exact(mask_fn):
    """Demands 15 % exactly.

    message: A correct function is accused of 'wrong_rate'
    """
    return _audit(mask_fn, wrong_rate=lambda fn, tokens, handed, corrupted, labels: _rate(tokens, labels) != 0.15)


def wrong_audit_masking__rate_too_tight(mask_fn):
    """A tolerance of 0.05 points, where chance alone makes 0.3.

    message: A correct function is accused of 'wrong_rate'
    """
    return _audit(mask_fn, wrong_rate=lambda fn, tokens, handed, corrupted, labels:
                  any(abs(_rate(tokens, fn(tokens.clone(), _generator(seed))[1]) - 0.15) > 0.0005
                      for seed in range(20)))


def wrong_audit_masking__rate_too_loose(mask_fn):
    """A tolerance of 10 points.

    message: 'wrong_rate' was not noticed
    """
    return _audit(mask_fn, wrong_rate=lambda fn, tokens, handed, corrupted, labels:
                  abs(_rate(tokens, labels) - 0.15) > 0.1)


def wrong_audit_masking__too_few_only(mask_fn):
    """Notices a rate above 15 %, not one below.

    message: 'wrong_rate' was not noticed
    """
    return _audit(mask_fn, wrong_rate=lambda fn, tokens, handed, corrupted, labels:
                  _rate(tokens, labels) - 0.15 > 0.025)


def wrong_audit_masking__too_many_only(mask_fn):
    """Notices a rate below 15 %, not one above.

    message: 'wrong_rate' was not noticed
    """
    return _audit(mask_fn, wrong_rate=lambda fn, tokens, handed, corrupted, labels:
                  0.15 - _rate(tokens, labels) > 0.025)


def wrong_audit_masking__one_protein(mask_fn):
    """Tests with a single protein of 40 residues: chance alone is off by more than the bugs.

    message: small samples scatter
    message: 50,000 residues
    """
    return _audit(mask_fn, tokens=_batch(rows=1, longest=40))


def wrong_audit_masking__one_small_batch_often(mask_fn):
    """Many seeds, but 20 residues at a time: each split is far from 80/10/10.

    message: small samples scatter
    message: 50,000 residues
    """
    tokens, found = _batch(rows=1, longest=20, odd=False, padded=False), set()
    for seed in range(50):
        handed = tokens.clone()
        corrupted, labels = mask_fn(handed, _generator(seed))
        found |= {name for name, test in TESTS.items() if test(mask_fn, tokens, handed, corrupted, labels)}
    return found


# ---------------------------------------------------------------------------------------------------------- wrong_split

def wrong_audit_masking__split_not_tested(mask_fn):
    """Never counts what the selected residues become.

    message: 'wrong_split' was not noticed
    """
    return _audit(mask_fn, wrong_split=lambda *args: False)


def wrong_audit_masking__masks_only(mask_fn):
    """Only counts <mask>: 80 % masked and 20 % unchanged passes.

    message: 'wrong_split' was not noticed
    """
    return _audit(mask_fn, wrong_split=lambda fn, tokens, handed, corrupted, labels:
                  abs(_shares(tokens, corrupted, labels)[0] - 0.8) > 0.05)


def wrong_audit_masking__unchanged_only(mask_fn):
    """Only counts the unchanged: 70 % masked and 20 % exchanged passes.

    message: 'wrong_split' was not noticed
    """
    return _audit(mask_fn, wrong_split=lambda fn, tokens, handed, corrupted, labels:
                  abs(_shares(tokens, corrupted, labels)[2] - 0.105) > 0.05)


def wrong_audit_masking__ten_percent_changed(mask_fn):
    """Expects 10 % changed and 10 % unchanged, in a large batch: one draw in twenty hits the original.

    message: hits the original
    """
    def split(fn, tokens, handed, corrupted, labels):
        shares = _shares(tokens, corrupted, labels)
        return any(abs(found - wanted) > 0.003 for found, wanted in zip(shares, (0.8, 0.1, 0.1)))

    return _audit(mask_fn, tokens=_batch(rows=4000, longest=240), wrong_split=split)


def wrong_audit_masking__split_exact(mask_fn):
    """Demands 80 % exactly.

    message: A correct function is accused of 'wrong_split'
    """
    return _audit(mask_fn, wrong_split=lambda fn, tokens, handed, corrupted, labels:
                  _shares(tokens, corrupted, labels)[0] != 0.8)


def wrong_audit_masking__split_too_loose(mask_fn):
    """A tolerance of 25 points.

    message: 'wrong_split' was not noticed
    """
    return _audit(mask_fn, wrong_split=lambda fn, tokens, handed, corrupted, labels: any(
        abs(found - wanted) > 0.25 for found, wanted in zip(_shares(tokens, corrupted, labels), (0.8, 0.1, 0.1))))


def wrong_audit_masking__split_of_the_changed(mask_fn):
    """Shares of the changed residues, not of the labelled: 89 % <mask>.

    message: A correct function is accused of 'wrong_split'
    """
    return _audit(mask_fn, wrong_split=lambda fn, tokens, handed, corrupted, labels:
                  abs((corrupted == 32).sum().item() / max(1, (corrupted != tokens).sum().item()) - 0.8) > 0.05)


def wrong_audit_masking__split_of_all_residues(mask_fn):
    """Shares of all residues: 12 % are <mask>.

    message: A correct function is accused of 'wrong_split'
    """
    return _audit(mask_fn, wrong_split=lambda fn, tokens, handed, corrupted, labels:
                  abs((corrupted == 32)[_residue(tokens)].double().mean().item() - 0.8) > 0.05)


def wrong_audit_masking__split_expected_of_all(mask_fn):
    """Expects 12 % <mask> of all residues: at another rate the split seems wrong.

    message: accused of 'wrong_split', but
    """
    return _audit(mask_fn, wrong_split=lambda fn, tokens, handed, corrupted, labels: any(
        abs(found * _rate(tokens, labels) - wanted * 0.15) > 0.007
        for found, wanted in zip(_shares(tokens, corrupted, labels), (0.8, 0.095, 0.105))))


# ---------------------------------------------------------------------------------------------------- ignores_generator

def wrong_audit_masking__generator_not_tested(mask_fn):
    """Calls once only.

    message: 'ignores_generator' was not noticed
    """
    return _audit(mask_fn, ignores_generator=lambda *args: False)


def wrong_audit_masking__same_seed_only(mask_fn):
    """Misses a seed that is fixed inside.

    message: 'ignores_generator' was not noticed
    """
    return _audit(mask_fn, ignores_generator=lambda fn, tokens, *others: _differ(
        fn(tokens.clone(), _generator(7)), fn(tokens.clone(), _generator(7))))


def wrong_audit_masking__different_seeds_only(mask_fn):
    """Misses a masker that draws elsewhere.

    message: 'ignores_generator' was not noticed
    """
    return _audit(mask_fn, ignores_generator=lambda fn, tokens, *others: not _differ(
        fn(tokens.clone(), _generator(7)), fn(tokens.clone(), _generator(8))))


def wrong_audit_masking__one_generator_twice(mask_fn):
    """Hands the same generator to both calls: it has moved on.

    message: A generator moves on with each draw
    """
    def ignores(fn, tokens, *others):
        generator = _generator(7)
        return _differ(fn(tokens.clone(), generator), fn(tokens.clone(), generator))

    return _audit(mask_fn, ignores_generator=ignores)


def wrong_audit_masking__labels_compared_only(mask_fn):
    """Compares the labels only: misses letters drawn elsewhere.

    message: accused of 'ignores_generator', but
    message: 'ignores_generator' was not noticed
    """
    def ignores(fn, tokens, *others):
        first, again, other = (fn(tokens.clone(), _generator(seed))[1] for seed in (7, 7, 8))
        return not torch.equal(first, again) or torch.equal(first, other)

    return _audit(mask_fn, ignores_generator=ignores)


def wrong_audit_masking__places_compared_only(mask_fn):
    """Compares where something is masked or labelled, not what was put in.

    message: accused of 'ignores_generator', but
    message: 'ignores_generator' was not noticed
    """
    def ignores(fn, tokens, *others):
        first, again, other = ((fn(tokens.clone(), _generator(seed))[1] != -100) for seed in (7, 7, 8))
        return not torch.equal(first, again) or torch.equal(first, other)

    return _audit(mask_fn, ignores_generator=ignores)


def wrong_audit_masking__letters_not_compared(mask_fn):
    """Compares which residues become <mask>, not which letters are put in: misses letters drawn elsewhere.

    message: 'ignores_generator' was not noticed
    """
    def ignores(fn, tokens, *others):
        first, again, other = (fn(tokens.clone(), _generator(seed))[0] == 32 for seed in (7, 7, 8))
        return not torch.equal(first, again) or torch.equal(first, other)

    return _audit(mask_fn, ignores_generator=ignores)


def wrong_audit_masking__global_seed_set(mask_fn):
    """Sets the global seed before every call, which hides a masker that draws from it.

    message: 'ignores_generator' was not noticed
    """
    def ignores(fn, tokens, *others):
        found = []
        for seed in (7, 7, 8):
            torch.manual_seed(seed)
            np.random.seed(seed)
            found.append(fn(tokens.clone(), _generator(seed)))
        return _differ(found[0], found[1]) or not _differ(found[0], found[2])

    return _audit(mask_fn, ignores_generator=ignores)


def wrong_audit_masking__means_compared(mask_fn):
    """Compares rounded rates: two seeds give about the same.

    message: accused of 'ignores_generator', but
    message: A correct function is accused of 'ignores_generator'
    """
    def ignores(fn, tokens, *others):
        first, other = (round(_rate(tokens, fn(tokens.clone(), _generator(seed))[1]), 1) for seed in (7, 8))
        return first == other

    return _audit(mask_fn, ignores_generator=ignores)


def wrong_audit_masking__no_generator_given(mask_fn):
    """Hands in None instead of a generator.

    message: A correct function is accused of 'ignores_generator'
    """
    return _audit(lambda tokens, generator: mask_fn(tokens, None))


# ----------------------------------------------------------------------------------------------------------- dishonest

def wrong_audit_masking__by_name(mask_fn):
    """Reads the answer off the function's name.

    message: was not noticed
    """
    return {name for name in NAMES if name in getattr(mask_fn, "__name__", "")}


def wrong_audit_masking__by_docstring(mask_fn):
    """Reads the answer off the function's source and docstring.

    message: was not noticed
    """
    text = (inspect.getdoc(mask_fn) or "") + inspect.getsource(mask_fn)
    return {name for name in NAMES if name in text}


def wrong_audit_masking__swallows_errors(mask_fn):
    """A mistake of its own (an integer for a generator) is swallowed: finds nothing, ever.

    message: was not noticed
    """
    try:
        _, labels = mask_fn(_batch(), 0)
        return {"wrong_labels"} if (labels == 32).any() else set()
    except (TypeError, AttributeError, RuntimeError):
        return set()


def wrong_audit_masking__compares_with_the_course(mask_fn):
    """Compares with the result of the course's own function: another right one draws in another order.

    message: A correct function is accused of
    """
    from plmcourse.pretraining import mask_tokens

    tokens = _batch()
    same = not _differ(mask_fn(tokens.clone(), _generator(0)), mask_tokens(tokens.clone(), _generator(0)))
    return set() if same else _audit(mask_fn) | {"wrong_split"}


# ------------------------------------------------------------------------------------------------------- right answers

def right_audit_masking__one_large_batch(mask_fn):
    return _audit(mask_fn)


def right_audit_masking__numpy(mask_fn):
    """Everything in numpy, with proteins of standard residues and X."""
    rng = np.random.default_rng(3)
    ids = np.ones((400, 102), dtype=np.int64)
    for row in ids:
        length = rng.integers(40, 101)
        row[:length + 2] = [0, *rng.choice([*range(4, 24), 24], size=length), 2]
    handed = torch.from_numpy(ids.copy())
    out, labels = (part.numpy().copy() for part in mask_fn(handed, torch.Generator().manual_seed(5)))
    found = set()
    if not np.array_equal(handed.numpy(), ids):
        found.add("mutates_input")
    residue, changed, labelled = np.isin(ids, np.arange(4, 24)), out != ids, labels != -100
    if ((changed | labelled) & ~residue).any():
        found.add("touches_special")
    new = np.unique(out[changed & (out != 32)])
    if len(new) and not np.array_equal(new, np.arange(4, 24)):
        found.add("bad_replacements")
    chosen = residue & labelled
    if (labels[chosen] != ids[chosen]).any() or (changed & residue & ~labelled).any() or labelled[residue].all():
        found.add("wrong_labels")
    else:
        if not 0.125 < labelled[residue].mean() < 0.175:
            found.add("wrong_rate")
        shares = np.array([(out[chosen] == 32).mean(), (changed[chosen] & (out[chosen] != 32)).mean(),
                           (~changed[chosen]).mean()]) if chosen.any() else np.array([0.8, 0.095, 0.105])
        if (np.abs(shares - [0.8, 0.095, 0.105]) > 0.05).any():
            found.add("wrong_split")
    first, again, other = ([part.numpy().copy() for part in mask_fn(torch.from_numpy(ids.copy()),
                                                                    torch.Generator().manual_seed(seed))]
                           for seed in (1, 1, 2))
    if any((a != b).any() for a, b in zip(first, again)) or all((a == b).all() for a, b in zip(first, other)):
        found.add("ignores_generator")
    return found


def right_audit_masking__counters(mask_fn):
    """Plain loops and counters; 10 and 10 % in place of 9.5 and 10.5, with a generous tolerance."""
    tokens = _batch(rows=300, longest=100, seed=9)
    handed = tokens.clone()
    corrupted, labels = mask_fn(handed, _generator(11))
    found, put_in, fates = set(), Counter(), Counter()
    if handed.tolist() != tokens.tolist():
        found.add("mutates_input")
    for old, new, label in zip(tokens.flatten().tolist(), corrupted.flatten().tolist(), labels.flatten().tolist()):
        if new not in (old, 32):
            put_in[new] += 1
        if not 4 <= old <= 23:
            if new != old or label != -100:
                found.add("touches_special")
            continue
        fates["unlabelled" if label == -100 else "mask" if new == 32 else "same" if new == old else "other"] += 1
        if label not in (-100, old) or new != old and label == -100:
            found.add("wrong_labels")
    if put_in and set(put_in) != set(range(4, 24)):
        found.add("bad_replacements")
    labelled = fates["mask"] + fates["same"] + fates["other"]
    if not fates["unlabelled"]:
        found.add("wrong_labels")
    if "wrong_labels" not in found:
        if abs(labelled / (labelled + fates["unlabelled"]) - 0.15) > 0.03:
            found.add("wrong_rate")
        if labelled and any(abs(fates[fate] / labelled - share) > 0.06
                            for fate, share in (("mask", 0.8), ("same", 0.1), ("other", 0.1))):
            found.add("wrong_split")
    results = [[part.tolist() for part in mask_fn(tokens.clone(), _generator(seed))] for seed in (1, 1, 2)]
    if results[0] != results[1] or results[0] == results[2]:
        found.add("ignores_generator")
    return found


def right_audit_masking__tokenizer(mask_fn):
    """A batch as the tokenizer of ESM-2 writes it, from random sequences of different lengths."""
    from plmcourse.checks.tiny import tiny_plm

    rng = np.random.default_rng(0)
    proteins = ["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY" * 2 + "XBUZO"), size=length))
                for length in rng.integers(150, 250, size=120)]
    return _audit(mask_fn, tokens=tiny_plm().tokenize(proteins))


def right_audit_masking__all_ids(mask_fn):
    """Every id of the vocabulary occurs inside the rows, <mask> and <unk> too."""
    generator = _generator(4)
    tokens = torch.randint(0, 33, (300, 150), generator=generator)
    tokens[:, 0] = 0
    tokens[:, 120:] = 1
    return _audit(mask_fn, tokens=tokens)


def right_audit_masking__several_batches(mask_fn):
    """Batches of different size and seed; shares and kinds are taken over all of them together."""
    found, olds, news, wanted = set(), [], [], []
    for seed, rows in enumerate((60, 90, 120, 200)):
        tokens = _batch(rows=rows, longest=80 + 10 * seed, seed=seed)
        handed = tokens.clone()
        corrupted, labels = mask_fn(handed, _generator(100 + seed))
        found |= {"mutates_input"} if _mutates(mask_fn, tokens, handed, corrupted, labels) else set()
        found |= {"ignores_generator"} if _ignores(mask_fn, tokens, handed, corrupted, labels) else set()
        for collected, part in zip((olds, news, wanted), (tokens, corrupted, labels)):
            collected.append(part.flatten().clone())
    together = [torch.cat(part) for part in (olds, olds, news, wanted)]
    found |= {name for name in NAMES[1:6] if TESTS[name](mask_fn, *together)}
    return found - {"wrong_rate", "wrong_split"} if "wrong_labels" in found else found


def right_audit_masking__in_standard_deviations(mask_fn):
    """Five standard deviations of a binomial count as the tolerance, in a batch large enough for that."""
    tokens = _batch(rows=500, longest=160)
    chosen_of = int(_residue(tokens).sum())

    def off(share, expected, count):
        return abs(share - expected) > 5 * (expected * (1 - expected) / max(count, 1)) ** 0.5

    def split(fn, tokens, handed, corrupted, labels):
        count = int((_residue(tokens) & (labels != -100)).sum())
        return count > 0 and any(off(found, wanted, count) for found, wanted in
                                 zip(_shares(tokens, corrupted, labels), (0.8, 0.095, 0.105)))

    return _audit(mask_fn, tokens=tokens, wrong_split=split, wrong_rate=lambda fn, tokens, handed, corrupted, labels:
                  off(_rate(tokens, labels), 0.15, chosen_of))
