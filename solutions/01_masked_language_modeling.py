# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1 · Masked language modelling: learning proteins by filling in blanks
#
# Hide one residue in seven, ask what stood there, look up the answer, adjust. Nobody labels anything; the sequences are question and answer at once.
# This notebook builds that game piece by piece, finds the mistakes that people make in it, and then lets a small network play it for half a
# minute at a time.
#
# **You will be able to**
#
# * corrupt a batch of proteins as BERT and ESM-2 do, and find the bugs in code that almost does;
# * compute the loss over the right positions, and read a perplexity;
# * set the baseline that a language model has to beat before it has learned anything;
# * train a protein language model from random weights, and say what it learned and what it did not;
# * explain what a model gives up that reads from left to right only.
#
# **Before you start**: Python, a little PyTorch (tensors, indexing); what an amino acid is. How a transformer is built is notebook 2's subject; here
# it is a box with the words below on it. The course follows a lecture on protein language models;
# boxes that begin "The lecture says" compare its statements with what the model does. **Time**: about 2½ hours with the exercises; the code itself
# runs in two to three minutes on two idle cores. **Difficulty**: ◆ to ◆◆◆.
#
# | word | means here |
# |---|---|
# | token | what the model reads: a residue, or a special sign such as `<mask>` |
# | selected position | one that the model has to guess; most, not all, of them are hidden |
# | label | the right answer at a selected position; −100 elsewhere, which the loss skips |
# | logits | the model's 33 raw scores per position, before they become probabilities |
# | nat | unit of surprise with the natural logarithm: −log p; 1 nat is 1.44 bits |
# | softmax | turns logits into probabilities that sum to 1 |
# | perplexity | exp of the mean surprise: among how many equally likely letters the model seems to choose. Confidently wrong guesses push it above that |
# | attention | the step in which each position looks at others and takes something over from them; notebook 2 builds it |
# | hidden state | the vector that stands for a position between two layers |
# | gradient, optimiser | how the loss changes with each parameter, and the rule that moves the parameters accordingly |
# | checkpoint | the parameters of a trained model in a file |

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("plmcourse") is None:  # on Colab; a local installation has it already
    subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", "{{install}}"])

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import psutil
import seaborn as sns
import torch
import torch.nn.functional as F
from tqdm.auto import tqdm

import plmcourse as pc

pc.plots.use_course_style()
plm = pc.load()
print(f"{psutil.virtual_memory().available / 1e9:.0f} GB of memory free · PyTorch {torch.__version__.split('+')[0]}")

# %% [markdown]
# The line above says which weights you have. No result is written into the text below; the cells compute them for your model.
# `PLMCOURSE_MODEL=650M` gives a larger one.

# %% [markdown]
# ## 1. Fill in the blank
#
# The β chain of human haemoglobin holds its haem with a histidine, number 92 in the literature. Hide it, show the model all the rest, and ask.

# %%
globins = pc.datasets.load("globins")
hbb = globins["P68871"]  # human haemoglobin, β chain; the literature does not count the first M, so residue n is hbb[n]
CLS, PAD, EOS, MASK, IGNORE = 0, 1, 2, 32, -100


def guesses(sequence, index):
    """Probabilities of all 33 tokens at one residue, that residue masked."""
    tokens = plm.tokenize([sequence])
    tokens[0, index + 1] = MASK  # <cls> comes first
    return plm.forward(tokens).logits[0, index + 1].softmax(-1).cpu()


blank = hbb[82:92] + "_" + hbb[93:103]
found = guesses(hbb, 92)
best = found.topk(5)
print(blank)
print("   ".join(f"{pc.sequences.TOKENS[i]} {p:.0%}" for p, i in zip(best.values, best.indices.tolist())), f"   (true: {hbb[92]})")

# %% [markdown]
# A guess is worth something only against a cheaper one. Without knowing anything of haemoglobin you can still say that leucine is common in proteins
# and tryptophan rare. So we compare with **how common each residue is** in a sample of Swiss-Prot.

# %%
general_train = list(pc.datasets.load("pretrain_train").values())
general_test = list(pc.datasets.load("pretrain_heldout").values())
text = "".join(general_train)
frequency = np.array([text.count(residue) for residue in pc.RESIDUES]) / len(text)
print(f"{len(general_train):,} proteins, {len(text):,} residues; "
      f"commonest {pc.RESIDUES[frequency.argmax()]} {frequency.max():.1%}, rarest {pc.RESIDUES[frequency.argmin()]} {frequency.min():.1%}")

# %% alt="Two bar charts of the model's probabilities for the 20 residues at the haem-binding histidine 92 and at position 87 of human haemoglobin beta; dots mark how common each residue is in proteins."
fig, axes = plt.subplots(2, 1, figsize=(8.5, 4.6), sharex=True, sharey=True)
for ax, number in zip(axes, (92, 87)):
    bars = ax.bar(list(pc.RESIDUES), guesses(hbb, number)[4:24], label="model, residue masked")
    bars[pc.RESIDUES.index(hbb[number])].set(edgecolor="#c03000", linewidth=2.5)
    ax.plot(list(pc.RESIDUES), frequency, "o", color="#404040", markersize=5, label="frequency in proteins")
    ax.set(ylabel="probability", title=f"position {number}, true residue {hbb[number]}")
axes[0].legend()
axes[1].set_xlabel("residue");

# %% [markdown]
# *Bars: the model, the true residue framed; dots: how common each residue is anywhere. Bars that follow the dots are the guess of someone who has not read the sequence. The
# further they depart from the dots, the more the model claims to know about this place; whether it is right is another question, and the rest of this
# notebook is about measuring that.*
#
# ### One of 33, not one of 20
#
# The model's alphabet is larger than that of life, and probability can go astray on the extra tokens.

# %%
print(" ".join(f"{i}:{token}" for i, token in enumerate(pc.sequences.TOKENS)))
print(f"probability at position 92 that is not on the 20 residues: {1 - found[4:24].sum():.2%}")

# %% [markdown]
# > **The lecture says** that each x is one of 20 amino acids. **The model says** 33 tokens: 4 special ones at the front (`<cls>` begins a protein,
# > `<eos>` ends it, `<pad>` fills a batch up, `<unk>` is anything else), the 20 residues as ids **4 to 23**, X B U Z O, two gaps, an unused one, and
# > `<mask>` at the very end.

