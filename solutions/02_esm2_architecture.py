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
# # 2 · ESM-2 from its parts
#
# A model that you have built yourself holds no secrets. Here you write the five parts of ESM-2, put them together, pour the weights of a
# trained model into them, and compare the output with two implementations by other people, digit by digit. What the paper leaves vague, the digits
# settle.
#
# **You will be able to**
#
# * write attention, rotary positions and a transformer block, and say what each of them is for;
# * explain why ESM-2 normalises before each sublayer, and show what happens if it does not;
# * find out what a model really contains by counting, where papers and lectures disagree;
# * prove that two implementations are the same model, and hunt down the reason when they are not;
# * estimate the memory that a model of any size needs for reading proteins and for training.
#
# **Before you start**: Python, PyTorch (tensors, `nn.Module`, shapes). Notebook 1 says what the model is trained for. The course follows a lecture on protein
# language models; boxes that begin "The lecture says" compare its statements with what the model does. **Time**: about 3 hours with the exercises; the
# code itself runs in one to two minutes. **Difficulty**: ◆ to ◆◆◆.
#
# | word | means here |
# |---|---|
# | B, T, dim | proteins in a batch, tokens per protein (padding included), numbers per token |
# | head, H, D | attention is done H times side by side, each time on D = dim / H numbers |
# | language-model head | something else that is called head: the last layers, which turn vectors into logits |
# | contact head | a third one: a small model on top of the attention maps, the subject of notebook 8; not built here |
# | query, key, value | what a token looks for, what it offers to be found by, what it hands over |
# | residual stream | the vectors that run through the whole model; blocks only ever add to them |
# | logits | the model's 33 raw scores per position, before they become probabilities |
# | LayerNorm | shifts and scales the numbers of each token to mean 0 and variance 1, then stretches and shifts them by learned numbers, 2 · dim of them |
# | GELU | a bend, so that layers do not collapse into one: x · Φ(x), a smooth ReLU, Φ being the normal distribution. `F.gelu(x)` is exact ("erf"), `approximate="tanh"` an imitation |
# | nat | unit of surprise with the natural logarithm: −log p; perplexity is exp of its mean; the KL divergence of two predictions is how many nats the second one wastes |
# | transformers, fair-esm | two implementations of ESM-2: Hugging Face's library and Meta's own code |

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("plmcourse") is None:  # on Colab; a local installation has it already
    subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", "{{install}}"])

import copy
import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import psutil
import seaborn as sns
import torch
import torch.nn.functional as F
from torch import nn
from tqdm.auto import tqdm
from transformers import EsmForMaskedLM

import plmcourse as pc

pc.plots.use_course_style()
plm = pc.load()
print(f"{psutil.virtual_memory().available / 1e9:.0f} GB of memory free · PyTorch {torch.__version__.split('+')[0]}")

# %% [markdown]
# The line above says which weights you have. No result is written into the text below; the cells compute them for your model.
# `pc.load("650M")` in place of `pc.load()` takes a larger one.

# %% [markdown]
# ## 1. The whole picture
#
# Before the parts, the plan. The next cell reads the sizes from the loaded model and draws it.

# %%
CLS, PAD, EOS, MASK = 0, 1, 2, 32
config = plm.config
LAYERS, DIM, HEADS = config.num_hidden_layers, config.hidden_size, config.num_attention_heads
print(f"{LAYERS} blocks, dim {DIM}, {HEADS} heads of {DIM // HEADS}, feed-forward {config.intermediate_size}, vocabulary {config.vocab_size}")


# %%
def box(ax, x, y, text, colour="#e4e4e4", width=3.3, height=0.62):
    ax.add_patch(plt.Rectangle((x - width / 2, y - height / 2), width, height, facecolor=colour, edgecolor="#404040", linewidth=0.8, zorder=2))
    ax.text(x, y, text, ha="center", va="center", fontsize=10.5, zorder=3)


def arrow(ax, start, end, **style):
    ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "#404040", "linewidth": 1.3, **style}, zorder=1)


def draw_model(ax):
    """Tokens at the bottom, logits at the top."""
    parts = ["tokens  [B, T]", f"embedding  33 × {DIM}", "token dropout  (· 0.88 …)", "block 1", "⋮", f"block {LAYERS}", "LayerNorm",
             f"linear {DIM} → {DIM}, GELU", "LayerNorm", "· embeddingᵀ + bias", "logits  [B, T, 33]"]
    for y, text in enumerate(parts):
        shade = blue if "block" in text else yellow if "Norm" in text else "white" if y in (0, 4, 10) else "#e4e4e4"
        box(ax, 0, y, text, shade)
        if y:
            arrow(ax, (0, y - 0.68), (0, y - 0.31))
    ax.annotate("", (1.7, 9), (1.7, 1), arrowprops={"arrowstyle": "<->", "linestyle": "--", "color": "#404040", "connectionstyle": "arc3,rad=0.25"})
    ax.text(2.85, 5, "same numbers (tied)", rotation=90, ha="center", va="center", fontsize=10)
    ax.set(xlim=(-1.9, 3.2), ylim=(-0.6, 10.6), title="the model")


def draw_block(ax):
    """The residual stream on the left, two sublayers that read from it and add to it."""
    arrow(ax, (-2.6, -0.5), (-2.6, 10.5), linewidth=3, color="#1a5a8a")
    ax.text(-2.95, 5.2, f"residual stream  [B, T, {DIM}]", rotation=90, ha="center", va="center", fontsize=10.5)
    sublayers = {0.6: ["LayerNorm", f"query, key, value  3 × ({DIM} → {DIM})", f"rotate q and k  ({HEADS} heads of {DIM // HEADS})", "softmax(q kᵀ / √D) v",
                       f"out  {DIM} → {DIM}"], 5.8: ["LayerNorm", f"fc1  {DIM} → {4 * DIM}", "GELU", f"fc2  {4 * DIM} → {DIM}"]}
    for bottom, parts in sublayers.items():
        for i, text in enumerate(parts):
            box(ax, 0.5, bottom + 0.95 * i, text, yellow if "Norm" in text else blue, width=4.2)
        top = bottom + 0.95 * (len(parts) - 1)
        arrow(ax, (-2.6, bottom), (-1.6, bottom))
        ax.plot([0.5, 0.5], [bottom, top], color="#404040", linewidth=1.3, zorder=1)
        arrow(ax, (-1.6, top), (-2.4, top))
        ax.text(-2.6, top, "+", ha="center", va="center", fontsize=13, bbox={"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": "#1a5a8a"}, zorder=4)
    ax.set(xlim=(-3.3, 2.8), ylim=(-0.6, 10.6), title="one block")


# %% alt="Diagram in two columns. Left: tokens, embedding, token dropout, the blocks, LayerNorm, a dense layer with GELU, LayerNorm, product with the embedding table, logits. Right: one block, in which the residual stream runs upward and two sublayers, attention and feed-forward, each begin with a LayerNorm and add their result to the stream."
blue, yellow = (sns.set_hls_values(sns.color_palette("colorblind")[i], l=0.82) for i in (0, 8))
fig, axes = plt.subplots(1, 2, figsize=(9.5, 6.2), gridspec_kw={"width_ratios": [5.1, 6.1]})
for ax, draw in zip(axes, (draw_model, draw_block)):
    draw(ax)
    ax.axis("off")

