"""ESM-2 from its parts: the notebook's model and the package's, against transformers, fair-esm and PyTorch."""
import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_line_removal import FILES, functions, run
from transformers import EsmForMaskedLM

import plmcourse as pc
from plmcourse import architecture
from plmcourse.architecture import apply_rotary, copy_weights, exact_frequencies, scaled_dot_product_attention
from plmcourse.checks.tiny import course_plm
from plmcourse.sequences import MASK, PAD

PROTEINS = ["MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQVKVKALPDAQFEVVHSLAKWKRQTLGQHDFSAGEGLYTHMKALRPD", "MKT",
            "GSHMASWLEERLGL"]
# layers, dim, heads, and the spread of the noise that is added to all weights
CONFIGURATIONS = {"2 layers": (2, 32, 4, 0.1), "3 layers": (3, 48, 4, 0.2), "1 layer, large weights": (1, 64, 8, 0.4)}


def noisy(layers, dim, heads, spread):
    """An untrained model whose norms and biases are not those of a fresh one."""
    plm = pc.untrained(layers, dim, heads, attention="sdpa")
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in plm.model.parameters():
            parameter.add_(spread * torch.randn(parameter.shape, generator=generator))
    return plm


@pytest.fixture(scope="module", params=[*CONFIGURATIONS, "the checkpoint"])
def plm(request):
    if request.param == "the checkpoint":
        return exact_frequencies(course_plm())
    return noisy(*CONFIGURATIONS[request.param])


@pytest.fixture(scope="module")
def notebook():
    """The names that the solution notebook defines in its exercises."""
    return run(functions(FILES["2"]).values(), "<notebook 2>")


def like(plm, made_by):
    """An empty model of the same size."""
    config = plm.config
    return made_by(config.num_hidden_layers, config.hidden_size, config.num_attention_heads).eval()


def batches(plm):
    """One protein, a padded batch, and the same with <mask> in it, one protein nearly all masked."""
    tokens = plm.tokenize(PROTEINS)
    masked = tokens.clone()
    masked[0, [3, 4, 60]] = MASK
    masked[1, 1:4] = MASK
    return {"one": tokens[:1], "padded": tokens, "masked": masked}


def apart(first, second, tokens):
    return (first - second)[tokens != PAD].abs().max().item()


# ------------------------------------------------------------------------------------------------------- the whole model

@pytest.mark.parametrize("where", ["notebook", "package"])
@torch.no_grad()
def test_logits_equal_transformers_and_fair_esm(plm, notebook, where):
    mini = like(plm, notebook["MiniESM2"] if where == "notebook" else architecture.MiniESM2)
    copy_weights(plm, mini)
    fair, _ = pc.to_fair_esm(plm)
    for name, tokens in batches(plm).items():
        mine = mini(tokens)
        assert mine.shape == (*tokens.shape, 33)
        for other, logits in {"transformers": plm.forward(tokens).logits, "fair-esm": fair(tokens)["logits"]}.items():
            difference = apart(mine, logits, tokens)
            print(f"{where} – {other}, {name}: {difference:.1e}")
            assert difference < 1e-4, (where, other, name)
        assert apart(mini.train()(tokens), mine, tokens) < 1e-5, "token dropout is active in training, too"
        mini.eval()


@torch.no_grad()
def test_the_checkpoint_as_it_is_once_the_angles_are_its_own(monkeypatch):
    """Files saved in half precision hold rounded frequencies; with these, nothing is left of the difference."""
    plm = course_plm()
    mini = like(plm, architecture.MiniESM2)
    copy_weights(plm, mini)
    stored = next(value for name, value in plm.model.named_buffers() if name.endswith("inv_freq"))
    monkeypatch.setattr(architecture, "frequencies", lambda dim: stored)
    for tokens in batches(plm).values():
        assert apart(mini(tokens), plm.forward(tokens).logits, tokens) < 1e-4


def test_exact_frequencies_changes_a_copy_only():
    plm = noisy(1, 16, 2, 0.1)
    (rounded,) = [value for name, value in plm.model.named_buffers() if name.endswith("inv_freq")]
    rounded.copy_(rounded.half())
    before = rounded.clone()
    exact = exact_frequencies(plm)
    (new,) = [value for name, value in exact.model.named_buffers() if name.endswith("inv_freq")]
    assert torch.equal(rounded, before) and not torch.equal(new, before)
    assert torch.equal(new, architecture.frequencies(8)) and torch.allclose(new, before, rtol=1e-3)


@torch.no_grad()
def test_nothing_but_padding_or_masks_gives_no_nan():
    mini = architecture.MiniESM2(2, 16, 2)
    for token in (PAD, MASK):
        assert mini(torch.tensor([[0, 5, 2], [token] * 3])).isfinite().all()


@torch.no_grad()
def test_half_precision_runs_through():
    mini = architecture.MiniESM2(1, 16, 2).bfloat16()
    assert mini(torch.tensor([[0, 5, MASK, 2, PAD]])).dtype == torch.bfloat16


@torch.no_grad()
def test_a_protein_may_be_moved_by_padding():
    mini = architecture.MiniESM2(2, 32, 4).eval()
    tokens = torch.tensor([[0, 5, 9, 11, 4, 2]])
    moved = mini(torch.nn.functional.pad(tokens, (50, 0), value=PAD))[:, 50:]
    assert torch.allclose(mini(tokens), moved, atol=1e-4)


