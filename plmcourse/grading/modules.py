"""PyTorch modules between two processes: described by their parts, and mirrored where they do not live.

The process that grades never builds a class that a student's side names: a module from there becomes a :class:`Mirror` with the same
parameters, which asks the other side to run. What the checks hand over, a tiny ESM-2, say, is built anew on the student's side from the
course's own classes.
"""
import dataclasses
import importlib
import inspect

import torch
import transformers
from torch import nn

from plmcourse.models import untrained

_OWN = set(nn.Module().__dict__) | set(dir(nn.Module))
_BASES = {kind.__name__: kind for kind in vars(nn).values() if isinstance(kind, type) and issubclass(kind, nn.Module)}


class Mirror(nn.Module):
    """Stands for a module of the other process: has its parameters and children, and runs over there."""

    def forward(self, *arguments, **options):
        return self._peer.call(self._key, arguments, options, beside=(self,))

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("_"):
                raise
        return self._peer.attribute(self._key, name)


class Shell(nn.Module):
    """A module of the checks that only holds others, as a student's side sees it."""


def describe(peer, module, key, packer):
    """A module as data: mode, children, parameters and buffers; and when it is new to the other side, its kind and its attributes."""
    found = {
        "training": module.training,
        "children": {name: None if child is None else packer.pack(child)["module"] for name, child in module._modules.items()},
        "parameters": {name: packer.pack(value) for name, value in module._parameters.items()},
        "buffers": {name: packer.pack(value) for name, value in module._buffers.items()},
    }
    if key.startswith(peer.side) and key not in peer.sent:
        peer.sent.add(key)
        kind = type(module)
        found |= {"name": kind.__name__, "path": [kind.__module__, kind.__qualname__],
                  "base": next((base.__name__ for base in kind.__mro__ if _BASES.get(base.__name__) is base), "Module")}
        if isinstance(module, transformers.PreTrainedModel):
            found |= {"config": packer.pack(module.config.to_dict()), "attention": module.config._attn_implementation}
        found["facts"] = {name: packer.pack(value) for name, value in vars(module).items() if _is_fact(peer, name, value)}
    return found


def _is_fact(peer, name, value):
    """Attributes that cross: of the checks' modules only plain ones, of a student's all that are no part of every module."""
    plain = isinstance(value, (bool, int, float, str, tuple, type(None)))
    return name not in _OWN and not name.startswith("_") and (plain or peer.side == "there")


def take(peer, descriptions, reader):
    """Build or update the modules of a message."""
    for key, found in descriptions.items():
        if key not in peer.objects:
            if key.startswith(peer.side):
                raise KeyError(key)
            _build(peer, key, found, descriptions, reader)
    for key, found in descriptions.items():
        _update(peer, peer.objects[key], found, reader)
    for key, found in descriptions.items():
        if not key.startswith(peer.side) and "facts" in found:
            facts = {name: reader.read(value) for name, value in found["facts"].items() if name not in _OWN and not name.startswith("_")}
            vars(peer.objects[key]).update(facts)


def _build(peer, key, found, descriptions, reader):
    if peer.side == "here":
        kind = type(str(found["name"])[:60], (Mirror, _BASES[found["base"]]), {})
        module = kind.__new__(kind)
        nn.Module.__init__(module)
        vars(module).update(_peer=peer, _key=key)
    elif "config" in found:
        kind = getattr(transformers, found["name"])
        config = transformers.EsmConfig(**{name: value for name, value in reader.read(found["config"]).items() if name != "model_type"})
        with torch.random.fork_rng(devices=[]):
            module = kind._from_config(config, attn_implementation=found["attention"])
        _adopt(peer, module, found, descriptions)
    else:
        kind = _class(*found["path"])
        module = kind.__new__(kind)
        nn.Module.__init__(module)
    peer.register(key, module)


def _class(module, name):
    """A class of PyTorch, transformers or the course; of any other module a Shell."""
    if module.split(".")[0] not in ("torch", "transformers", "plmcourse") or module.startswith("plmcourse.checks"):
        return type(name, (Shell,), {})
    return inspect.getattr_static(importlib.import_module(module), name)


def _adopt(peer, module, found, descriptions):
    """Give the parts of a freshly built model the keys that they have on the other side."""
    for name, key in found["children"].items():
        if key in descriptions and key not in peer.objects and module._modules.get(name) is not None:
            peer.register(key, module._modules[name])
            _adopt(peer, module._modules[name], descriptions[key], descriptions)


def _update(peer, module, found, reader):
    module.training = bool(found["training"])
    children = {name: None if key is None else peer.objects[key] for name, key in found["children"].items()}
    if not all(child is None or isinstance(child, nn.Module) for child in children.values()):
        raise TypeError("a child that is no module")
    if list(module._modules.items()) != list(children.items()):
        module._modules.clear()
        module._modules.update(children)
    for own, parts in ((module._parameters, found["parameters"]), (module._buffers, found["buffers"])):
        for name in [name for name in own if name not in parts]:
            del own[name]
        for name, data in parts.items():
            own[name] = _updated(own.get(name), data, reader)


def _updated(old, data, reader):
    """The tensor that is here already with its new numbers, or else the new one."""
    new = reader.read(data)
    if old is None or new is None or old is new or "t" not in data or old.shape != new.shape or old.dtype != new.dtype:
        return new
    with torch.no_grad():
        if not old.is_meta and not torch.equal(old, new):
            old.copy_(new)
    if old.is_leaf and old.is_floating_point():
        old.requires_grad_(new.requires_grad)
    reader.tensors[data["t"]] = old  # what replies to this message names the one that stays
    return old


def take_plm(peer, data):
    """The language model of a message; on the student's side built when first seen."""
    key = data["plm"]
    if key not in peer.objects:
        if peer.side == "here":
            raise KeyError(key)
        plm = untrained(layers=1, dim=16, heads=2)
        model = peer.objects[data["model"]["module"]]
        peer.sent.add(id(model))
        peer.register(key, dataclasses.replace(plm, model=model, source=data["source"]))
    peer.objects[key].model.train(bool(data["model"]["training"]))
    return peer.objects[key]