# %% [markdown]
# ## 2. What is hidden, and how
#
# Guessing one residue per pass would waste the pass, so several are guessed at once: 15 % of the residues are **selected**. But a model that meets
# `<mask>` all the time in training and never in use would learn that a visible residue needs no thought. BERT's answer, taken over by ESM-2:
#
# | of the selected residues | become | so the model learns |
# |---|---|---|
# | 80 % | `<mask>` | to guess from the surroundings |
# | 10 % | a random residue | that what it sees may be wrong |
# | 10 % | stay as they are | that what it sees may be right |
#
# All three kinds are guessed, and the loss does not care which is which. Positions that are not selected count nothing.
#
# ### Exercise 1.1 · Corrupt a batch · ◆◆ · 20 minutes
#
# The function that everything else here rests on. Its bugs do not crash; they make a model that is a little worse, and nobody knows why.
#
# How an exercise works: write your lines in place of `raise NotImplementedError`, run the cell, then run the check below it. It says what is right (✓),
# what is wrong (✗, with the smallest example) and what it has not tested yet (–). Whatever it says, you go on: with your function if it passes, else
# with the course's own. `pc.hint("1.1")` gives a hint, and a clearer one each time you ask; the third is almost the answer.


# %%
def mask_tokens(tokens, generator, mask_prob=0.15):
    """Select residues to be guessed, and hide most of them.

    Parameters
    ----------
    tokens : LongTensor, shape [B, T]
        A padded batch as ``plm.tokenize`` returns it. Not to be changed.
    generator : torch.Generator
        The only source of randomness: every draw (``torch.rand``, ``torch.randint``, …) gets ``generator=generator``. The same seed
        gives the same result.
    mask_prob : float
        Each standard residue (ids 4 to 23, nothing else) is selected with this probability, independently of all others.

    Returns
    -------
    corrupted, labels : LongTensor, shape [B, T]
        ``corrupted``: of the selected residues 80 % are 32 (``<mask>``), 10 % a uniform draw from the ids 4 to 23 (which may hit the
        original), 10 % unchanged, again decided for each on its own. ``labels``: the original id where selected, -100 elsewhere.
    """
    ### BEGIN SOLUTION
    selected = (torch.rand(tokens.shape, generator=generator) < mask_prob) & (tokens >= 4) & (tokens <= 23)
    fate = torch.rand(tokens.shape, generator=generator)
    letters = torch.randint(4, 24, tokens.shape, generator=generator)
    corrupted = tokens.clone()
    corrupted[selected & (fate < 0.8)] = 32
    swapped = selected & (fate >= 0.8) & (fate < 0.9)
    corrupted[swapped] = letters[swapped]
    return corrupted, tokens.masked_fill(~selected, -100)
    ### END SOLUTION


# %%
mask_tokens = pc.check("1.1", mask_tokens)

# %% [markdown]
# Two proteins, before and after. Framed: selected. (30 % here, so that there is something to see.)

# %% alt="Token boxes of two short proteins in four rows: each protein first as it is, then corrupted, with the selected positions framed; most framed boxes show mask."
tokens = plm.tokenize(["MKTAYIAKQRQISFVK", "MVHLTPEEK"]).cpu()
corrupted, labels = mask_tokens(tokens, torch.Generator().manual_seed(39), mask_prob=0.3)
rows = torch.stack([tokens, corrupted], 1).flatten(0, 1)
framed = {(2 * row + half, column) for row, column in (labels != IGNORE).nonzero().tolist() for half in (0, 1)}
pc.plots.token_strip(rows, marked=framed);

# %% [markdown]
# *First and third row: the proteins. Second and fourth: what the model sees. If a framed box is the same in both rows, it was selected and left
# alone (or the random draw hit the original), and still has to be guessed; `<cls>`, `<eos>` and padding are never framed.*
#
# ### Why not `<mask>` always?
#
# Write a wrong residue into the protein, in plain sight, and ask the model what belongs there. A model that always copies what is visible says:
# the wrong one.

# %%
def opinions(sequence, seed=0):
    """At every tenth residue: probabilities of the true and of a wrong residue, masked and with the wrong one visible."""
    generator = np.random.default_rng(seed)
    rows = []
    for index in range(5, len(sequence), 10):
        wrong = generator.choice([r for r in pc.RESIDUES if r != sequence[index]])
        true_id, wrong_id = (pc.sequences.TOKEN_ID[r] for r in (sequence[index], wrong))
        tokens = plm.tokenize([sequence[:index] + wrong + sequence[index + 1:]])
        visible = plm.forward(tokens).logits[0, index + 1].softmax(-1).cpu()
        masked = guesses(sequence, index)
        rows.append([masked[true_id], masked[wrong_id], visible[true_id], visible[wrong_id]])
    return np.array(rows, float).mean(0)


masked_true, masked_wrong, visible_true, visible_wrong = opinions(hbb)
print(f"                     true residue   wrong residue")
print(f"position masked      {masked_true:10.1%} {masked_wrong:14.1%}")
print(f"wrong one visible    {visible_true:10.1%} {visible_wrong:14.1%}")

# %% [markdown]
# Seeing the wrong letter raises its probability, and it should: of the *visible* residues that the model was asked about in training, about half
# were true and half random, so it pays to trust them partly. What counts is that the probability does not go to 100 %: the model still weighs what it
# sees against the surroundings. Notebook 4 uses that to score mutants in a
# single pass. A model trained with `<mask>` alone would have been free to answer anything at all at visible places, since nobody ever asked it
# there.

# %% [markdown]
# ## 3. The loss
#
# At each selected position the model spreads its bets over 33 tokens. Its **surprise** is −log of the probability of the token that was really there:
# 0 for a certain and right guess, large for a confident and wrong one. The loss is the mean over all selected positions of the batch:
#
# $$\mathcal{L} = -\frac{1}{|\mathcal{M}|}\sum_{i \in \mathcal{M}} \log p(x_i \mid \tilde{x})$$
#
# Here $\mathcal{M}$ is the set of selected positions and $\tilde{x}$ the corrupted batch. A surprise in nats is hard to picture, so it is turned
# back: **perplexity** = exp(loss). A model that hesitates between k equally likely letters has perplexity k:

# %%
for k in (1, 2, 5, 20, 33):
    bets = torch.full((33,), -torch.inf)
    bets[:k] = 0.0  # k letters with equal logits, the others impossible
    surprise = 0.0 - bets.log_softmax(-1)[0].item()
    print(f"{k:2} letters equally likely: surprise {surprise:.2f} nats, perplexity {math.exp(surprise):.0f}")

# %% [markdown]
# ### Exercise 1.2 · Loss and perplexity · ◆ · 15 minutes
#
# Two short functions. Mind what the mean runs over, and remember that half precision has three digits.


# %%
def mlm_loss(logits, labels):
    """Mean surprise at the labelled positions of the whole batch.

    Parameters
    ----------
    logits : Tensor, shape [B, T, V]
        Raw scores, possibly in half precision.
    labels : LongTensor, shape [B, T]
        The right token, or -100 where nothing is to be guessed.

    Returns
    -------
    Tensor, a scalar
        In nats, computed in float32 or better, with the gradient still attached. Each labelled position weighs the same,
        whichever row it is in.

    Raises
    ------
    ValueError
        When no position has a label.
    """
    ### BEGIN SOLUTION
    if (labels == -100).all():
        raise ValueError("no position has a label")
    return F.cross_entropy(logits.float().flatten(0, 1), labels.flatten())  # which leaves out -100 by itself
    ### END SOLUTION