# %% [markdown]
# *Read from bottom to top. Left, the model: a table look-up, token dropout (section 5), a stack of equal blocks, and above the first LayerNorm the language-model head: three boxes, whose output are the logits. Right, one block: the blue line is the residual stream. Each
# sublayer takes a normalised copy and adds what it found; nothing on the stream is ever replaced. Attention is the only place in the whole model where
# tokens learn anything of each other.*
#
# The parts in the order in which you will build them: attention (2.1), rotation (2.2), the block (2.3), the model (2.4), and its bill (2.5).

# %% [markdown]
# ## 2. Attention: a dictionary that answers between the words
#
# A dictionary has keys and values: hand in a key, get its value, and nothing at all for a key that is not there. Attention is the forgiving kind. The
# query is compared with **all** keys, the likenesses become shares that sum to 1, and the answer is the average of the values with these shares.
#
# Five keys on a circle, with the values 10 to 50. We turn the query around the circle once.

# %% alt="Left: five keys as points on a circle, labelled with their values 10 to 50, and one query arrow. Right: the answer against the angle of the query: a step function for the hard look-up, and two smooth curves, one for short and one for long keys."
turn = torch.arange(5) * 2 * math.pi / 5
keys = torch.stack([turn.cos(), turn.sin()], -1)
values = torch.tensor([10.0, 20, 30, 40, 50])
around = torch.linspace(0, 2 * math.pi, 400)
queries = torch.stack([around.cos(), around.sin()], -1)
fig, axes = plt.subplots(1, 2, figsize=(9.5, 3.4), gridspec_kw={"width_ratios": [1, 2.1]})
axes[0].scatter(*keys.T, s=60)
for (x, y), value in zip(keys.tolist(), values.tolist()):
    axes[0].text(1.28 * x, 1.28 * y, f"{value:.0f}", ha="center", va="center", fontsize=11)
arrow(axes[0], (0, 0), (math.cos(0.6), math.sin(0.6)))
axes[0].set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), aspect="equal", xticks=[], yticks=[], title="keys, their values, a query")
axes[1].plot(around.rad2deg(), values[(queries @ keys.T).argmax(-1)], color="#404040", linewidth=1, label="dictionary: nearest key")
for length in (3, 30):
    shares = (queries @ keys.T * length).softmax(-1)
    axes[1].plot(around.rad2deg(), shares @ values, label=f"attention, scores up to {length}")
axes[1].set(xlabel="direction of the query / degrees", ylabel="answer", ylim=(5, 75), xticks=range(0, 361, 90), title="the answer")
axes[1].legend();

# %% [markdown]
# *Halfway between 50 and 10 even the sharp look-up passes through 30: an average of the two, not the value of a key that is near. With small scores the answer is a mixture of many values, with large ones the softmax picks a winner and the look-up becomes hard. So the **size** of the scores
# decides how sharply a head looks, and a model that is to learn must not start at either extreme.*
#
# ### Why divide by √D?
#
# A score is a sum of D products. If queries and keys are random numbers of size 1, the sum grows like √D, with nothing learned at all. Measure what
# that does to a softmax over 100 keys: over how many keys the weight is spread (exp of the entropy), and how much of a gradient still gets through to the
# scores.

# %% alt="Two panels against head dimension D on a logarithmic axis, each with one line for scores divided by root D and one for raw scores. Left: effective number of keys stays constant when divided and falls towards one for raw scores. Right: the gradient that reaches the scores stays constant or falls."
generator = torch.Generator().manual_seed(0)
rows = []
for d in (1, 4, 16, 64, 256, 1024):
    q, k = (torch.randn(400, n, d, generator=generator) for n in (1, 100))
    for label, scale in (("divided by √D", d**-0.5), ("raw", 1.0)):
        scores = ((q * k).sum(-1) * scale).requires_grad_()
        weights = scores.softmax(-1)
        spread = (-(weights * weights.clamp(min=1e-30).log()).sum(-1)).exp().mean().item()
        direction = torch.randn(weights.shape, generator=generator)
        (gradient,) = torch.autograd.grad((weights * direction).sum(), scores)
        rows.append({"D": d, "scores": label, "keys": spread, "gradient": gradient.norm(dim=-1).mean().item()})
scaling = pd.DataFrame(rows)
fig, axes = plt.subplots(1, 2, figsize=(9.5, 3.3))
for ax, column, label in zip(axes, ("keys", "gradient"), ("keys that share the weight", "gradient at the scores (norm)")):
    sns.lineplot(scaling, x="D", y=column, hue="scores", style="scores", markers=True, ax=ax, legend=column == "keys")
    ax.set(xscale="log", yscale="log", ylabel=label, xlabel="dimension of a head, D", xticks=[1, 4, 16, 64, 256, 1024], xticklabels=[1, 4, 16, 64, 256, 1024])
    ax.minorticks_off()
axes[0].set(yticks=[1, 3, 10, 30, 100], yticklabels=[1, 3, 10, 30, 100])
axes[1].set(yticks=[0.05, 0.1, 0.2, 0.4], yticklabels=[0.05, 0.1, 0.2, 0.4])
axes[0].legend(title=None);

# %% [markdown]
# *Divided by √D, a fresh head looks at dozens of keys, whatever its size. Without the division a wide head has made up its mind before the first step: one key
# takes nearly all the weight, for no reason. Right: what would make it change its mind. Raw scores get a good signal in narrow heads and lose it in wide ones, where the softmax is stuck.*
#
# ESM-2's heads have 16 to 128 dimensions, so without √D it would still learn something. But each size would start from another point, and with √D they all start alike.

# %%
large = scaling[scaling["D"] == 1024].set_index("scores")
print(f"D = 1,024: weight on {large['keys']['divided by √D']:.0f} keys when divided by √D, on {large['keys']['raw']:.1f} when raw; "
      f"gradient {large['gradient']['divided by √D'] / large['gradient']['raw']:.1f} times as large")

# %% [markdown]
# ### Exercise 2.1 · Attention · ◆◆ · 25 minutes
#
# Three lines, and a mask that can go wrong in six ways.
#
# How an exercise works: write your lines in place of `raise NotImplementedError`, run the cell, then run the check below it. It says what is right (✓),
# what is wrong (✗, with the smallest example) and what it has not tested yet (–). Whatever it says, you go on: with your function if it passes, else
# with the course's own. `pc.hint("2.1")` gives a hint, and a clearer one each time you ask; the third is almost the answer.


# %%
def scaled_dot_product_attention(q, k, v, mask=None):
    """softmax(q kᵀ / √D) v, for all heads and proteins at once.

    Parameters
    ----------
    q, k, v : Tensor, shape [B, H, T, D]
        Queries, keys and values of B proteins, H heads, T positions; D numbers each.
    mask : BoolTensor, shape [B, T], optional
        True where a position may be attended to, False where it is padding. Every query, also one at a padded position, gets an
        average over the positions that are True. At least one of them is.

    Returns
    -------
    Tensor, shape [B, H, T, D], dtype of the input
        For each query the average of the values. Its weights sum to 1 over the keys.
    """
    ### BEGIN SOLUTION
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, None, :], -torch.inf)
    return scores.softmax(dim=-1) @ v
    ### END SOLUTION


# %%
scaled_dot_product_attention = pc.check("2.1", scaled_dot_product_attention)

# %% [markdown]
# PyTorch has the same function, made for speed. It wants its mask in the shape of the scores.

# %%
generator = torch.Generator().manual_seed(1)
q, k, v = (torch.randn(2, 4, 50, 16, generator=generator) for _ in range(3))
real = torch.arange(50) < torch.tensor([[50], [31]])
mine = scaled_dot_product_attention(q, k, v, real)
theirs = F.scaled_dot_product_attention(q, k, v, attn_mask=real[:, None, None, :])
print(f"largest difference from PyTorch's: {(mine - theirs).abs().max():.1e}")
shuffled = torch.randperm(50, generator=generator)
moved = scaled_dot_product_attention(*(part[:, :, shuffled] for part in (q, k, v)))
print(f"shuffle the positions, and the answers are shuffled with them: {torch.allclose(moved, scaled_dot_product_attention(q, k, v)[:, :, shuffled], atol=1e-5)}")

