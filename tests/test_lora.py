"""LoRA: nothing at the start, the same merged as not, the same as peft's; counts; and classifiers, what of them learns."""
import copy

import numpy as np
import peft
import pytest
import torch
from test_line_removal import FILES, functions, run
from torch import nn
from transformers import EsmConfig, EsmForSequenceClassification, EsmForTokenClassification

import plmcourse as pc
from plmcourse import classifiers, lora
from plmcourse.checks.tiny import course_plm, tiny_plm
from plmcourse.models import FAMILY
from plmcourse.sequences import PAD

PROTEINS = ["MKTAYIAKQRQISFVKSHFSRQ", "MKT", "GSHMASWLEERLGL"]
TARGETS = ("query", "key", "value")
ALL_LINEAR = (*TARGETS, "dense")


def solutions(chapter):
    """What a notebook's solutions define, run from its source."""
    return run(functions(FILES[chapter]).values(), FILES[chapter])


def config_of(plm, classes=2):
    config = copy.deepcopy(plm.config)
    config.num_labels = classes
    return config


def pretrained(kind, plm, classes=2, seed=0):
    """A classifier of transformers on the weights of a loaded model."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = kind(config_of(plm, classes))
    model.esm.load_state_dict(plm.model.esm.state_dict())
    return model.eval()


def logits(model, tokens):
    with torch.no_grad():
        return model(input_ids=tokens, attention_mask=tokens != PAD).logits


def noisy(model, seed=1):
    """B drawn at random, so that the adapters do something."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, lora.LoRALinear):
                module.B.normal_(0, 0.1, generator=generator)
    return model


@pytest.fixture(params=["tiny", "the checkpoint"])
def plm(request):
    return tiny_plm() if request.param == "tiny" else course_plm()


@pytest.mark.parametrize("targets", [TARGETS, ALL_LINEAR, ("value",)])
def test_a_fresh_adapter_changes_not_a_bit(plm, targets):
    model = pretrained(EsmForTokenClassification, plm)
    tokens = plm.tokenize(PROTEINS)
    before = logits(model, tokens)
    assert torch.equal(logits(pc.inject_lora(model, targets), tokens), before)
    assert not torch.equal(logits(noisy(model), tokens), before)