def perplexity(logits, labels):
    """exp of ``mlm_loss(logits, labels)``, as a Python float."""
    ### BEGIN SOLUTION
    return math.exp(mlm_loss(logits, labels).item())
    ### END SOLUTION


# %%
mlm_loss, perplexity = pc.check("1.2", mlm_loss, perplexity)

# %% [markdown]
# Now the three kinds of selected positions on proteins from the held-out sample. Are they equally hard?

# %%
some = [protein[:250] for protein in general_test[:24]]
tokens = plm.tokenize(some)
corrupted, labels = (part.to(plm.device) for part in mask_tokens(tokens.cpu(), torch.Generator().manual_seed(0)))
logits = plm.forward(corrupted).logits
kinds = {"<mask>": corrupted == MASK, "replaced at random": (corrupted != MASK) & (corrupted != labels),
         "left as it was": corrupted == labels}
for kind, where in kinds.items():
    where &= labels != IGNORE
    print(f"{kind:20} {int(where.sum()):5} positions   perplexity {perplexity(logits, labels.masked_fill(~where, IGNORE)):8.1f}")
print(f"{'all selected':20} {int((labels != IGNORE).sum()):5} positions   perplexity {perplexity(logits, labels):8.1f}")

# %% [markdown]
# Three different questions under one name. "Left as it was" is easy for a model that trusts what it sees, "replaced" is hard for the same reason:
# a perplexity far above 33 means confidently wrong. When you read a perplexity in a paper, ask which question it answers; below, a *masked*
# perplexity is about masked residues only.
#
# > **The lecture says** in its formula that the loss is a *sum* over the masked positions, conditioned on "all the unmasked positions"; its code
# > averages. **The numbers say** that this matters: a sum grows with length and batch, and so would the gradient. And one selected position in five
# > is not masked at all, so the model is not even told which positions it has to guess.
#
# What the mean runs over matters less in this batch, since its proteins were cut to similar lengths; a short one beside a long one would show it.

# %%
n = int((labels != IGNORE).sum())
print(f"loss as a mean: {mlm_loss(logits, labels):.2f} nats;  as a sum: {mlm_loss(logits, labels) * n:,.0f} nats over {n} positions")
per_row = torch.stack([mlm_loss(logits[i:i + 1], labels[i:i + 1]) for i in range(len(some))])
print(f"mean of the proteins' own means: {per_row.mean():.2f} nats; short proteins would weigh as much as long ones")

# %% [markdown]
# ## 4. Find the bugs
#
# Here is a masking function of the kind that is passed around in tutorials. It runs, its loss goes down, and it has several mistakes. Read it
# before you go on: how many do you see?


# %%
def masker_from_a_tutorial(tokens, generator, mask_prob=0.15):
    labels = tokens.clone()
    chosen = torch.rand(tokens.shape) < mask_prob
    labels[~chosen] = -100
    dice = torch.rand(tokens.shape)
    tokens[chosen & (dice < 0.8)] = 32
    swapped = chosen & (dice > 0.9)
    tokens[swapped] = torch.randint(20, tokens.shape)[swapped]
    return tokens, labels


# %% alt="Token boxes of two short proteins before and after the tutorial's masking function; special tokens among the changed ones are framed."
torch.manual_seed(34)
before = plm.tokenize(["MKTAYIAKQRQISFVK", "MVHLTPEEK"]).cpu()
handed_in = before.clone()
after, labels = masker_from_a_tutorial(handed_in, None, mask_prob=0.3)
rows = torch.stack([before, after], 1).flatten(0, 1)
pc.plots.token_strip(rows, marked={(2 * row + 1, column) for row, column in (before != after).nonzero().tolist()})
print("the tensor that was handed in is still the same:", torch.equal(handed_in, before))

# %% [markdown]
# *Rows two and four: what came out, changes framed. Look at the grey boxes.* And what does it put in for "a random residue"?

# %% alt="Bar chart of how often each of the 33 tokens is put in as a replacement by the tutorial's function: ids 0 to 19 only, among them cls, pad, eos and unk; the residues Q, N, F, Y are partly and M, H, W, C never used."
torch.manual_seed(0)
before = torch.tensor([[4, 5, 6, 7] * 250] * 100)
after, _ = masker_from_a_tutorial(before.clone(), None)
put_in = after[(after != before) & (after != MASK)]
counts = torch.bincount(put_in, minlength=33).numpy()
fig, ax = plt.subplots(figsize=(9, 2.8))
colours = [sns.color_palette()[0] if 4 <= i < 24 else sns.color_palette()[1] for i in range(33)]
ax.bar(range(33), counts, color=colours)
ax.set_xticks(range(33), pc.sequences.TOKENS, rotation=60)
ax.set(ylabel="times put in", title="'random residues' of the tutorial's function")
never = "".join(r for i, r in enumerate(pc.RESIDUES, start=4) if not counts[i])
print(f"{counts[:4].sum() / counts.sum():.0%} of what is put in is no residue at all; never put in: {never}")

# %% [markdown]
# *Orange: not residues. (The bars of L, A, G and V are a little lower: the proteins here consist of these four, and a draw that hits the original
# cannot be seen.) "20 amino acids" became the ids 0 to 19.*
#
# > **The lecture's masking function** works on its input in place, may mask `<cls>`, `<eos>` and padding, and draws "random amino acids" from the
# > whole vocabulary. Any of these lets the loss fall just as nicely.
#
# Looking is good, a test is better: it also works on the next function.
#
# ### Exercise 1.3 · The auditor · ◆◆◆ · 30 minutes
#
# Write a function that takes a masking function, runs it on input of your choice, and returns the names of its bugs. You cannot look inside; you can
# choose what goes in. A test that accuses the innocent is as useless as one that sees nothing, so shares need large samples: with 50,000 residues or
# more in the batch, chance is no excuse. Nothing says that the tokens must be a real protein.


