"""Calling functions that live in another process, as if they were here.

Both ends are a :class:`Peer`. A call carries its arguments as plain data; what the function did to them, to generators and to the global
random state comes back with the result, so that a check sees just what it would see had the function run here. A module that stays on the
other side has a :class:`Mirror` here, with its parameters; gradients are asked for over there.
"""
import builtins
import functools
import random
import re
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from plmcourse.grading import modules
from plmcourse.grading.plain import Packer, Reader, tensor_bytes
from plmcourse.grading.wire import Ended
from plmcourse.models import PLM

_MALFORMED = (KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError, OverflowError, RecursionError, StopIteration)


class Foreign:
    """An object that stays in the other process: its attributes are asked for over there."""

    def __init__(self, peer, key, name):
        vars(self).update(_peer=peer, _key=key, __name__=name)

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return self._peer.attribute(self._key, name)

    def __repr__(self):
        return f"<{type(self).__name__}>"


class ForeignFunction(Foreign):
    """A function or class that stays in the other process."""

    def __call__(self, *arguments, **options):
        return self._peer.call(self._key, arguments, options)


class Gradients(torch.autograd.Function):
    """Results of a call as a step of the graph here: the way back is asked for over there."""

    @staticmethod
    def forward(context, peer, call, places, values, *inputs):
        context.peer, context.call, context.places = peer, call, places
        return tuple(values)

    @staticmethod
    def backward(context, *gradients):
        return None, None, None, None, *context.peer.backward(context.call, gradients, context.places)