def test_after_training_merged_and_unmerged_agree(plm):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = pc.inject_lora(pc.ResidueClassifier(copy.deepcopy(plm.model.esm), 3), TARGETS, r=4, alpha=8)
    model.head.requires_grad_(True)
    labels = [np.arange(len(protein)) % 3 for protein in PROTEINS]
    data = pc.examples(plm, PROTEINS, labels)
    pc.fit(model, data, data, epochs=6, lr=3e-2, patience=9)
    layers = [(name, module) for name, module in model.named_modules() if isinstance(module, pc.LoRALinear)]
    assert all(module.B.abs().max() > 0 for _, module in layers)
    tokens = plm.tokenize(PROTEINS)
    unmerged = model(tokens).detach()
    for name, module in layers:
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, pc.merge(module))
    assert torch.allclose(model(tokens), unmerged, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind, task", [(EsmForSequenceClassification, "SEQ_CLS"), (EsmForTokenClassification, "TOKEN_CLS")])
@pytest.mark.parametrize("targets", [TARGETS, ("key", "value")])
def test_the_same_weights_give_the_same_logits_in_peft(plm, kind, task, targets):
    own = noisy(pc.inject_lora(pretrained(kind, plm), targets, r=3, alpha=7))
    theirs = peft.get_peft_model(pretrained(kind, plm), peft.LoraConfig(task_type=task, target_modules=list(targets), r=3, lora_alpha=7))
    with torch.no_grad():
        for name, module in own.named_modules():
            if isinstance(module, pc.LoRALinear):
                layer = theirs.base_model.model.get_submodule(name)
                layer.lora_A["default"].weight.copy_(module.A)
                layer.lora_B["default"].weight.copy_(module.B)
    tokens = plm.tokenize(PROTEINS)
    difference = (logits(own, tokens) - logits(theirs.eval(), tokens)).abs().max()
    assert difference < 1e-5 * max(1, logits(own, tokens).abs().max())
    assert (logits(own, tokens) - logits(pretrained(kind, plm), tokens)).abs().max() > 100 * difference


def test_only_the_adapters_get_gradients(plm):
    model = pc.inject_lora(pretrained(EsmForTokenClassification, plm), ("query", "value"))
    tokens = plm.tokenize(PROTEINS)
    model(input_ids=tokens, attention_mask=tokens != PAD).logits.square().sum().backward()
    with_gradient = {name for name, p in model.named_parameters() if p.grad is not None}
    depth = plm.config.num_hidden_layers
    expected = {f"esm.encoder.layer.{k}.attention.self.{target}.{part}" for k in range(depth) for target in ("query", "value")
                for part in "AB"}
    assert with_gradient == expected == {name for name, p in model.named_parameters() if p.requires_grad}
    assert all(p.grad.abs().max() == 0 for name, p in model.named_parameters() if name.endswith(".A"))  # since B is zero
    assert all(p.grad.abs().max() > 0 for name, p in model.named_parameters() if name.endswith(".B"))


def test_the_layer_keeps_its_bases_dtype():
    layer = pc.LoRALinear(nn.Linear(6, 4, dtype=torch.bfloat16), r=2)
    assert layer.A.dtype == layer.B.dtype == layer(torch.ones(1, 6, dtype=torch.bfloat16)).dtype == pc.merge(layer).weight.dtype == torch.bfloat16
    assert pc.merge(pc.LoRALinear(nn.Linear(6, 4, bias=False))).bias is None


def test_merging_leaves_the_layer_alone():
    layer = pc.LoRALinear(nn.Linear(6, 4), r=2, dropout=0.5)
    nn.init.normal_(layer.B)
    before = copy.deepcopy(layer.state_dict())
    merged = pc.merge(layer)
    nn.init.zeros_(merged.weight)
    nn.init.zeros_(merged.bias)
    assert all(torch.equal(before[name], value) for name, value in layer.state_dict().items())


def test_dropout_is_on_the_branch_only():
    layer = pc.LoRALinear(nn.Linear(50, 4), r=2, dropout=0.5)
    x = torch.ones(3, 50)
    assert torch.equal(layer.train()(x), layer.base(x))  # B is zero: whatever is dropped, the base is not
    nn.init.normal_(layer.B)
    assert not torch.equal(layer(x), layer(x))
    assert torch.equal(layer.eval()(x), layer(x))


def test_bad_ranks_and_targets_are_named():
    with pytest.raises(ValueError, match="rank r is 0"):
        pc.LoRALinear(nn.Linear(2, 2), r=0)
    with pytest.raises(ValueError, match="no linear layer called q_proj or v_proj"):
        pc.inject_lora(nn.Sequential(nn.Linear(2, 2)), ("q_proj", "v_proj"))
    with pytest.raises(ValueError, match="no linear layer called q_proj; it has query, key, value, dense"):
        pc.lora_parameters(tiny_plm().config, ("q_proj", "key"))


def meta_model(size, classes=2):
    """transformers' classifier of one of Meta's sizes, without memory for its weights."""
    config = EsmConfig(vocab_size=33, hidden_size=size.dim, num_hidden_layers=size.layers, num_attention_heads=size.heads,
                       intermediate_size=4 * size.dim, position_embedding_type="rotary", max_position_embeddings=1026,
                       emb_layer_norm_before=False, pad_token_id=1, mask_token_id=32, num_labels=classes)
    with torch.device("meta"):
        return EsmForSequenceClassification(config)


@pytest.mark.parametrize("name, targets, trainable, total", [
    ("8M", TARGETS, 195_522, 7_707_965), ("650M", TARGETS, 3_669_762, 654_712_985), ("650M", ("query", "value"), 2_993_922, None)])
def test_counts_of_the_formula_peft_and_our_own_layers(name, targets, trainable, total):
    config = meta_model(FAMILY[name]).config
    assert pc.lora_parameters(config, targets) == trainable
    theirs = peft.get_peft_model(meta_model(FAMILY[name]), peft.LoraConfig(task_type="SEQ_CLS", target_modules=list(targets), r=8))
    assert theirs.get_nb_trainable_parameters()[0] == trainable
    assert total is None or theirs.get_nb_trainable_parameters()[1] == total
    with torch.device("meta"):
        own = pc.inject_lora(meta_model(FAMILY[name]), targets)
    own.classifier.requires_grad_(True)
    assert sum(p.numel() for p in own.parameters() if p.requires_grad) == trainable


@pytest.mark.parametrize("targets", [("dense",), ("key", "dense")])
@pytest.mark.parametrize("r, classes", [(1, 2), (4, 7)])
def test_the_formula_counts_what_injecting_adds(targets, r, classes):
    model = pretrained(EsmForSequenceClassification, tiny_plm(), classes)
    pc.inject_lora(model.esm, targets, r=r)
    counted = sum(p.numel() for part in (model.esm, model.classifier) for p in part.parameters() if p.requires_grad)
    assert pc.lora_parameters(config_of(tiny_plm()), targets, r, classes) == counted


class TestTheNotebooksSolutions:
    """The exercises' own solutions, taken out of the notebooks' sources, against the package."""

    def test_lora(self, plm):
        own = solutions("6")
        tokens = plm.tokenize(PROTEINS)
        model = own["inject_lora"](pretrained(EsmForSequenceClassification, plm), TARGETS, 4, 8)
        reference = pc.inject_lora(pretrained(EsmForSequenceClassification, plm), TARGETS, 4, 8)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for module, other in zip(model.modules(), reference.modules()):
                if hasattr(module, "B") and hasattr(module, "A"):
                    module.B.normal_(0, 0.1, generator=generator)
                    other.A.copy_(module.A)
                    other.B.copy_(module.B)
                    assert torch.allclose(own["merge"](module).weight, pc.merge(other).weight, atol=1e-6)
        assert torch.allclose(logits(model, tokens), logits(reference, tokens), atol=1e-5, rtol=1e-5)

    def test_classifiers(self, plm):
        own = solutions("5")
        tokens = plm.tokenize(PROTEINS)
        labels = [np.arange(len(protein)) for protein in PROTEINS]
        assert torch.equal(own["align_labels"](labels, tokens), pc.align_labels(labels, tokens))
        for name in ("SequenceClassifier", "ResidueClassifier"):
            a, b = (kind(copy.deepcopy(plm.model.esm), 5).eval() for kind in (own[name], getattr(classifiers, name)))
            with torch.no_grad():
                for p, q in zip(a.head.parameters(), b.head.parameters(), strict=True):
                    q.copy_(p)
                assert torch.allclose(a(tokens), b(tokens), atol=1e-5)


class TestClassifiers:
    @pytest.mark.parametrize("kind", [pc.SequenceClassifier, pc.ResidueClassifier])
    def test_neighbours_and_padding_do_not_matter(self, plm, kind):
        model = kind(copy.deepcopy(plm.model.esm), 4).eval()
        with torch.no_grad():
            together = model(plm.tokenize(PROTEINS))
            for row, protein in zip(together, PROTEINS):
                alone = model(plm.tokenize([protein]))[0]
                assert torch.allclose(row[:len(alone)] if alone.ndim == 2 else row, alone, atol=1e-4)

    def test_labels_stand_where_the_residues_are(self):
        tokens = tiny_plm().tokenize(["MKT", "X"])
        assert pc.align_labels([[5, 6, 7], [8]], tokens).tolist() == [[-100, 5, 6, 7, -100], [-100, 8, -100, -100, -100]]
        with pytest.raises(ValueError, match="protein 1 has 1 residues and 2 labels"):
            pc.align_labels([[5, 6, 7], [8, 9]], tokens)
        with pytest.raises(ValueError, match="labels for 1 proteins and tokens of 2"):
            pc.align_labels([[5, 6, 7]], tokens)

    @pytest.mark.parametrize("last_n", range(4))
    def test_thaw_reaches_exactly_the_last_layers(self, last_n):
        model = pc.SequenceClassifier(copy.deepcopy(tiny_plm().model.esm), 2)
        model.requires_grad_(True)
        assert pc.thaw(model, last_n) is model
        tokens = tiny_plm().tokenize(PROTEINS)
        model(tokens).square().sum().backward()
        found = {".".join(name.split(".")[:4]) for name, p in model.named_parameters() if p.grad is not None}
        layers = {f"backbone.encoder.layer.{k}" for k in range(3 - last_n, 3)}
        norm = {"backbone.encoder.emb_layer_norm_after.weight", "backbone.encoder.emb_layer_norm_after.bias"} if last_n else set()
        assert found == layers | norm | {"head.1.weight", "head.1.bias"}

    @pytest.mark.parametrize("last_n", [-1, 4])
    def test_a_depth_that_is_not_there_is_named(self, last_n):
        with pytest.raises(ValueError, match=f"last_n is {last_n}: this backbone has 3 layers"):
            pc.thaw(pc.SequenceClassifier(copy.deepcopy(tiny_plm().model.esm), 2), last_n)