# %% [markdown]
# The last line is a warning: attention does not know in which order its tokens stand. A protein and its anagram would look the same. Something has to tell it.

# %% [markdown]
# ## 3. Rotary positions
#
# Older models added a vector to each token that says "I am number 17". ESM-2 adds nothing. It **turns** each query and each key by an angle that is
# proportional to its position. When a query at position s meets a key at position t, only the difference of the two angles is left in their product,
# (R_s q) · (R_t k) = q · (R_(t − s) k), so a score can depend on the distance t − s but not on where in the protein the two stand.
#
# One angle would come full circle too soon. So the D numbers of a head are taken as D/2 pairs, and each pair turns at its own **pace**, pair i by
# 10,000^(−2i/D) radians per position: the first like a second hand, the last hardly at all.

# %% alt="Heat map of the cosine of the angle, one row per pair of a head, 128 positions along x: fast stripes in the first rows, hardly any change in the last."
D = DIM // HEADS
pace = 10_000 ** (-torch.arange(0, D, 2) / D)
angles = torch.arange(128)[:, None] * pace
fig, ax = plt.subplots(figsize=(9, 2.9))
drawn = ax.imshow(angles.cos().T, aspect="auto", cmap="RdBu", vmin=-1, vmax=1, interpolation="nearest")
ax.set(xlabel="position", ylabel="pair", title=f"cosine of the angle, heads of {D} dimensions")
ax.set_yticks(range(0, D // 2, max(1, D // 16)))
fig.colorbar(drawn, ax=ax, label="cos(angle)", pad=0.01);

# %% [markdown]
# *Each row is a clock hand. Read a column from top to bottom and you can tell the position, as with seconds, minutes and hours; in 128 positions the slowest hands have hardly moved.*
#
# Which numbers form a pair is a matter of convention, and a source of bugs: neighbours (0, 1), (2, 3), … in the RoFormer paper, or number i of the first half
# with number i of the second half in ESM-2 (and LLaMA). Both work, but not with weights that were trained with the other.
#
# ### Exercise 2.2 · Rotate · ◆◆ · 25 minutes


# %%
def apply_rotary(q, k):
    """Turn each pair of numbers by its position times its pace.

    Parameters
    ----------
    q, k : Tensor, shape [B, H, T, D]
        D is even. Positions run along T and are counted from 0; every head turns alike.

    Returns
    -------
    q, k : Tensor, shape [B, H, T, D]
        Pair i, from 0 to D/2 − 1, consists of a = x[..., i] and b = x[..., i + D/2]. At position t it becomes
        (a cos − b sin, b cos + a sin) with the angle t · 10,000^(−2i/D). Angles, sines and cosines are computed in float32 whatever
        the input is; the results have the dtype of the input.
    """
    ### BEGIN SOLUTION
    length, dim = q.shape[-2:]
    pace = 10_000 ** (-torch.arange(0, dim, 2, device=q.device).float() / dim)
    angle = torch.arange(length, device=q.device).float()[:, None] * pace
    cos, sin = angle.cos(), angle.sin()

    def turn(x):
        a, b = x.chunk(2, dim=-1)
        return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1).to(x.dtype)

    return turn(q), turn(k)
    ### END SOLUTION


# %%
apply_rotary = pc.check("2.2", apply_rotary)

# %% [markdown]
# ### Only the distance counts
#
# The test: put the **same** query and the **same** key at all positions. All that can make one score differ from another is then the rotation. If only the
# distance counts, the score matrix has the same number all along each diagonal (mathematicians call it a Toeplitz matrix).

# %% alt="Left: heat map of the scores of one query and one key placed at all pairs of 96 positions, with stripes parallel to the diagonal. Right: the same scores against the distance."
generator = torch.Generator().manual_seed(5)
q, k = (torch.randn(1, 1, 1, 16, generator=generator).expand(1, 1, 96, 16) for _ in range(2))
rotated_q, rotated_k = apply_rotary(q, k)
scores = (rotated_q @ rotated_k.transpose(-2, -1))[0, 0] / 4
deviation = max((scores.diagonal(offset) - scores.diagonal(offset).mean()).abs().max().item() for offset in range(-95, 96))
print(f"along each diagonal the scores differ by at most {deviation:.1e}; over the whole matrix by {scores.max() - scores.min():.1f}")
fig, axes = plt.subplots(1, 2, figsize=(9.5, 3.6))
drawn = axes[0].imshow(scores, interpolation="nearest")
axes[0].set(xlabel="position of the key, t", ylabel="position of the query, s")
fig.colorbar(drawn, ax=axes[0], label="score", pad=0.02)
distances = np.arange(-95, 96)
axes[1].plot(distances, [scores.diagonal(offset).mean() for offset in distances])
axes[1].axvline(0, color="#404040", linestyle="--", linewidth=1)
axes[1].set(xlabel="distance, t − s", ylabel="score");

# %% [markdown]
# *Left: stripes along the diagonals, so the score knows only the distance. Right: what it makes of the distance, for this query and this key. It has a
# direction (left is not right) and it does not simply fade with the distance: it wobbles. Another query and key have another curve; which curves are useful is what the weights learn.*
#
# What about a whole model? Move a protein along by putting padding in front. If positions count only through their differences, its logits must not move.

# %%
protein = next(iter(pc.datasets.load("globins").values()))[:60]
mini = pc.MiniESM2(LAYERS, DIM, HEADS).eval()
pc.architecture.copy_weights(plm, mini)
tokens = plm.tokenize([protein]).cpu()
with torch.no_grad():
    here = mini(tokens)
    for shift in (1, 100, 900):
        there = mini(F.pad(tokens, (shift, 0), value=PAD))[:, shift:]
        print(f"moved by {shift:3} positions: logits change by at most {(here - there).abs().max():.1e} (they range over {here.max() - here.min():.0f})")

# %% [markdown]
# What is left is rounding: at position 900 a float32 angle has a few digits less. (`pc.MiniESM2` is the course's own version of what you will have built at the end of section 5.)
#
# ### What happens past the training length
#
# "Only distances count" is sometimes taken to mean that the model can read proteins of any length. It does not follow: a protein four times as long as those
# in training brings **distances that the model has never seen**, and more keys that compete for the same weight. So we try it: train short, test long.
#
# The data is made up, so that we know what there is to learn and can make it in any length. Each "protein" begins with ten random residues; from then
# on each residue is determined by the one ten places before, through a fixed code, printed below. A hidden residue can be worked out from the
# one ten places to the left or to the right, at **every** length. That is all there is to know.

# %% alt="Boxes with the letters of one made-up protein of 34 residues; the residues at places 3, 13, 23 and 33 are framed."
PERIOD = 10
code = torch.randperm(20, generator=torch.Generator().manual_seed(3))


def planted(rows, length, generator):
    """Made-up proteins [rows, length], in which a residue follows from the one PERIOD places before."""
    residues = torch.randint(20, (rows, length), generator=generator)
    for place in range(PERIOD, length):
        residues[:, place] = code[residues[:, place - PERIOD]]
    return residues + 4  # token ids


print("the code:", " ".join(f"{a}→{pc.RESIDUES[b]}" for a, b in zip(pc.RESIDUES, code)))
example = planted(1, 34, torch.Generator().manual_seed(0))
pc.plots.token_strip(example, marked={(0, column) for column in (2, 12, 22, 32)});

# %% [markdown]
# *One made-up protein. The framed residues are ten places apart: each determines the next.*
#
# Two small networks of ESM-2's kind, with the same number of residues in all: one sees crops of 48, the other crops of 192.

# %%
def masked_batch(rows, length, generator):
    return pc.mask_tokens(planted(rows, length, generator), generator)


def batch_loss(model, batch):
    """Summed loss, and the number of labels: what ``Trainer.step`` asks for."""
    seen, labels = batch
    number = (labels != -100).sum()
    return pc.mlm_loss(model(input_ids=seen).logits, labels) * number, number


def train(length, residues=2304, steps=200):
    net = pc.untrained(layers=2, dim=64, heads=4)
    trainer = pc.pretraining.Trainer(net.model, muon_lr=0.02, adamw_lr=2e-3)
    generator = torch.Generator().manual_seed(0)
    for step in tqdm(range(1, steps + 1), desc=f"crops of {length}", leave=False):
        trainer.step([masked_batch(residues // length, length, generator)], batch_loss, pc.pretraining.warm_up_and_decay(step / steps))
    return net


nets = {length: train(length) for length in (48, 192)}


# %%
@torch.no_grad()
def surprise(net, length, residues=9000):
    """Mean surprise at masked residues of made-up proteins of one length, and its standard error over proteins."""
    seen, labels = masked_batch(max(16, residues // length), length, torch.Generator().manual_seed(7))
    log_probs = net.forward(seen).logits.log_softmax(-1)
    nats = -log_probs.gather(-1, labels.clamp(min=0)[..., None])[..., 0]
    hidden = (seen == MASK) & (labels != -100)
    each = (nats * hidden).sum(1)[hidden.any(1)] / hidden.sum(1)[hidden.any(1)]
    return nats[hidden].mean().item(), each.std().item() / math.sqrt(len(each))


LENGTHS = (48, 72, 96, 144, 192, 288, 384)
curves = {crop: np.array([surprise(net, length) for length in LENGTHS]) for crop, net in nets.items()}

# %% alt="Perplexity at hidden residues against the length of the test proteins from 48 to 384, on logarithmic axes, one curve for the network trained on crops of 48 and one for crops of 192; dashed vertical lines mark the two training lengths, and a dotted horizontal line guessing among 20."
fig, ax = plt.subplots(figsize=(7.5, 3.8))
for colour, (crop, curve) in zip(sns.color_palette(), curves.items()):
    ax.plot(LENGTHS, np.exp(curve[:, 0]), "o-", color=colour, label=f"trained on crops of {crop}")
    ax.fill_between(LENGTHS, np.exp(curve[:, 0] - 2 * curve[:, 1]), np.exp(curve[:, 0] + 2 * curve[:, 1]), color=colour, alpha=0.2)
    ax.axvline(crop, color=colour, linestyle="--", linewidth=1.2)
ax.axhline(20, color="#404040", linestyle=":", linewidth=1.2, label="guessing")
ax.set(xscale="log", yscale="log", xticks=LENGTHS, xticklabels=LENGTHS, yticks=[1, 2, 5, 10, 20], yticklabels=[1, 2, 5, 10, 20],
       xlabel="length of the test proteins / residues", ylabel="perplexity at hidden residues", ylim=(1, 25))
ax.minorticks_off()
ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3);

# %%
for crop, curve in curves.items():
    at = dict(zip(LENGTHS, np.exp(curve[:, 0])))
    print(f"trained on {crop:3}: perplexity {at[crop]:.2f} at its own length, " + ", ".join(f"{at[n]:.2f} at {n}" for n in LENGTHS if n > crop))

# %% [markdown]
# *Dashed: the length each network was trained on. Bands: two standard errors over test proteins (not over training runs, of which there is one each). Compare each curve
# with itself: the network of the long crops has seen as many residues and as many steps, but had a harder search and has learned less.*
#
# The rule is the same at all lengths, and almost every hidden residue can be worked out (its two partners may be hidden as well, but more rarely so than the curves are high). Yet each network is
# at its best around the lengths that it has seen. Just beyond, little happens; there is no cliff. Further out there are distances that never occurred in
# training, with scores that nobody has trained to be small, and more residues that compete for the weight of the one key that counts; our guess is that both play a part. Whoever trains on
# longer crops pushes that point outward. And look to the left as well: a network that has met long proteins only may be worse in short ones, where each residue has
# fewer relatives (at 20, 30, 40 places, too). What a network can do at some length is a matter of its **data**; the formula only makes it possible.
#
# > **The lecture says** that rotary positions help a model to generalise to sequences longer than those in training, because scores depend on relative positions. **The
# > experiment says** that the second half is true (to the last digit, see above) and that the first does not follow from it. ESM-2 was trained on crops of at
# > most 1,024 tokens; `plm.tokenize` refuses longer proteins for that reason. Cut them into domains or overlapping windows.

# %% [markdown]
# ## 4. The block
#
# Two sublayers, one after the other, each of the form **x + sublayer(norm(x))**. The first is attention: tokens exchange information. The second is the **feed-forward**
# network: each token by itself is widened to four times its size, bent by a GELU, and narrowed again. Two thirds of a block's parameters are there.
#
# ### Where to put the norm
#
# The original transformer normalised *after* each sum: norm(x + sublayer(x)), "post-LN". ESM-2, like nearly everything since 2020, normalises *before* the sublayer
# and leaves the sum alone, "pre-LN". Does it matter? PyTorch's own transformer layer has a switch for it, `norm_first`. (It knows no rotation, which plays no part here.) Thirty
# layers of random weights, random tokens, random targets, and a look at the gradients that each layer gets before any training.

# %%
def signal(norm_first, initial, depth=30, dim=64):
    """By block: the gradient norms of query and fc1, and how alike the tokens have become (mean cosine of two tokens)."""
    torch.manual_seed(0)
    blocks = nn.ModuleList(nn.TransformerEncoderLayer(dim, 4, 4 * dim, dropout=0.0, activation="gelu", batch_first=True, norm_first=norm_first)
                           for _ in range(depth))
    for parameter in blocks.parameters():
        if parameter.ndim == 2:
            initial(parameter)
    x, output, alike = torch.randn(8, 60, dim), torch.randn(dim, 33) / 8, []
    for block in blocks:
        x = block(x)
        direction = F.normalize(x[:, ::6].detach(), dim=-1)
        alike.append((direction @ direction.transpose(-2, -1)).mean().item())
    x = F.layer_norm(x, (dim,)) if norm_first else x  # a pre-LN model ends with one more norm
    F.cross_entropy((x @ output).flatten(0, 1), torch.randint(33, (480,))).backward()
    return {"query": [block.self_attn.in_proj_weight.grad[:dim].norm().item() for block in blocks],
            "fc1": [block.linear1.weight.grad.norm().item() for block in blocks], "alike": alike}


ORDERS = {"pre-LN (ESM-2)": True, "post-LN": False}
with torch.random.fork_rng(devices=[]):
    signals = {label: signal(first, nn.init.xavier_normal_) for label, first in ORDERS.items()}
    timid = {label: signal(first, lambda weight: nn.init.normal_(weight, std=0.02)) for label, first in ORDERS.items()}

# %% alt="Three panels against block number from 1 to 30, each with a line for pre-LN and one for post-LN. Left: gradient norm of the query weights on a logarithmic axis. Middle: gradient norm of fc1 on the same axis. Right: mean cosine similarity of two tokens after each block."
fig, axes = plt.subplots(1, 3, figsize=(11.5, 3.3))
axes[1].sharey(axes[0])
titles = {"query": "gradient of query (norm)", "fc1": "gradient of fc1 (norm)", "alike": "cosine of two tokens"}
for ax, (key, title) in zip(axes, titles.items()):
    for label, found in signals.items():
        ax.plot(range(1, 31), found[key], "o-", markersize=3.5, label=label)
    ax.set(xlabel="block", ylabel=title, yscale="linear" if key == "alike" else "log")
axes[2].set(ylim=(0, 1.03))
axes[2].legend();

# %%
for name, found in {"as drawn (Xavier)": signals, "small, std 0.02": timid}.items():
    for label, values in found.items():
        print(f"initial weights {name:18} {label:15} gradient of query: block 1 {values['query'][0]:.0e}, block 30 {values['query'][-1]:.0e}, ratio {values['query'][0] / values['query'][-1]:5.0f};   "
              f"tokens after block 30: cosine {values['alike'][-1]:.2f}")

# %% [markdown]
# *Left: what attention in each block gets to learn from. Middle: the same for the feed-forward network. Right: the likely reason for the left. Each attention averages over tokens and makes them more
# alike; where the stream is normalised after every sum, the tokens' own part shrinks each time, and soon all tokens are one. Queries cannot learn to choose between keys that are all the same.*
#
# In pre-LN nothing is ever taken away from the stream: the tokens' own part stays in it at full size, and the sums form an unbroken path from the loss down to the embedding. (What blocks add makes tokens more
# alike here too, only slower.) Feed-forward networks, in the middle, do not choose between keys and keep their gradient either way. The printed lines also show a way out for post-LN: weights so small
# that blocks do next to nothing make it as even as pre-LN, if fainter. Such models were started in that way, and with a learning rate that rises slowly (warm-up, not tried here).
#
# ### Exercise 2.3 · A transformer block · ◆◆◆ · 35 minutes
#
# Your `scaled_dot_product_attention` and `apply_rotary` meet here. The parameters are found by their names, so use those of the docstring; how you split the
# work into lines or helper functions is up to you.


# %%
class TransformerBlock(nn.Module):
    """One block of ESM-2: x + attention(norm1(x)), then x + feed-forward(norm2(x)).

    Parameters
    ----------
    dim : int
        Numbers per token.
    heads : int
        Each head works on D = dim / heads numbers; head 0 has the first D of them.

    Attributes
    ----------
    norm1, norm2 : nn.LayerNorm over dim, eps 1e-5
    query, key, value, out : nn.Linear, dim to dim, with biases
    fc1, fc2 : nn.Linear, dim to 4 · dim and back, with biases; the exact (erf) GELU between them
    """

    def __init__(self, dim, heads):
        super().__init__()
        ### BEGIN SOLUTION
        self.heads = heads
        self.norm1 = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)
        ### END SOLUTION

    def forward(self, x, mask=None):
        """Hidden states [B, T, dim] to hidden states [B, T, dim].

        Queries and keys are rotated. ``mask`` is a BoolTensor [B, T], True where a token may be attended to.
        """
        ### BEGIN SOLUTION
        h = self.norm1(x)
        q, k, v = (layer(h).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value))
        q, k = apply_rotary(q, k)
        found = scaled_dot_product_attention(q, k, v, mask)
        x = x + self.out(found.transpose(1, 2).flatten(2))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))
        ### END SOLUTION


# %%
TransformerBlock = pc.check("2.3", TransformerBlock)

# %% [markdown]
# ### GELU or SwiGLU? Count
#
# Some texts give ESM-2 a **SwiGLU** feed-forward: a third matrix whose output gates the second. One could argue about what a paper meant. One need not: the number of parameters of each
# published model is known to the last digit, and a third matrix cannot hide. On PyTorch's `meta` device a model has shapes and no
# numbers, so even the 15B model can be built on a laptop.

# %%
class SwiGLU(nn.Module):
    """The rival: silu(gate(x)) · up(x), then down; no biases, as is usual."""

    def __init__(self, dim, width):
        super().__init__()
        self.gate, self.up = (nn.Linear(dim, width, bias=False) for _ in range(2))
        self.down = nn.Linear(width, dim, bias=False)


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def on_paper(size):
    """transformers' ESM-2 of a size, on the meta device."""
    settings = copy.deepcopy(pc.untrained(layers=1, dim=8, heads=1).config)
    settings.update({"num_hidden_layers": size.layers, "hidden_size": size.dim, "num_attention_heads": size.heads,
                     "intermediate_size": 4 * size.dim})
    with torch.device("meta"):
        return EsmForMaskedLM(settings)


rows = {}
for name, size in pc.FAMILY.items():
    whole = parameters(on_paper(size))
    with torch.device("meta"):
        block = pc.TransformerBlock(size.dim, size.heads)
        gelu = parameters(block.fc1) + parameters(block.fc2)
        wide, equal = (parameters(SwiGLU(size.dim, width)) for width in (4 * size.dim, round(8 * size.dim / 3)))
    rows[name] = {"published": size.parameters, "GELU, 4×": whole, "SwiGLU, 4×": whole + size.layers * (wide - gelu),
                  "SwiGLU, 8/3×": whole + size.layers * (equal - gelu)}
counts = pd.DataFrame(rows).T
exact = counts.drop(columns="published").eq(counts["published"], axis=0)
print("agrees with all six published figures:", ", ".join(exact.columns[exact.all()]) or "none")
counts.style.format("{:,}").apply(lambda column: np.where(column == counts["published"], "font-weight: bold", ""))

# %% [markdown]
# Bold: exactly the published figure. SwiGLU at four times the width is a third too large; the narrower kind, made to have about as many parameters, comes close and still
# misses. Only one column is right for all six.
#
# > **The lecture says** that ESM-2's feed-forward layers use SwiGLU. **The counting says** fc1, GELU, fc2, with biases. (SwiGLU came with its successors ESM3 and ESM C.)

# %% [markdown]
# ## 5. The model
#
# Around the blocks there is little left: an embedding table below, a norm and a head above. Three details are easily missed, and each of them shows in the logits:
#
# * **Token dropout.** `<mask>` has a row in the embedding table, but the model never reads it: it is set to zero. So that a protein with many zeros does not look
#   fainter than one with few, the rest is scaled up. In training 15 % · 80 % = 12 % of the tokens are `<mask>`; ESM-2 scales *everything* to that level, by
#   (1 − 0.12) / (1 − share of `<mask>` in this protein). An input without any `<mask>` is multiplied by 0.88. Despite its name nothing here is random, and it is active in use as well as in training.
# * **The head** is a linear layer, GELU and LayerNorm, and then the **embedding table itself**, turned round, plus a bias: a token is likely where the output looks like its own row. "Tied" weights.
# * **Padding** is zero in the embedding and hidden in every attention.
#
# See the first two in the loaded model:

# %%
words = plm.model.esm.embeddings.word_embeddings.weight
tokens = plm.tokenize(["MKTAYIAKQR"])
with torch.no_grad():
    plain = plm.model.esm.embeddings(tokens, attention_mask=tokens != PAD)
    tokens[0, 3:5] = MASK
    masked = plm.model.esm.embeddings(tokens, attention_mask=tokens != PAD)
print(f"no <mask>:    the embedding of M is its row of the table times {(plain[0, 1].norm() / words[20].norm()).item():.3f}")
print(f"2 of 12:      times {(masked[0, 1].norm() / words[20].norm()).item():.3f} = 0.88 / (1 − 2/12); <mask> itself has length {masked[0, 3].norm().item():.1f}, "
      f"its row in the table {words[MASK].norm().item():.1f}")
print("output weight and embedding share their memory:", plm.model.lm_head.decoder.weight.data_ptr() == words.data_ptr())
print(f"dropout {config.hidden_dropout_prob} and {config.attention_probs_dropout_prob}, LayerNorm eps {config.layer_norm_eps}, "
      f"norm before the first block: {config.emb_layer_norm_before}, positions: {config.position_embedding_type}")

# %% [markdown]
# The last line settles four more details. There is no dropout at all (language models of this kind see each protein so seldom that they do not overfit), and eps, the small number that
# keeps LayerNorm from dividing by zero, is 1e-5; transformers' own default for this class would be 1e-12.
#
# ### Exercise 2.4 · MiniESM2 · ◆◆◆ · 40 minutes


# %%
class MiniESM2(nn.Module):
    """ESM-2 with its language-model head, without the contact head.

    Parameters
    ----------
    layers, dim, heads : int

    Attributes
    ----------
    embed : nn.Embedding of 33 tokens
    blocks : nn.ModuleList of TransformerBlock
    norm : nn.LayerNorm, after the last block
    head_dense : nn.Linear, dim to dim; the exact GELU follows
    head_norm : nn.LayerNorm
    head_bias : nn.Parameter, shape [33]
        There is no output layer: the output weight is embed.weight.
    """

    def __init__(self, layers, dim, heads):
        super().__init__()
        ### BEGIN SOLUTION
        self.embed = nn.Embedding(33, dim)
        self.blocks = nn.ModuleList(TransformerBlock(dim, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.head_dense = nn.Linear(dim, dim)
        self.head_norm = nn.LayerNorm(dim)
        self.head_bias = nn.Parameter(torch.zeros(33))
        ### END SOLUTION

    def forward(self, tokens):
        """Token ids, LongTensor [B, T], to logits [B, T, 33]; at padding they may be anything.

        1 is ``<pad>``: it is hidden from all attention. (ESM-2 also sets its vectors to zero; no other token notices.) 32 is
        ``<mask>``: the vectors at these positions are set to zero; the table keeps its row. All vectors of a protein are then
        multiplied by (1 − 0.15 · 0.8) / (1 − m / n): n counts the tokens that are not padding (``<cls>`` and ``<eos>`` count), m those
        of them that are ``<mask>``. This holds in training and in use.
        """
        ### BEGIN SOLUTION
        real, masked = tokens != 1, tokens == 32
        x = self.embed(tokens) * (real & ~masked)[..., None]
        share = masked.sum(1) / real.sum(1)
        x = x * (0.88 / (1 - share))[:, None, None]
        for block in self.blocks:
            x = block(x, real)
        x = self.head_norm(F.gelu(self.head_dense(self.norm(x))))
        return x @ self.embed.weight.T + self.head_bias
        ### END SOLUTION


# %%
MiniESM2 = pc.check("2.4", MiniESM2)

# %% [markdown]
# ### Trained weights in your model
#
# Now pour the weights of the loaded model in. The two libraries have other names for the same things; these replacements, in this order, translate.

# %%
for theirs, yours in pc.architecture.RENAME:
    print(f"{theirs:42} → {yours}")

# %%
mini = MiniESM2(LAYERS, DIM, HEADS).eval()
left_out = pc.architecture.copy_weights(plm, mini)
print(f"{parameters(mini):,} parameters copied; not needed: {', '.join(left_out)}")
proteins = list(pc.datasets.load("globins").values())[:4]
batch = plm.tokenize([proteins[0][:50], proteins[1], proteins[2][:110], proteins[3]]).cpu()
print(f"a batch of {list(batch.shape)}, {int((batch == PAD).sum())} tokens of padding")


@torch.no_grad()
def apart(first, second, tokens):
    """Largest difference of two functions' logits, padding aside."""
    return (first(tokens) - second(tokens))[tokens != PAD].abs().max().item()


def in_transformers(model):
    return lambda tokens: model.forward(tokens.to(model.device)).logits.float().cpu()


print(f"yours and the loaded model: logits differ by at most {apart(mini, in_transformers(plm), batch):.1e}")

# %% [markdown]
# ### The last digits
#
# Two right programs that add the same numbers in another order agree to five or six digits: to better than 1e-4 for logits of some tens. A larger difference has a cause, and it need not be your code. Your model
# computes its angles; the library reads their pace (there called `inv_freq`) from the file of weights, and files have a history. Compare the two:

# %%
buffers = {name: value for name, value in plm.model.named_buffers() if name.endswith("inv_freq")}
pace_in_file = next(iter(buffers.values())).cpu().float()
pace = pc.architecture.frequencies(DIM // HEADS)
pd.DataFrame({"in the file": pace_in_file, "computed": pace, "computed, rounded to half precision": pace.half().float()}).style.format("{:.7f}")

# %%
rounded = torch.equal(pace_in_file, pace.half().float())
print("the pace in the file is", "rounded to half precision" if rounded else "what float32 gives" if torch.allclose(pace_in_file, pace, rtol=1e-6) else
      "neither exact nor simply rounded")
print(f"after 1,000 positions the angle is off by up to {(1000 * (pace_in_file - pace)).abs().max():.3f} radians")

# %% [markdown]
# Files that were saved in half precision carry three digits of each pace; by the account of those who ported them, all of Meta's ESM-2 files were. Whoever computes the angles anew, as the
# formula says, then gets a model that differs a little from the one in use, the more the longer the protein. (The course's checkpoint keeps its pace in full.) So compare like with like, whatever
# the file says: give the exact pace to the loaded model. Its logits then go into a **three-way table**: yours, transformers', fair-esm's.

# %%
exact = pc.architecture.exact_frequencies(plm)
exact.model.float().cpu()
fair, _ = pc.to_fair_esm(exact)
ways = {"yours": mini, "transformers": in_transformers(exact), "fair-esm": lambda tokens: fair(tokens)["logits"]}
pairs = [("yours", "transformers"), ("yours", "fair-esm"), ("transformers", "fair-esm")]
hidden = pc.mask_tokens(batch, torch.Generator().manual_seed(0))[0]
inputs = {"one protein": batch[1:2, : int((batch[1] != PAD).sum())], "padded batch": batch, "padded batch, 15 % corrupted": hidden}
parity = pd.DataFrame({f"{a} – {b}": {name: apart(ways[a], ways[b], tokens) for name, tokens in inputs.items()} for a, b in pairs})
parity.loc["the pace of the file instead"] = [apart(mini, in_transformers(plm), batch), np.nan, np.nan]
parity.style.format("{:.1e}", na_rep="–")

# %%
worst = parity.drop(index="the pace of the file instead").max().max()
with torch.no_grad():
    largest = mini(batch).abs().max().item()
assert worst < 1e-4 * max(1, largest / 10), parity  # float32 has seven digits: larger numbers, larger rounding
print(f"three programs, one model: their logits agree to {worst:.1e} (the largest logit is {largest:.0f})")

# %% [markdown]
# That is ESM-2. You have written it, all of it. If two programs had *not* agreed, you would compare them activation by activation; the first line that is not tiny
# tells you where to look:

# %%
with torch.no_grad():
    states = exact.forward(batch, output_hidden_states=True).hidden_states
    real = batch != PAD
    share = (batch == MASK).sum(1) / real.sum(1)
    x = mini.embed(batch) * (real * (0.88 / (1 - share))[:, None])[..., None]
    print(f"embedding   {(x - states[0])[real].abs().max():.1e}")
    for number, block in enumerate(mini.blocks, start=1):
        x = block(x, real)
        compared = mini.norm(x) if number == LAYERS else x  # transformers' last hidden state is normalised
        if number in (1, 2, LAYERS - 1, LAYERS):
            print(f"block {number:2}    {(compared - states[number])[real].abs().max():.1e}   (numbers up to {states[number][real].abs().max():.0f})")

# %% [markdown]
# ### What forgetting token dropout costs
#
# A model whose code has no token dropout loads the same weights without complaint; all shapes fit. Switch it off in a copy of the loaded model and
# compare the predictions, once on proteins as they are and once with 12 % of the residues masked.

# %%
careless = copy.deepcopy(plm.model)
careless.esm.embeddings.token_dropout = False
some = plm.tokenize([protein[:150] for protein in list(pc.datasets.load("pretrain_heldout").values())[:16]])
generator = torch.Generator().manual_seed(0)
residue = (some >= 4) & (some <= 23)
chosen = residue & (torch.rand(some.shape, generator=generator) < 0.12).to(some.device)
rows = {}
for name, tokens, where in (("as they are", some, residue), ("12 % masked", some.masked_fill(chosen, MASK), chosen)):
    with torch.no_grad():
        right = plm.forward(tokens).logits.float()[where]
        wrong = careless(input_ids=tokens, attention_mask=tokens != PAD).logits.float()[where]
    p, q = right.log_softmax(-1), wrong.log_softmax(-1)
    truth = some[where][:, None]
    rows[name] = {"positions": len(p), "largest difference of logits": (right - wrong).abs().max().item(),
                  "KL divergence / nats": (p.exp() * (p - q)).sum(-1).mean().item(),
                  "first guess changes": (p.argmax(-1) != q.argmax(-1)).float().mean().item(),
                  "surprise, right / nats": -p.gather(1, truth).mean().item(), "surprise, forgotten / nats": -q.gather(1, truth).mean().item()}
cost = rows["12 % masked"]["surprise, forgotten / nats"] - rows["12 % masked"]["surprise, right / nats"]
print(f"at masked residues the surprise changes by {cost:+.2f} nats; knowing nothing is a surprise of {math.log(20):.2f}")
pd.DataFrame(rows).T.style.format({"positions": "{:.0f}", "first guess changes": "{:.1%}"} | dict.fromkeys(
    ["largest difference of logits", "KL divergence / nats"], "{:.2g}"), precision=3)

# %% [markdown]
# First row: read at all residues, visible ones. What is missing there is a factor of 0.88, and every block begins with a norm, which takes such a factor out of what it reads; only the balance between the
# embedding and what blocks add to it is shifted. Second row: read at the masked residues. There the row of `<mask>` comes into the stream, one that no block has ever seen in training. No error, no warning:
# only the comparison with a reference shows it, which is why the table above has three columns.

# %% [markdown]
# ## 6. The bill
#
# ### Exercise 2.5 · Count the parameters · ◆◆ · 20 minutes
#
# Before anything is downloaded you can know what it will cost. Exactly.


# %%
def count_parameters(layers, dim, heads):
    """Number of parameters of an ESM-2 of any size.

    Parameters
    ----------
    layers, dim, heads : int
        As for ``MiniESM2``.

    Returns
    -------
    int
        The parameters of MiniESM2, plus those of the contact head (one weight for each of the layers · heads attention maps,
        and one bias). Tied weights count once.
    """
    ### BEGIN SOLUTION
    linear, norm = dim * dim + dim, 2 * dim
    feed_forward = (dim * 4 * dim + 4 * dim) + (4 * dim * dim + dim)
    block = 2 * norm + 4 * linear + feed_forward
    head = linear + norm + 33
    contact_head = layers * heads + 1
    return 33 * dim + layers * block + norm + head + contact_head
    ### END SOLUTION


# %%
count_parameters = pc.check("2.5", count_parameters)

# %%
table = pd.DataFrame({name: {"layers": size.layers, "dim": size.dim, "heads": size.heads, "published": size.parameters,
                             "counted": count_parameters(size.layers, size.dim, size.heads)} for name, size in pc.FAMILY.items()}).T
table["weights in fp16 / GB"] = 2 * table["counted"] / 1e9
print("all six exact:", bool((table["counted"] == table["published"]).all()))
table.style.format("{:,.0f}").format("{:.2f}", subset="weights in fp16 / GB")

# %% [markdown]
# > **The lecture says** that the 15B model requires several GPUs. **The table says** about 30 GB in half precision: it fits on one GPU of 40 or 80 GB for reading proteins, and on a smaller one if the blocks wait in main memory until it is their turn (slowly). *Training* it
# > is another matter, as the next tables show.
#
# ### Activations
#
# Weights are only part of the bill. To compute gradients, PyTorch keeps what went in and out of each operation until the way back. How much? Hook into the place where it stores them, and add
# up (a tensor that is stored twice counts once, and parameters are not counted).


# %%
def stored_bytes(layers, dim, heads, tokens):
    """Bytes of activations that PyTorch keeps for the backward pass of one protein; attention maps are kept, as in eager mode."""
    model = pc.untrained(layers, dim, heads, attention="eager").model
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)  # held on to, so that no address is used twice
        return tensor

    ids = torch.full((1, tokens), 5)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.sum()
    return sum(size for size, _ in kept.values())


# %% [markdown]
# Two kinds of tensors are kept: vectors, whose number grows with T · dim, and attention maps, which grow with heads · T². That makes a formula with two unknowns,
#
# $$\text{bytes} \approx 4 \cdot \text{layers} \cdot (a \cdot T \cdot \text{dim} + b \cdot \text{heads} \cdot T^2)$$
#
# Two measurements on the 8M architecture give a and b. The test is to predict other lengths, and a model of another size.

# %%
def per_layer(layers, dim, heads, tokens):
    """Bytes that each further layer adds, by comparing two depths: the head does not count."""
    return (stored_bytes(layers, dim, heads, tokens) - stored_bytes(layers - 1, dim, heads, tokens)) / 4


small = pc.FAMILY["8M"]
lengths = (64, 256)
measured = [per_layer(2, small.dim, small.heads, tokens) for tokens in lengths]
a, b = np.linalg.solve([[tokens * small.dim, small.heads * tokens**2] for tokens in lengths], measured)
print(f"a = {a:.1f} vectors of dim per token and layer, b = {b:.2f} maps per head and layer")


def activation_bytes(size, tokens):
    return 4 * size.layers * (a * tokens * size.dim + b * size.heads * tokens**2)


for name, tokens in (("8M", 128), ("8M", 400), ("35M", 256)):
    size = pc.FAMILY[name]
    found, predicted = stored_bytes(size.layers, size.dim, size.heads, tokens), activation_bytes(size, tokens)
    print(f"{name:4} {tokens:4} tokens: measured {found / 1e6:6.1f} MB, predicted {predicted / 1e6:6.1f} MB ({predicted / found - 1:+.1%})")

# %% [markdown]
# The formula leaves out embedding and head, so it should come out a little low. Now six sizes and three ways of training, for a batch of four proteins of 1,024 tokens:
#
# | | weights | gradients | Adam's two averages | activations |
# |---|---|---|---|---|
# | **full, float32** | 4 bytes each | 4 | 8 | as measured |
# | **full, mixed precision** (bfloat16) | 4 + 2 for the copy that computes | 4 | 8 | half as much |
# | **frozen**, only a small head learns | 4 | – | – | none kept |

# %%
rows = {}
for name, size in pc.FAMILY.items():
    n, kept = size.parameters, 4 * activation_bytes(size, 1024)
    rows[name] = {"weights": 4 * n, "gradients": 4 * n, "Adam": 8 * n, "activations": kept, "full, float32": 16 * n + kept,
                  "full, mixed": 18 * n + kept / 2, "frozen": 4 * n}
memory = pd.DataFrame(rows).T / 1e9
memory.columns = pd.MultiIndex.from_tuples([("full float32, item by item / GB", c) for c in memory.columns[:4]] +
                                           [("total / GB", c) for c in memory.columns[4:]])
memory.style.format("{:.2f}")

# %% [markdown]
# Two things to read off. For the small models, **activations** are nearly the whole bill, and mixed precision halves it. The larger the model, the more weights, gradients and Adam's averages dominate; mixed
# precision leaves these in float32, and saves less and less. And the last column is why notebooks 5 and 6 leave most of the model frozen. (Frozen, a forward pass still needs room for one layer's activations at a time.)
#
# ### Attention maps
#
# How much of it are the maps alone, layers · heads · T² numbers? They are also what you get when you *ask* for them, in notebook 8.

# %% alt="Memory for the attention maps of one protein of 1,024 tokens for the six sizes of ESM-2, as horizontal bars labelled in gigabytes."
maps = pd.Series({name: 4 * size.layers * size.heads * 1024**2 / 1e9 for name, size in pc.FAMILY.items()})
fig, ax = plt.subplots(figsize=(7.5, 2.8))
bars = ax.barh(maps.index, maps)
ax.bar_label(bars, fmt="{:.2f} GB", padding=4, fontsize=10.5)
ax.set(xlabel="float32 attention maps of one protein of 1,024 tokens / GB", ylabel="ESM-2", xlim=(0, 1.18 * maps.max()))
ax.invert_yaxis()
share = {name: b * size.heads * 1024 / (a * size.dim + b * size.heads * 1024) for name, size in pc.FAMILY.items()}
print("share of the activations:", ", ".join(f"{name} {part:.0%}" for name, part in share.items()))

# %% [markdown]
# *One protein of 1,022 residues, the longest that ESM-2 takes. Doubling the length would make each bar four times as long.* Fast implementations of attention never write the maps down; they work through them in tiles that fit the
# processor's cache. That is what `attention="sdpa"` asks for, and why it cannot return them.
#
# ## 7. What else is said about this model
#
# Two statements that no cell here can test.
#
# > **The lecture says** that ESM-2 was trained on about 60 million representatives of UniRef50, of which no two share more than half of their residues. **The paper says** that a number of this size is right for what was *seen*:
# > about 65 million different sequences. But they were not representatives: training drew one of about 43 million UniRef50 *clusters*, then one of its *members* among 138 million UniRef90 sequences, and members of a cluster
# > resemble each other. And clusters are made by comparing each sequence with the cluster's seed (50 % identity over 80 % of the length), not each with each: two sequences of different clusters may well share more than half.

# > **The lecture says** that ESM-2 is the current state of the art. **The leaderboards say** that it was, in 2022. Successors by the same and other groups (ESM3, ESM C, E1) have passed it, and on ProteinGym, which ranks models by how well they predict
# > measured effects of mutations, the 650M model stood around place 45 when this was written. It is still the best documented one, in six sizes with open weights, and that makes it a good model to learn from.
#
# ## Discussion
#
# * ESM-2 treats `<mask>` as nothing (zero) and not as a word of its own. What might a model learn from a `<mask>` vector that it cannot learn from zero?
# * The output weight is tied to the embedding. With 33 tokens that saves next to nothing. Why do it all the same?
# * You want a model for proteins of 5,000 residues. Which of the cells above would you run again with other numbers, and which part of the model would you change first?
#
# ## Quiz
#
# 1. A colleague has ported ESM-2 to another framework. All shapes fit, the loss on masked proteins looks plausible, and logits differ from transformers' by 0.5. Which parts do you suspect first, and how do you find the
#    culprit with the fewest runs?
# 2. Somebody rotates q and k from position 1 on instead of 0. Does the model still give the right logits? And if they rotate v as well?
# 3. You run a batch in which one protein has 50 residues and another 1,000. The code forgets the padding mask. Which of the two suffers?
# 4. On a GPU with 24 GB: the 650M model, full training in float32, four proteins of 1,024 tokens. The memory table says no. Name the cheapest change that makes it fit, and what you pay for it.
# 5. Train short, test long: the network that was trained on crops of 48 gets worse at long lengths although its scores depend on distances only. A friend proposes to halve all positions at test time, so that no distance exceeds those of
#    training. What will that do to *this* network, without further training?

# %% [markdown] tags=["solution"]
# ### Answers
#
# 1. Whatever changes numbers but no shapes: token dropout (the table on forgetting it), the pace of the rotation and its pairing of numbers, GELU's kind, eps, the order of norm and sum. One run is enough: compare
#    activations block by block ("The last digits"); the embedding line speaks for token dropout, the first block for everything else.
# 2. Yes, to rounding: only differences of positions enter a score (the diagonals in section 3, and the protein moved along by padding). Values are not compared, they are added up; rotated ones depend on the absolute position and the logits are wrong.
# 3. The short one: nearly all of its keys are padding. The long one has next to no padding. (That is the "padding" step of exercise 2.4.)
# 4. Look at the table: most of the bill are activations. A smaller batch (one protein at a time, gradients added up over four) costs only time; so does recomputing activations on the way back, or an attention that
#    does not keep its maps. A frozen or mostly frozen model pays with quality, perhaps.
# 5. It will break: the answer stands *ten* places away, and ten becomes five. Distances that it had learned are replaced by ones that mean something else; the next cell tries it. (Such "position interpolation"
#    works after a little more training.)

# %% tags=["solution"]
seen, labels = masked_batch(60, 192, torch.Generator().manual_seed(7))
hidden = (seen == MASK) & (labels != -100)
for name, stretch in (("as they are", 1.0), ("halved", 0.5)):
    with torch.no_grad():
        logits = nets[48].model(input_ids=seen, position_ids=stretch * torch.arange(192)[None]).logits
    print(f"length 192, positions {name:12} perplexity {pc.perplexity(logits, labels.masked_fill(~hidden, -100)):7.1f}")

# %% [markdown]
# ## References
#
# * Vaswani A. et al. (2017) Attention is all you need. *NeurIPS* 30.
# * Devlin J. et al. (2019) BERT: pre-training of deep bidirectional transformers. *NAACL*.
# * Su J. et al. (2021) RoFormer: enhanced transformer with rotary position embedding. *arXiv* 2104.09864.
# * Xiong R. et al. (2020) On layer normalization in the transformer architecture. *ICML*. (pre-LN and post-LN)
# * Hendrycks D., Gimpel K. (2016) Gaussian error linear units. *arXiv* 1606.08415.
# * Shazeer N. (2020) GLU variants improve transformer. *arXiv* 2002.05202. (SwiGLU)
# * Press O., Wolf L. (2017) Using the output embedding to improve language models. *EACL*. (tied weights)
# * Lin Z. et al. (2023) Evolutionary-scale prediction of atomic-level protein structure with a language model. *Science* 379:1123. (ESM-2)
# * Suzek B. et al. (2015) UniRef clusters. *Bioinformatics* 31:926.
# * Notin P. et al. (2023) ProteinGym: large-scale benchmarks for protein fitness prediction. *NeurIPS* 36.
# * Hayes T. et al. (2025) Simulating 500 million years of evolution with a language model. *Science* 387:850. (ESM3)

# %%
pc.progress(2)