# %%
def audit_masking(mask_fn):
    """Names of the bugs of a masking function.

    Parameters
    ----------
    mask_fn : callable
        ``mask_fn(tokens, generator) -> (corrupted, labels)``, which should do what ``mask_tokens`` of exercise 1.1 does. In what
        follows, "residue" means the ids 4 to 23, "labelled" a label other than -100, "changed" that ``corrupted`` differs from
        the tokens that were handed in, as they were before the call.

    Returns
    -------
    set of str, empty for a correct function, out of

        "mutates_input": the tensor that was handed in is not the same after the call;
        "touches_special": a token that is no residue (any id outside 4 to 23, <pad> and X included) is changed or labelled;
        "bad_replacements": the tokens put in for others anywhere, <mask> aside, include an id outside 4 to 23, or lack one of
        these 20 (when none at all are put in, that is not this bug);
        "wrong_labels": a residue has a label that is neither -100 nor its own id, or a changed residue is not labelled, or all
        residues are labelled;
        "wrong_rate": the share of residues that are labelled is not 15 % (planted bugs are off by 5 points or more);
        "wrong_split": of the labelled residues not 80 % are <mask>, 9.5 % changed otherwise, 10.5 % unchanged: one random draw in
        twenty hits the original (planted bugs are off by 9 points or more);
        "ignores_generator": two generators with the same seed give two results, or two seeds give the same result.

        With "wrong_labels" nobody knows what was selected: leave out "wrong_rate" and "wrong_split" then.
    """
    ### BEGIN SOLUTION
    tokens = torch.arange(33).repeat(200, 25)  # each id 5,000 times; 100,000 residues
    handed_in = tokens.clone()
    corrupted, labels = mask_fn(handed_in, torch.Generator().manual_seed(0))
    residue, changed, labelled = (tokens >= 4) & (tokens <= 23), corrupted != tokens, labels != -100
    bugs = set()
    if not torch.equal(handed_in, tokens):
        bugs.add("mutates_input")
    if ((changed | labelled) & ~residue).any():
        bugs.add("touches_special")
    put_in = set(corrupted[changed & (corrupted != 32)].tolist())
    if put_in and put_in != set(range(4, 24)):
        bugs.add("bad_replacements")
    stray = residue & ((labelled & (labels != tokens)) | (changed & ~labelled))
    if stray.any() or labelled[residue].all():
        bugs.add("wrong_labels")
    else:
        if abs(labelled[residue].float().mean() - 0.15) > 0.01:
            bugs.add("wrong_rate")
        seen, same = corrupted[labelled & residue], ~changed[labelled & residue]
        if abs((seen == 32).float().mean() - 0.8) > 0.03 or abs(same.float().mean() - 0.105) > 0.03:
            bugs.add("wrong_split")
    first, again, other = (torch.stack(mask_fn(tokens.clone(), torch.Generator().manual_seed(seed))) for seed in (0, 0, 1))
    if not torch.equal(first, again) or torch.equal(first, other):
        bugs.add("ignores_generator")
    return bugs
    ### END SOLUTION


# %%
audit_masking = pc.check("1.3", audit_masking)

# %% [markdown]
# The tutorial's function, and your own:

# %%
print("from a tutorial:", ", ".join(sorted(audit_masking(masker_from_a_tutorial))))
print("your own:       ", ", ".join(sorted(audit_masking(mask_tokens))) or "nothing found")

# %% [markdown]
# What each of them would have cost:
#
# | bug | what happens in training |
# |---|---|
# | `mutates_input` | the data set itself fills up with masks, epoch by epoch |
# | `touches_special` | the model is rewarded for guessing padding, which is easy: the loss looks better than it is |
# | `bad_replacements` | some residues are never seen in a wrong place, and special tokens turn up inside proteins |
# | `wrong_labels` | the model learns to answer `<mask>`, or what it sees |
# | `wrong_rate`, `wrong_split` | another task than the one in the paper; the numbers cannot be compared |
# | `ignores_generator` | the run cannot be repeated, so no bug can be hunted down |

# %% [markdown]
# ## 5. The baseline to beat
#
# Perplexity 20 would be pure guessing among 20 residues. But residues are not equally common, and a model that knows nothing but these
# frequencies does better than 20. This **unigram** model is the first thing that every network learns, in the first minutes of training, and many
# a falling curve shows nothing more.
#
# ### Exercise 1.4 · Unigram perplexity · ◆ · 10 minutes


# %%
def unigram_perplexity(train, test):
    """Perplexity on ``test`` of a model that knows only how common each residue is in ``train``.

    Parameters
    ----------
    train, test : list of str
        Proteins of the 20 standard amino acids.

    Returns
    -------
    float
        exp of the mean of -log p(residue) over all residues of ``test``. p is the share in ``train`` with add-one smoothing over the
        20 letters: (count + 1) / (all counts + 20), so that no letter is impossible.
    """
    ### BEGIN SOLUTION
    known, new = "".join(train), "".join(test)
    p = {residue: (known.count(residue) + 1) / (len(known) + 20) for residue in pc.RESIDUES}
    return math.exp(-sum(math.log(p[residue]) for residue in new) / len(new))
    ### END SOLUTION


# %%
unigram_perplexity = pc.check("1.4", unigram_perplexity)

# %% [markdown]
# Three collections: proteins of all kinds, globins, and the Ras family of small GTPases. Frequencies from one, perplexity on another:

# %%
def split_off(proteins, held_out=60, seed=0):
    """Shuffle proteins, and split off some that are kept for testing: (train, test)."""
    order = np.random.default_rng(seed).permutation(len(proteins))
    return [proteins[i] for i in order[held_out:]], [proteins[i] for i in order[:held_out]]


globin_train, globin_test = split_off(list(globins.values()))
ras_train, ras_test = split_off(list(pc.datasets.load("ras").values()))
collections = {"general": (general_train, general_test), "globins": (globin_train, globin_test), "Ras family": (ras_train, ras_test)}
table = pd.DataFrame({f"tested on {test}": {f"counted in {train}": unigram_perplexity(collections[train][0], collections[test][1])
                                            for train in collections} for test in collections})
table.style.format("{:.1f}")

# %% [markdown]
# Each column's best entry lies on the diagonal, and none is far below 20: frequencies alone are a poor guide, even within a family. Whatever a model
# scores, **compare it with what the frequencies score**: the ratio of two perplexities, or the difference in nats. Now your loaded model, on general
# proteins (the course's checkpoint was not trained on them; Meta's may have seen some), 15 % of each hidden at once. Residues of one protein are not
# independent of each other, so the interval comes from drawing whole proteins.

# %%
few = general_test[:60]
sums = np.array([(nats.sum().item(), len(nats)) for nats in pc.pretraining.masked_nll(plm, few)])
value, low, high = pc.bootstrap_ci(lambda rows: math.exp(rows[:, 0].sum() / rows[:, 1].sum()), sums)
unigram = unigram_perplexity(general_train, few)
print(f"masked perplexity on {len(few)} general proteins: {value:.1f}  ({low:.1f} to {high:.1f});  unigram {unigram:.1f}")
print("the interval lies below the unigram: the model knows something of proteins in general" if high < unigram else
      "the interval holds the unigram or lies above it: nothing shows that the model knows more of such proteins than frequencies")
print("for orientation: Meta's 8M is published with 10.4, on another set of proteins (OMGprot50)")