# ------------------------------------------------------------------------------------------------------------ the weights

def test_copy_weights_names_what_it_leaves_out():
    plm = noisy(2, 16, 2, 0.1)
    assert copy_weights(plm, architecture.MiniESM2(2, 16, 2)) == [
        "esm.contact_head.regression.weight", "esm.contact_head.regression.bias"]


@pytest.mark.parametrize("size, sentence", [
    ((3, 16, 2), r"the model has nothing to put into blocks\.2\."),
    ((1, 16, 2), r"no place for the model's esm\.encoder\.layer\.1\..* \(it would be called blocks\.1\."),
    ((2, 24, 2), r"embed\.weight has shape \[33, 24\], the model's esm\.embeddings\.word_embeddings\.weight has \[33, 16\]"),
    ((2, 16, 4), "the model has 2 heads, MiniESM2 was made with 4")])
def test_copy_weights_refuses_another_size(size, sentence):
    with pytest.raises(ValueError, match=sentence):
        copy_weights(noisy(2, 16, 2, 0.1), architecture.MiniESM2(*size))


def test_copy_weights_refuses_other_models():
    with pytest.raises(ValueError, match="without token dropout"):
        copy_weights(pc.untrained(2, 16, 2, causal=True), architecture.MiniESM2(2, 16, 2))
    plm = noisy(2, 16, 2, 0.1)
    plm.model.esm.extra = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"no place for the model's esm\.extra\.weight"):
        copy_weights(plm, architecture.MiniESM2(2, 16, 2))


def test_a_block_needs_heads_of_even_width():
    with pytest.raises(ValueError, match="30 dimensions cannot be split into 4 heads"):
        architecture.TransformerBlock(30, 4)


def on_paper(layers, dim, heads):
    """transformers' ESM-2, shapes only."""
    config = copy.deepcopy(pc.untrained(1, 8, 1).config)
    config.update({"num_hidden_layers": layers, "hidden_size": dim, "num_attention_heads": heads, "intermediate_size": 4 * dim})
    with torch.device("meta"):
        return EsmForMaskedLM(config)


@pytest.mark.parametrize("name", pc.FAMILY)
def test_counts_are_exact(name, notebook):
    size = pc.FAMILY[name]
    sizes = size.layers, size.dim, size.heads
    assert sum(p.numel() for p in on_paper(*sizes).parameters()) == size.parameters
    with torch.device("meta"):
        mini = sum(p.numel() for p in architecture.MiniESM2(*sizes).parameters())
    assert mini + size.layers * size.heads + 1 == size.parameters  # and the contact head
    assert architecture.count_parameters(*sizes) == notebook["count_parameters"](*sizes) == size.parameters


# -------------------------------------------------------------------------------------------------------------- the parts

@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 12), st.integers(1, 16), st.booleans(), st.integers(0, 10_000))
def test_attention_equals_pytorchs(batch, heads, length, dim, masked, seed):
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (3 * torch.randn(batch, heads, length, dim, generator=generator) for _ in range(3))
    mask = torch.rand(batch, length, generator=generator) < 0.6 if masked else None
    if masked:
        mask[:, 0] = True
    theirs = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :] if masked else None)
    assert torch.allclose(scaled_dot_product_attention(q, k, v, mask), theirs, atol=1e-5)


def test_a_hidden_row_is_the_mean_not_nan():
    q, k, v = torch.randn(3, 1, 1, 4, 2, generator=torch.Generator().manual_seed(0))
    found = scaled_dot_product_attention(q, k, v, torch.zeros(1, 4).bool())
    assert torch.allclose(found, v.mean(2, keepdim=True).expand_as(v))


def test_scores_depend_on_the_distance_only():
    q, k = torch.randn(2, 1, 2, 1, 16, generator=torch.Generator().manual_seed(0)).expand(2, 1, 2, 300, 16)
    q, k = apply_rotary(q, k)
    scores = q @ k.transpose(-2, -1)
    assert (scores[..., 1:, 1:] - scores[..., :-1, :-1]).abs().max() < 1e-3
    assert scores.std() > 1, "the scores should not all be the same"


def test_rotation_keeps_lengths_and_leaves_position_0():
    x = torch.randn(2, 3, 50, 8, generator=torch.Generator().manual_seed(0))
    turned, _ = apply_rotary(x, x)
    assert torch.equal(turned[:, :, 0], x[:, :, 0])
    assert torch.allclose(turned.norm(dim=-1), x.norm(dim=-1), rtol=1e-5) and not torch.allclose(turned, x)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_angles_are_float32_and_the_dtype_stays(dtype):
    x = torch.randn(1, 1, 1000, 16, generator=torch.Generator().manual_seed(0)).to(dtype)
    turned, also = apply_rotary(x, x)
    assert turned.dtype == also.dtype == dtype
    exact = torch.arange(1000).double()[:, None] * 10_000 ** (-torch.arange(0, 16, 2).double() / 16)
    a, b = x.double().chunk(2, -1)
    wanted = torch.cat([a * exact.cos() - b * exact.sin(), b * exact.cos() + a * exact.sin()], -1)
    assert (turned.double() - wanted).abs().max() < 0.02, "angles in half precision are off by radians at position 1,000"