class Peer:
    """One end of a connection.

    Parameters
    ----------
    channel : Channel
    side : str
        "here" for the process that grades, "there" for the one that runs a student's code: the two see the same keys.
    """

    def __init__(self, channel, side):
        self.channel, self.side = channel, side
        self.objects, self.keys, self.sent, self.graphs = {}, {}, set(), {}
        self.exposed = set()  # keys of functions that the other side may call
        self.caught = Exception if side == "here" else BaseException  # a student's function may raise SystemExit
        self._calls, self._random = 0, None

    # --- objects and keys

    def key(self, value):
        """The key of an object that is named in messages; it is kept from now on, so that its id stays its own."""
        if id(value) not in self.keys:
            self.register(f"{self.side}{len(self.objects)}", value)
        return self.keys[id(value)]

    def register(self, key, value):
        self.objects[key], self.keys[id(value)] = value, key

    def handle(self, value):
        """An object that stays here, as data: a key and what may be said of it."""
        if isinstance(value, Foreign):
            return {"object": value._key}
        if self.side == "here" and not callable(value):
            raise TypeError(f"a {type(value).__name__} cannot be handed to a student's function in another process")
        key = self.key(value)
        self.exposed.add(key)
        name = getattr(value, "__name__", type(value).__name__)
        return {"object": key, "type": type(value).__name__, "name": name if isinstance(name, str) else "", "callable": callable(value)}

    def take(self, data):
        """The object, or the stand-in for it, that data of a message name."""
        kind = next(iter(data))
        key = data[kind]
        if kind == "generator":
            return self.generator(key)
        if kind == "plm":
            return modules.take_plm(self, data)
        if key not in self.objects and kind == "object":
            if key.startswith(self.side):
                raise KeyError(key)
            maker = type(identifier(data["type"]), (ForeignFunction if data["callable"] else Foreign,), {})
            self.register(key, maker(self, key, identifier(data["name"])))
        return self.objects[key]

    def generator(self, key):
        if key not in self.objects and not key.startswith(self.side):
            self.register(key, torch.Generator())
        if not isinstance(self.objects[key], torch.Generator):
            raise TypeError(key)
        return self.objects[key]

    def describe(self, module, key, packer):
        return modules.describe(self, module, key, packer)

    def may_change(self, key):
        """Whether a message may change this module: on the student's side any, here only those of that side."""
        return self.side == "there" or not key.startswith("here")

    def take_modules(self, descriptions, reader):
        modules.take(self, descriptions, reader)

    # --- asking

    def call(self, key, arguments, options, beside=()):
        """Call what has this key on the other side; ``beside`` are modules that it must see as they are here."""
        packer, self._calls = Packer(self), self._calls + 1
        number = self._calls
        for module in beside:
            packer.pack(module)
        message, blobs = packer.message(
            do="call", key=key, number=number, arguments=[packer.pack(value) for value in arguments],
            options={name: packer.pack(value) for name, value in options.items()}, grad=torch.is_grad_enabled(), random=self._state(packer))
        reply, blobs = self._ask(message, blobs)
        with self._strictly():
            reader = Reader(self, reply, blobs, packer.tensors, set(packer.modules) - packer.fixed)
            self._connect(reader, number, packer.tensors)
            self._take_state(reply, reader)
            self._take_changes(reply, reader, arguments, packer.fixed)
            if "error" not in reply:
                return reader.read(reply["result"])
        raise the_error(reply["error"])

    def attribute(self, key, name):
        """An attribute of what has this key on the other side; AttributeError if it has none."""
        reply, blobs = self._ask(*Packer(self).message(do="attribute", key=key, name=name))
        if "error" in reply:
            raise AttributeError(name)
        with self._strictly():
            return Reader(self, reply, blobs).read(reply["result"])

    def backward(self, number, gradients, places):
        """Gradients of a call's inputs at these places of its table of tensors."""
        packer = Packer(self)
        packed = [packer.pack(gradient) for gradient in gradients]
        reply, blobs = self._ask(*packer.message(do="backward", number=number, gradients=packed, places=places))
        with self._strictly():
            if "error" not in reply:
                return Reader(self, reply, blobs).read(reply["result"])
        raise the_error(reply["error"])

    def _ask(self, message, blobs):
        self.channel.send(message, blobs)
        while True:
            message, blobs = self.channel.receive()
            if message.get("do") == "reply":
                return message, blobs
            self.answer(message, blobs)  # a function of ours that was handed over is called

    @contextmanager
    def _strictly(self):
        """Malformed data end the conversation."""
        try:
            yield
        except _MALFORMED as error:
            raise Ended(f"a message that makes no sense: {error!r}"[:300]) from error

    def _connect(self, reader, number, inputs):
        """Tie results that carry a graph on the other side to the inputs here."""
        hanging = [place for place, entry in enumerate(reader.entries) if entry["grad"] and not entry["leaf"]]
        if not hanging:
            return
        places = [place for place, value in enumerate(inputs) if value.requires_grad]
        values = [reader.tensors[place].detach() for place in hanging]
        if places and torch.is_grad_enabled():
            values = Gradients.apply(self, number, places, values, *(inputs[place] for place in places))
        else:
            values = [value.requires_grad_() for value in values]
        for place, value in zip(hanging, values):
            reader.tensors[place] = value

    def _take_changes(self, reply, reader, arguments, fixed):
        """Do to the arguments here what the function did to them over there."""
        for place, new, requires_grad in reply.get("changes", []):
            if place in fixed:
                continue
            tensor = reader.known[place]
            if new is not None:
                _become(tensor, reader.read(new).detach())
            if tensor.is_leaf and tensor.is_floating_point():
                tensor.requires_grad_(bool(requires_grad))
        for place, new in reply.get("arguments", []):
            old, new = arguments[place], reader.read(new)
            if isinstance(old, list) or isinstance(old, np.ndarray) and old.shape == np.shape(new):
                old[:] = new
            elif isinstance(old, (dict, set)):
                old.clear()
                old.update(new)

    # --- answering

    def answer(self, message, blobs):
        """Do what the other side asks for, and reply."""
        packer = None
        try:
            if self.side == "here" and not (message.get("do") == "call" and message.get("key") in self.exposed):
                raise Ended("a request for what is nobody's business")
            packer = getattr(self, f"_do_{message['do']}")(message, blobs)
        except Exception as error:
            packer = Packer(self)
            packer.parts = {"error": self.explain(error), "random": self._state(packer)}
        reply = packer.message(do="reply", **packer.parts)
        self.channel.send(*reply)

    def explain(self, error):
        """An error as data; the process that runs a student's code adds the line."""
        return {"kinds": [kind.__name__ for kind in type(error).__mro__], "text": str(error)[:2000], "line": None}

    def error(self, data):
        """The error that data of the other side describe."""
        return the_error(data)

    def _do_call(self, message, blobs):
        reader = Reader(self, message, blobs)
        self._take_state(message, reader)
        arguments = [reader.read(value) for value in message["arguments"]]
        options = {name: reader.read(value) for name, value in message["options"].items()}
        inputs = list(reader.tensors)
        before = [reader.blob(entry["bytes"]) for entry in reader.entries]
        error = result = None
        with torch.set_grad_enabled(bool(message["grad"])):
            try:
                result = self.objects[message["key"]](*arguments, **options)
            except self.caught as found:
                error = found
        packer = Packer(self, inputs)
        for key in [*message["modules"], *message["generators"]]:
            if key not in message["fixed"]:
                packer.pack(self.objects[key])
        packer.parts = {"error": self.explain(error)} if error else {"result": packer.pack(result)}
        self._add_changes(packer, message, arguments, before)
        hanging = [value for value in packer.tensors if value.requires_grad and not value.is_leaf]
        if hanging:
            self.graphs[message["number"]] = hanging, inputs
        return packer

    def _add_changes(self, packer, message, arguments, before):
        changes = []
        for place, (tensor, old) in enumerate(zip(packer.known, before)):
            same, grad = tensor_bytes(tensor) == bytes(old), message["tensors"][place]["grad"]
            now = tensor.requires_grad if tensor.is_leaf else grad
            if not same or now != grad:
                changes.append([place, None if same else packer.pack(tensor.detach().clone()), now])
        containers = [(i, value) for i, value in enumerate(arguments) if isinstance(value, (list, dict, set, np.ndarray, PLM))]
        packer.parts |= {"changes": changes, "random": self._state(packer), "arguments": [[i, packer.pack(v)] for i, v in containers]}

    def _do_attribute(self, message, _):
        packer = Packer(self)
        packer.parts = {"result": packer.pack(getattr(self.objects[message["key"]], message["name"]))}
        return packer

    def _do_backward(self, message, blobs):
        outputs, inputs = self.graphs[message["number"]]
        reader, packer = Reader(self, message, blobs), Packer(self)
        given = [reader.read(value) for value in message["gradients"]]
        pairs = [(output, gradient) for output, gradient in zip(outputs, given) if gradient is not None]
        found = torch.autograd.grad(*zip(*[(output,) for output, _ in pairs]), [inputs[place] for place in message["places"]],
                                    [gradient for _, gradient in pairs], allow_unused=True, retain_graph=True)
        packer.parts = {"result": {"tuple": [packer.pack(value) for value in found]}}
        return packer

    # --- the global random state

    def _state(self, packer):
        """The state of all three global generators, or None when the other side knows it."""
        state = torch.get_rng_state().numpy().tobytes(), np.random.get_state(), random.getstate()
        key = state[0], state[1][1].tobytes(), state[1][2:], state[2]
        if key == self._random:
            return None
        self._random = key
        return [packer.blob(state[0]), packer.pack(tuple(state[1])), packer.pack(state[2])]

    def _take_state(self, message, reader):
        if message.get("random") is None:
            return
        content, numpys, pythons = message["random"]
        torch.set_rng_state(torch.frombuffer(bytearray(reader.blob(content)), dtype=torch.uint8))
        np.random.set_state(reader.read(numpys))
        random.setstate(reader.read(pythons))
        numpys = np.random.get_state()
        self._random = torch.get_rng_state().numpy().tobytes(), numpys[1].tobytes(), numpys[2:], random.getstate()


def _become(tensor, new):
    """Change a tensor in place; one that was converted, as by module.double(), gets other storage."""
    if (tensor.shape, tensor.dtype) != (new.shape, new.dtype):
        tensor.data = new
        return
    with torch.no_grad():
        tensor.copy_(new)


def identifier(text):
    """A name from the other side that is fit to be shown."""
    return re.sub(r"\W", "", str(text))[:60] or "something"


def the_error(data):
    """An error of the other side, as one of a class of the same name that inherits from the nearest builtin one."""
    kinds = [identifier(kind) for kind in data["kinds"]]
    known = [getattr(builtins, kind, None) for kind in kinds]
    base = next((kind for kind in known if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, UnicodeError)),
                Exception)
    error = _error_class(kinds[0], base)(str(data["text"])[:2000])
    error.student_line = str(data["line"])[:200] if data["line"] else ""
    return error


@functools.cache
def _error_class(name, base):
    return type(name, (base,), {"__str__": lambda self: self.args[0]})  # a KeyError would put quotes around it