# %% [markdown]
# Hold this against the confident guesses of section 1. Haemoglobin has hundreds of relatives in any training set; most of these sixty proteins
# have few. "What does the model know?" has no answer until you say: of which proteins?

# %% [markdown]
# ## 6. The perplexity of one protein
#
# Hiding 15 % at once is right for training. To judge a single protein, hide **one residue at a time**, all others visible, and do so for each. The
# exp of the mean surprise is its **pseudo-perplexity**. "Pseudo", because the factors do not multiply to a probability of the sequence: each has
# seen the answers to all others.
#
# ### Exercise 1.5 · Pseudo-perplexity · ◆◆ · 15 minutes


# %%
def pseudo_perplexity(plm, sequence):
    """exp of the mean surprise at each residue, each masked in turn.

    Parameters
    ----------
    plm : the loaded model
        ``plm.tokenize([sequence])`` gives ids [1, L + 2], ``<cls>`` first and ``<eos>`` last; 32 is ``<mask>``;
        ``plm.forward(tokens).logits`` is [1, L + 2, 33].
    sequence : str
        Standard amino acids.

    Returns
    -------
    float
        exp of the mean over the L residues of -log p(residue), natural logarithm, softmax over all 33 tokens.
    """
    ### BEGIN SOLUTION
    tokens = plm.tokenize([sequence])
    total = 0.0
    for place in range(1, len(sequence) + 1):
        copy = tokens.clone()
        copy[0, place] = 32
        log_probs = plm.forward(copy).logits[0, place].log_softmax(dim=-1)
        total -= log_probs[tokens[0, place]].item()
    return math.exp(total / len(sequence))
    ### END SOLUTION


# %%
pseudo_perplexity = pc.check("1.5", pseudo_perplexity)

# %% [markdown]
# The course's own `pc.pseudo_perplexity` runs many masked copies in one batch; the number is the same.

# %%
ubiquitin = next(chain["sequence"] for chain in pc.datasets.chains("chains_test") if chain["id"] == "5NVG_A")
mine, batched = pseudo_perplexity(plm, ubiquitin), pc.pseudo_perplexity(plm, ubiquitin)
print(f"ubiquitin: yours {mine:.3f}, batched {batched:.3f}")
assert abs(math.log(mine / batched)) < 1e-3

# %% [markdown]
# ### Does the order matter?
#
# Shuffle a protein: same residues, no sense. Read it backwards: same residues, same neighbours, wrong direction. A model that knows only frequencies
# cannot tell the three apart. Can yours?

# %%
def shuffled(sequence, seed):
    return "".join(np.random.default_rng(seed).permutation(list(sequence)))


gb1 = pc.datasets.load("wild_types")["gb1"]
relatives = pc.datasets.load("families")["family"].value_counts()
rows = {}
for name, protein in {"ubiquitin": ubiquitin, "GB1": gb1}.items():
    versions = {"as it is": protein, "reversed": protein[::-1], "shuffled": shuffled(protein, seed=0)}
    rows[name] = {version: pc.pseudo_perplexity(plm, sequence) for version, sequence in versions.items()}
    rows[name]["unigram (all three)"] = unigram_perplexity(general_train, [protein])
print(f"relatives in Swiss-Prot: ubiquitin {relatives['Ubiquitin']}, GB1 {relatives['GB1']}")
pd.DataFrame(rows).T.style.format("{:.1f}")

# %% [markdown]
# Where "as it is" lies below "shuffled", the model has learned something about order in this protein. Where "reversed" looks like "shuffled", it is
# not only a matter of which residues like to be neighbours: direction is part of it. Where all of them lie near the unigram column, the protein is
# one of many that the model has no idea of. And where a shuffled protein scores *worse* than the unigram, the model is confidently wrong: it takes
# the composition, or a word here and there, for a family that it knows.

# %% [markdown]
# ## 7. Pretraining, live
#
# Enough of other people's weights. We take a small ESM (the same class, the same tokens, fewer and narrower layers), fill it with random
# numbers and let it play. First the data: a **crop** is a window of a protein, at a random place, because batches of equal length are cheap. (Most
# globins fit into one whole.)

# %%
CROP, ROWS, STEPS = 150, 10, 140
small = {"layers": 3, "dim": 96, "heads": 4}
sketch = pc.untrained(**small)
print(f"{sum(p.numel() for p in sketch.model.parameters()):,} parameters, random; "
      f"pseudo-perplexity of ubiquitin: {pc.pseudo_perplexity(sketch, ubiquitin):.1f}")


def crops(proteins, generator):
    """ROWS random crops of random proteins, as a padded batch of tokens."""
    rows = []
    for i in torch.randint(len(proteins), (ROWS,), generator=generator).tolist():
        start = torch.rand((), generator=generator).item()
        rows.append(pc.pretraining.random_crop(proteins[i], CROP, start))
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)


tokenized = [sketch.tokenize([protein])[0] for protein in globin_train]
example = crops(tokenized, torch.Generator().manual_seed(1))
print(f"a batch: {list(example.shape)}; {int((example == CLS).sum())} crops hold the beginning of their protein, "
      f"{int((example == EOS).sum())} its end")

# %% [markdown]
# Then the loss of a batch, and the loop. Three lines of it matter: crop, mask, step. The rest measures: now and then the perplexity on proteins that
# the network does not train on. `Trainer` holds the optimisers: Muon for the matrices inside the blocks, AdamW for all other parameters. It takes two
# batches per step, one for each core.


# %%
def batch_loss(model, batch):
    """Summed loss of a pair (what the model sees, labels), and the number of labels: what ``Trainer.step`` asks for."""
    seen, labels = batch
    number = (labels != IGNORE).sum()
    return mlm_loss(model(input_ids=seen, attention_mask=seen != PAD).logits, labels) * number, number


def pretrain(net, proteins, make_batch, measure=None, name=""):
    """Train from where the net stands; list of (step, measured value)."""
    tokenized = [net.tokenize([protein])[0] for protein in proteins]
    generator = torch.Generator().manual_seed(0)
    trainer = pc.pretraining.Trainer(net.model, muon_lr=0.04, adamw_lr=2e-3, workers=2)
    curve = [(0, measure(net))] if measure else []
    for step in (bar := tqdm(range(1, STEPS + 1), desc=name, leave=False)):
        batches = [make_batch(crops(tokenized, generator), generator) for _ in range(2)]
        loss = trainer.step(batches, batch_loss, rate=pc.pretraining.warm_up_and_decay(step / STEPS))
        if measure and step % 20 == 0:
            curve.append((step, measure(net)))
        bar.set_postfix(loss=f"{loss:.2f}")
    return curve


# %% [markdown]
# The game is played twice, with the same network, the same number of steps and the same random numbers: once on **globins**, one family with
# hundreds of members, once on the **general** sample, where hardly any two proteins are related. In both cases 60 proteins are kept out.

# %%
few_globins = globin_test[:40]
few_general = [protein[:250] for protein in general_test[:40]]
globin_net, general_net = pc.untrained(**small), pc.untrained(**small)
curves = {
    "globins": pretrain(globin_net, globin_train, mask_tokens, lambda net: pc.masked_perplexity(net, few_globins), "globins"),
    "general": pretrain(general_net, general_train, mask_tokens, lambda net: pc.masked_perplexity(net, few_general), "general"),
}
lines = {"globins": unigram_perplexity(globin_train, few_globins), "general": unigram_perplexity(general_train, few_general)}
for name, curve in curves.items():
    print(f"{name:8} unigram {lines[name]:.1f}   after {STEPS} steps {curve[-1][1]:.1f}   residues seen {2 * ROWS * CROP * STEPS:,}")

# %% alt="Held-out masked perplexity against training step for the small network on globins and on the general sample, with dashed horizontal lines for the two unigram baselines: the globin curve falls far below its line, the general curve stays near its own."
fig, ax = plt.subplots(figsize=(7.5, 4))
for colour, (name, curve) in zip(sns.color_palette(), curves.items()):
    ax.plot(*zip(*curve), "o-", color=colour, label=name)
    ax.axhline(lines[name], linestyle="--", color=colour, linewidth=1.2, label=f"unigram, {name}")
ax.set(xlabel="training step", ylabel="held-out masked perplexity", yscale="log",
       yticks=[5, 10, 20, 30], yticklabels=[5, 10, 20, 30])
ax.minorticks_off()
ax.legend();

# %% [markdown]
# *Both curves drop to their dashed line at once: that is frequencies, learned in a few steps. Then they part. On globins the network goes on to
# learn what globins look like. On the general sample it stays about where it is.*
#
# Same network, same effort. What differs is how often a pattern comes back: a globin resembles the next globin, while a protein of the general sample
# resembles hardly any other. To learn what *all* families look like takes many families with many members each, a network with room for
# them, and passes through the data in proportion. That is the case for **scale**. ESM-2's 8M and its larger siblings saw tens of millions of
# proteins; compare the residues seen:

# %%
seen = 2 * ROWS * CROP * STEPS
published = 500_000 * 2_000_000  # ESM-2's training: half a million steps of two million tokens (Lin et al. 2023)
print(f"this notebook {seen:,} residues; ESM-2 about {published:,}: {published / seen:,.0f} times as many")

# %% [markdown]
# ### How new are the held-out globins?
#
# They were drawn at random, and families are full of near-copies: human and chimpanzee haemoglobin are the same. Before we praise the network,
# look at the perplexity of each held-out globin against its likeness to the nearest training globin (share of its words of three letters
# that occur there).

# %%
@torch.no_grad()
def masked_surprise(net, protein):
    """Surprise at each residue, [L]: seven passes, every seventh residue masked, so about as much as in training."""
    tokens, place = net.tokenize([protein] * 7), torch.arange(len(protein))
    copies = tokens.clone()
    copies[place % 7, place + 1] = MASK
    log_probs = net.forward(copies).logits.log_softmax(-1)
    return -log_probs[place % 7, place + 1, tokens[0, 1:-1]]


def words(protein):
    return {protein[i:i + 3] for i in range(len(protein) - 2)}


known = [words(protein) for protein in globin_train]
long = [protein for protein in globin_test if len(protein) >= 100]  # a fragment has few words, and any of them decides
likeness = np.array([max(len(words(p) & k) / len(words(p)) for k in known) for p in long])
each = np.array([masked_surprise(globin_net, p).mean().item() for p in long])
near = likeness >= 0.8
for label, which in (("80 % of words or more", near), ("fewer", ~near)):
    print(f"nearest training globin shares {label:22} {which.sum():3} proteins, typical perplexity {math.exp(each[which].mean()):5.1f}")
print(f"rank correlation of likeness and surprise: {pc.metrics.spearman(likeness, each):+.2f}")

# %% alt="Scatter plot: each held-out globin's perplexity under the small network against its likeness to the nearest training globin; a dashed line marks the unigram perplexity."
fig, ax = plt.subplots(figsize=(6.4, 3.6))
ax.scatter(likeness, np.exp(each), s=28, linewidth=0, alpha=0.8)
ax.axhline(lines["globins"], linestyle="--", color="#404040", linewidth=1)
ax.text(1.01, lines["globins"], "unigram", transform=ax.get_yaxis_transform(), va="center", color="#404040")
ax.set(xlabel="share of its three-letter words found in the nearest training globin", ylabel="masked perplexity", yscale="log",
       yticks=[2, 5, 10, 20], yticklabels=[2, 5, 10, 20])
ax.minorticks_off();

# %% [markdown]
# *Each dot is a held-out globin of at least 100 residues. If the cloud falls to the right, a part of "understanding globins" is having met a close
# relative.* Single dots that defy the trend are worth a look of their own. A random split flatters; notebook 3 makes that a topic of its own. The dots
# at the left are the honest ones.

# %% [markdown]
# ## 8. Left to right, or both sides?
#
# Models that write text read from left to right: each position is predicted from those before it. Such **causal** (or autoregressive)
# models exist for proteins too. What does it cost not to see the right-hand side, and what does it buy?
#
# ### One model, half the context
#
# The cleanest experiment changes nothing but the context. Take your loaded model and haemoglobin, and guess each residue twice: with both sides
# visible, and with the protein cut off right after it.

# %%
def surprise_from_the_left(sequence):
    """Surprise at each residue, [L], when the protein ends with it: <cls>, what comes before, <mask>."""
    tokens, found = plm.tokenize([sequence]), []
    for place in tqdm(range(1, len(sequence) + 1), desc="prefixes", leave=False):
        prefix = tokens[:, :place + 1].clone()
        prefix[0, place] = MASK
        found.append(-plm.forward(prefix).logits[0, place].log_softmax(-1)[tokens[0, place]].item())
    return np.array(found)


ids = torch.tensor([pc.sequences.TOKEN_ID[residue] for residue in hbb])
both_sides = -pc.scoring.masked_log_probs(plm, hbb).gather(1, ids[:, None])[:, 0].numpy()
left_side = surprise_from_the_left(hbb)
print(f"perplexity of haemoglobin β: both sides {np.exp(both_sides.mean()):.1f}, left side only {np.exp(left_side.mean()):.1f}")
third = len(hbb) // 3
for name, part in {"first": slice(third), "middle": slice(third, 2 * third), "last": slice(2 * third, None)}.items():
    print(f"   {name:6} third: the right-hand side is worth {(left_side[part] - both_sides[part]).mean():+.2f} nats per residue")

# %% alt="Mean surprise in nats along human haemoglobin beta for the loaded model, in windows of nine residues, with both sides visible and with the protein cut off behind the masked residue; a dashed line marks the unigram."
def windows(values, size=9):
    """Means over windows of the last axis, and the middle position of each."""
    n = values.shape[-1] // size
    return np.arange(n) * size + (size + 1) / 2, values[..., :n * size].reshape(*values.shape[:-1], n, size).mean(-1)


fig, ax = plt.subplots(figsize=(8, 3.6))
ax.plot(*windows(both_sides), "o-", label="both sides")
ax.plot(*windows(left_side), "s-", label="left side only")
ax.axhline(math.log(unigram_perplexity(general_train, [hbb])), linestyle="--", color="#404040", linewidth=1, label="unigram")
ax.set(xlabel="position in haemoglobin β (the first M counted)", ylabel="mean surprise (nats)", ylim=(0, None))
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5));

# %% [markdown]
# *Windows of nine residues. The gap between the curves is what the right-hand side is worth to this model.* Where the left-side curve begins above the
# dashed line, the model does worse than frequencies: a protein of three letters and a `<mask>` is nothing that it has met in training. So part of the
# gap there is surprise at the question, not missing context.
#
# ### Two ways to train
#
# That model was trained to use both sides. What if a network has never had a right-hand side? In a causal network the attention of each position is
# cut off at itself. (ESM's rescaling of the input, token dropout, is off there as well: it counts the masks of the whole protein, which lie partly
# to the right.) We train two, on the same crops as the globin network of section 7:
#
# * **left side, masked**: the very same game with the very same masks. Only the attention differs.
# * **next residue**: the game that causal models really play. Nothing is masked; the labels are the input shifted by one.


# %%
def next_residue(tokens, generator):
    """Input and labels of a causal model: everything but the last token, and the residue that comes next."""
    following = tokens[:, 1:]
    return tokens[:, :-1], following.masked_fill((following < 4) | (following > 23), IGNORE)


_, labels = next_residue(example, None)
_, masked_labels = mask_tokens(example, torch.Generator().manual_seed(0))
print(f"answers to learn from in one batch: next residue {int((labels != IGNORE).sum()):,}, "
      f"masked {int((masked_labels != IGNORE).sum()):,}")

# %% [markdown]
# Here is the first difference, and it has nothing to do with context: a causal pass gets an answer at **every** position, a masked pass at 15 %.
# Before we train, make sure that a causal network really cannot see to the right:

# %%
left_net, next_net = pc.untrained(**small, causal=True), pc.untrained(**small, causal=True)


def reach(net):
    """Largest change of the outputs before token 50 when the tokens from there on are replaced."""
    tokens = net.tokenize([hbb])
    other = tokens.clone()
    other[0, 50:-1] = 5
    return (net.forward(tokens).logits - net.forward(other).logits)[0, :50].abs().max().item()


print(f"tokens 50 and later replaced; outputs before change by: causal {reach(left_net):.3f}, both sides {reach(globin_net):.3f}")
assert reach(left_net) == 0 < reach(globin_net)
pretrain(left_net, globin_train, mask_tokens, name="left side, masked")
pretrain(next_net, globin_train, next_residue, name="next residue");

# %% [markdown]
# Now the surprise at each position of the held-out globins, each network asked in its own way: the masked ones with every seventh residue hidden, the
# causal one from all that comes before.

# %%
@torch.no_grad()
def causal_surprise(net, protein):
    """Surprise at each residue, [L], from all that comes before it, in one pass."""
    tokens = net.tokenize([protein])
    log_probs = net.forward(tokens[:, :-2]).logits[0].log_softmax(-1)
    return -log_probs.gather(1, tokens[0, 1:-1, None])[:, 0]


LENGTH = 135
whole = [protein for protein in globin_test if LENGTH <= len(protein) <= 150]
surprise = {
    "both sides, masked": torch.stack([masked_surprise(globin_net, p)[:LENGTH] for p in whole]).numpy(),
    "left side, masked": torch.stack([masked_surprise(left_net, p)[:LENGTH] for p in whole]).numpy(),
    "next residue": torch.stack([causal_surprise(next_net, p)[:LENGTH] for p in whole]).numpy(),
}
print(f"{len(whole)} held-out globins        perplexity: all   first 15 residues   the rest")
for name, values in surprise.items():
    print(f"{name:36} {np.exp(values.mean()):5.1f} {np.exp(values[:, :15].mean()):19.1f} {np.exp(values[:, 15:].mean()):10.1f}")

# %% alt="Mean surprise in nats along held-out globins, in windows of nine residues, for the network with both sides, the masked network with the left side only and the next-residue network; a dashed line marks the unigram."
fig, ax = plt.subplots(figsize=(8.5, 4))
for (name, values), style in zip(surprise.items(), ("o-", "^-", "s-")):
    ax.plot(*windows(values.mean(0)), style, label=name)
ax.axhline(math.log(lines["globins"]), linestyle="--", color="#404040", linewidth=1, label="unigram")
ax.set(xlabel="position in the protein", ylabel="mean surprise (nats)", ylim=(0, None))
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5));

# %% [markdown]
# *Windows of nine residues, mean over all held-out globins.* What can be compared?
#
# * **Circles against triangles**: same masks, same labels, same number of steps; only the attention differs. More context can only help a network
#   that has learned to *use* it. If the triangles lie lower, the causal network has not understood globins better: it has learned faster. On a budget
#   of seconds the order tells no more than that. (Why faster? The discussion has a suspect.)
# * **Squares against the others**: same number of passes, but six to seven times as many answers, and a context without holes. That is the economy of
#   causal training.
# * **What neither shows**: a long training, where the first experiment of this section is the better guide, and what the hidden states are good
#   for. A causal network's vector for residue 5 has seen four neighbours; with both sides it has seen the whole protein. For embeddings and
#   mutations, that is the argument.
# * Causal surprises **add up** to −log of the probability of the whole protein, and new proteins can be drawn letter by letter. Masked ones do not.

# %%
globin = max(whole, key=lambda protein: likeness[long.index(protein)])  # the held-out globin with the closest relative
total = causal_surprise(next_net, globin).sum().item()
print(f"-log p(a held-out globin) = {total:.0f} nats; with 20 equally likely letters it would be {len(globin) * math.log(20):.0f}")
tokens = next_net.tokenize([globin])[:, :31]  # <cls> and 30 residues; the rest is written by the network
generator = torch.Generator().manual_seed(0)
for _ in range(60):
    p = next_net.forward(tokens).logits[0, -1, 4:24].softmax(-1)
    tokens = torch.cat([tokens, 4 + torch.multinomial(p, 1, generator=generator)[None]], 1)
written = "".join(pc.RESIDUES[i - 4] for i in tokens[0, 31:].tolist())
same = np.mean([a == b for a, b in zip(written, globin[30:90])])
print(f"given     {globin[:30]}\nwritten   {written}\nnature    {globin[30:90]}\n{same:.0%} of the 60 letters agree; "
      f"its nearest training globin shares {max(likeness[long.index(p)] for p in whole):.0%} of its three-letter words")

# %% [markdown]
# If most letters agree, read the last line before you admire it: with close relatives in the training set, the network may simply recite.

# %% [markdown]
# ## 9. The checkpoint that comes with the course
#
# The same game, on more proteins and for longer, with one addition: where the relatives of a protein are known, the label is not one letter alone but
# how often each letter stands at that place among the relatives (60 % L, 30 % I, …). That says more per residue. The training wrote a log, and here
# it is. (`data/models/course-8M/README.md` says on what the checkpoint was trained and how good it is; `tools/pretrain.py` is the
# program.)

# %%
log = pd.read_json(pc.datasets.path("course-8M").parent / "training_log.jsonl", lines=True)
if not plm.source.startswith("course-8M"):
    print(f"You have loaded other weights ({plm.source}); this is the log of the embedded checkpoint.")
last = log.iloc[-1]
print(f"{last['step']:,.0f} steps, {last['residues'] / 1e6:,.0f} million residues, {log['seconds'].max() / 3600:.1f} hours; "
      f"this notebook's globin network: {STEPS} steps, {2 * ROWS * CROP * STEPS / 1e6:.1f} million")
measured = log[log["perplexity"].notna()]  # only some lines have it: measuring takes time
history = pd.DataFrame(measured["perplexity"].tolist(), index=measured["residues"] / 1e6)
history.iloc[[0, -1]].round(1)

# %% alt="Training curves of the embedded checkpoint: held-out masked perplexity against millions of residues seen, a thick line for general proteins, thinner lines for course families, a dashed line for the unigram baseline."
names = {"HBB": "globins", "HRAS": "small GTPases", "CheY": "CheY", "Thioredoxin": "thioredoxins", "Ubiquitin": "ubiquitins",
         "HEWL": "lysozymes C", "BPTI": "Kunitz domains", "TEM1": "β-lactamases", "DHFR_ECOLI": "DHFR"}
fig, ax = plt.subplots(figsize=(8.5, 4.4))
for family, marker in zip(history.columns.drop("general"), "os^vD<>Xp"):
    ax.plot(history.index, history[family], marker=marker, linewidth=1.3, label=f"{names[family]} ({relatives[family]})")
ax.plot(history.index, history["general"], color="black", linewidth=3, label="general proteins")
ax.axhline(unigram_perplexity(general_train, general_test), linestyle="--", color="#404040", linewidth=1, label="unigram, general")
ax.set(xlabel="million residues seen", ylabel="held-out masked perplexity", yscale="log",
       yticks=[2, 5, 10, 20], yticklabels=[2, 5, 10, 20])
ax.minorticks_off()
ax.legend(bbox_to_anchor=(1, 1), loc="upper left");

# %% [markdown]
# *Thin lines: held-out members of families that this course works with, in brackets the number of their members in Swiss-Prot; thick: general
# proteins, whose close relatives were kept out of the training; dashed: what frequencies alone would score. Where all lines rise together, a finished run
# was continued and its learning rate raised again (`training.json` beside the log says where).*
#
# It is section 7 once more, on a larger scale: one network, the same steps for all, and the lines fall at very
# different times. Compare the order in which they fall with the number of members; and think of how alike the members are, since numbers are not
# everything.
#
# Keep this picture in mind through the other notebooks. Where a result looks too good, ask whether the protein belongs to a family that the model has
# met often; where it looks bad, whether it belongs to none.

# %% [markdown]
# ## Discussion
#
# * ESM-2 drew its training sequences cluster by cluster, not protein by protein. What would the curves of section 9 look like otherwise?
# * Why might a causal network learn a family faster? One suspect: a position that can only look back can tell how far it is from the beginning by
#   how many there are to look at, and in whole globins "where am I?" is half the answer. A network with both sides knows distances only (notebook 2:
#   rotary embeddings) and has to find out. Which experiment would decide it? (One idea: crops that begin anywhere, without `<cls>`.)
# * 15 % is tradition. What would 5 % and what would 50 % change, for the signal per pass and for the difficulty of each guess?
# * You want a model that proposes new proteins, and one that scores mutants. Which of the two objectives do you take for each, and what would you
#   measure to be sure?
#
# ## Quiz
#
# 1. A paper reports masked perplexity 9 on antibodies. Which two numbers do you ask for before you are impressed?
# 2. Your training loss falls to 0.4 within minutes, and held-out perplexity stays at 17. Name two quite different explanations, and how you would
#    tell them apart.
# 3. A colleague computes perplexity per protein and averages. For which proteins does that number change most, and in which direction?
# 4. A causal and a masked model have the same loss in nats. What follows?

# %% [markdown] tags=["solution"]
# ### Answers
#
# 1. The unigram perplexity of antibodies (section 5: within a family, frequencies know more), and how similar the nearest training sequence is
#    (section 7, the scatter plot). With near-copies in the training set, 9 is poor.
# 2. Either the loss is computed over easy positions: padding, special tokens, or residues that stayed visible (section 3, three kinds; section 4,
#    `touches_special` and `wrong_labels`): audit the masker. Or the network has memorised its training set: then the loss on *training* proteins
#    with fresh masks is low too, and more data help.
# 3. For short proteins, which then weigh as much as long ones, and for those the model does badly on: exp grows faster than its argument, so the
#    mean of perplexities lies above the perplexity of the mean (section 3, the mean of means).
# 4. Nothing about which is better. The masked model had both sides to go by, some of it hidden; the causal one only the left, without holes, and more
#    answers to learn from (section 8). Only the causal one's losses add up to the probability of a sequence.

# %% [markdown]
# ## References
#
# * Devlin J. et al. (2019) BERT: pre-training of deep bidirectional transformers for language understanding. *NAACL*. (80/10/10)
# * Rives A. et al. (2021) Biological structure and function emerge from scaling unsupervised learning to 250 million protein sequences. *PNAS*
#   118:e2016239118. (ESM)
# * Lin Z. et al. (2023) Evolutionary-scale prediction of atomic-level protein structure with a language model. *Science* 379:1123. (ESM-2)
# * Salazar J. et al. (2020) Masked language model scoring. *ACL*. (pseudo-perplexity)
# * Nijkamp E. et al. (2023) ProGen2: exploring the boundaries of protein language models. *Cell Systems* 14:968. (causal)
# * Jordan K. et al. (2024) Muon: an optimizer for hidden layers in neural networks.
# * UniProt Consortium, Swiss-Prot release 2014_01. (all proteins used here)

# %%
pc.progress(1)
