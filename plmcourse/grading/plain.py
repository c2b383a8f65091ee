"""Values as plain data: what may cross between the process that grades and the one that runs a student's code.

A value becomes JSON, its numbers raw bytes beside it; whatever is no plain data stays where it is and is sent as a key to it. Reading
makes tensors, arrays, lists and the like of it and never anything that can run.
"""
import math
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from plmcourse.models import PLM

DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8,
    torch.bool, torch.complex64, torch.complex128)}
DEEPEST, MOST_ITEMS = 40, 10**6
_SEQUENCES = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}


def tensor_bytes(tensor):
    """The numbers of a dense tensor, row by row; one on the "meta" device has none."""
    if tensor.is_meta:
        return b""
    plain = tensor.detach().resolve_conj().resolve_neg().contiguous()
    return (plain.view(torch.int16) if plain.dtype == torch.bfloat16 else plain).numpy().tobytes()  # NumPy has no bfloat16


class Packer:
    """Turns the values of one message into data.

    Parameters
    ----------
    peer : Peer
        Gives keys to objects that stay here.
    known : list of Tensor
        Tensors that came with the request to which this message replies: they are named, not sent again.
    """

    def __init__(self, peer, known=()):
        self.peer, self.known = peer, list(known)
        self.tensors, self.entries, self.blobs, self.modules, self.generators = [], [], [], {}, {}
        self.fixed = set()  # keys of modules, places of tensors: those of language models, which nobody may change from over there
        self._size = self._items = 0

    def message(self, **parts):
        """The message's JSON and its bytes."""
        tables = {"tensors": self.entries, "modules": self.modules, "generators": self.generators}
        return parts | tables | {"fixed": [key for key in self.modules if key in self.fixed]}, self.blobs

    def blob(self, content):
        self.blobs.append(content)
        self._size += len(content)
        return [self._size - len(content), len(content)]

    def pack(self, value, depth=0):
        """One value as JSON."""
        self._items += 1
        if value is None or isinstance(value, (bool, str)):
            return value if value is None or isinstance(value, bool) else str.__str__(value)
        if depth > DEEPEST or self._items > MOST_ITEMS:
            return self._key(value)
        for kinds, method in self._METHODS:
            if isinstance(value, kinds):
                return method(self, value, depth)
        return self._key(value)

    def _number(self, value, _):
        if isinstance(value, int) and abs(value) >= 2**63:
            return {"int": hex(value)} if value.bit_length() < 4096 else self._key(value)
        return value

    def _sequence(self, value, depth):
        kind = next(name for name, kind in _SEQUENCES.items() if isinstance(value, kind))
        return {kind: [self.pack(item, depth + 1) for item in value]}

    def _dict(self, value, depth):
        return {"dict": [[self.pack(part, depth + 1) for part in pair] for pair in value.items()]}

    def _array(self, value, depth):
        if value.dtype.kind == "O":
            return {"objects": [self.pack(item, depth + 1) for item in value.ravel()], "shape": list(value.shape)}
        if value.dtype.kind not in "biufcUS":
            return self._key(value)
        found = {"array": self.blob(np.ascontiguousarray(value).tobytes()), "dtype": value.dtype.str, "shape": list(value.shape)}
        return found if isinstance(value, np.ndarray) else found | {"scalar": True}

    def _tensor(self, value, _):
        """Tensors stand in a table, so that one that is named twice arrives as one."""
        for name, table in (("r", self.known), ("t", self.tensors)):
            place = next((i for i, other in enumerate(table) if other is value), None)
            if place is not None:
                return {name: place}
        if value.layout != torch.strided or value.device.type not in ("cpu", "meta") or str(value.dtype).removeprefix("torch.") not in DTYPES:
            return self._key(value)
        self.tensors.append(value)
        self.entries.append({
            "bytes": self.blob(tensor_bytes(value)), "dtype": str(value.dtype).removeprefix("torch."), "shape": list(value.shape),
            "grad": value.requires_grad, "leaf": value.is_leaf, "parameter": isinstance(value, nn.Parameter), "meta": value.is_meta,
            **self._alias(value)})
        return {"t": len(self.tensors) - 1}

    def _alias(self, value):
        """Says of a view into a tensor that came with the request where it lies: changing one changes the other."""
        start = 0 if value.is_meta else value.untyped_storage().data_ptr()
        for place, other in enumerate(self.known):
            if start and not other.is_meta and other.untyped_storage().data_ptr() == start:
                return {"of": place, "stride": list(value.stride()), "offset": value.storage_offset()}
        return {}

    def _generator(self, value, _):
        key = self.peer.key(value)
        self.generators[key] = self.blob(value.get_state().numpy().tobytes())
        return {"generator": key}

    def _module(self, value, _):
        key = self.peer.key(value)
        if key not in self.modules:
            self.modules[key] = None  # a module that holds itself must not go on for ever
            self.modules[key] = self.peer.describe(value, key, self)
        return {"module": key}

    def _plm(self, value, _):
        return {"plm": self.peer.key(value), "source": value.source, "model": self._model(value)}

    def _model(self, plm):
        """A language model is large and is sent once; later only whether it is in training mode."""
        if id(plm.model) in self.peer.sent:
            return {"module": self.peer.key(plm.model), "training": plm.model.training}
        self.peer.sent.add(id(plm.model))
        modules, tensors = set(self.modules), len(self.tensors)
        found = self._module(plm.model, 0) | {"training": plm.model.training}
        self.fixed |= set(self.modules) - modules | set(range(tensors, len(self.tensors)))
        return found

    def _namespace(self, value, depth):
        return {"namespace": self._dict(vars(value), depth)["dict"]}

    def _error(self, value, _):
        return {"error": self.peer.explain(value)}

    def _other(self, value, _):
        if isinstance(value, complex):
            return {"complex": [value.real, value.imag]}
        if isinstance(value, (torch.dtype, slice, range)):
            return {"dtype": str(value).removeprefix("torch.")} if isinstance(value, torch.dtype) else {
                type(value).__name__: [value.start, value.stop, value.step]}
        return {"bytes": self.blob(bytes(value))}

    def _key(self, value):
        return self.peer.handle(value)

    _METHODS = (
        ((np.ndarray, np.generic), _array), ((int, float), _number), ((list, tuple, set, frozenset), _sequence), (dict, _dict),
        (torch.Tensor, _tensor), (torch.Generator, _generator), (nn.Module, _module), (PLM, _plm), (SimpleNamespace, _namespace),
        (Exception, _error), ((complex, torch.dtype, slice, range, bytes), _other))


class Reader:
    """Turns the data of one message into values; ``known`` as in :class:`Packer`, seen from the other side.

    ``ours`` are the keys of modules on this side that the message may change.

    Raises KeyError, TypeError, ValueError or IndexError for data that are malformed.
    """

    def __init__(self, peer, message, blobs, known=(), ours=()):
        self.peer, self.blobs, self.known = peer, blobs, list(known)
        self.entries = message["tensors"]
        self.tensors = [self._tensor(entry) for entry in self.entries]
        for key, state in message["generators"].items():
            peer.generator(key).set_state(torch.frombuffer(bytearray(self.blob(state)), dtype=torch.uint8))
        peer.take_modules({key: found for key, found in message["modules"].items() if peer.may_change(key) or key in ours}, self)

    def blob(self, place):
        start, length = place
        if not 0 <= start <= start + length <= len(self.blobs):
            raise ValueError("bytes that are not there")
        return self.blobs[start:start + length]

    def _tensor(self, entry):
        dtype, shape, content = DTYPES[entry["dtype"]], [int(n) for n in entry["shape"]], self.blob(entry["bytes"])
        if min(shape, default=0) < 0 or (0 if entry["meta"] else math.prod(shape) * dtype.itemsize) != len(content):
            raise ValueError("a tensor whose shape does not fit its bytes")
        if len(content):
            value = torch.frombuffer(bytearray(content), dtype=dtype).reshape(shape)
        else:
            value = torch.empty(shape, dtype=dtype, device="meta" if entry["meta"] else "cpu")
        if "of" in entry:
            view = self.known[entry["of"]].detach().as_strided(shape, entry["stride"], entry["offset"])
            value = view.copy_(value) if not torch.equal(view, value) else view
        if entry["parameter"]:
            return nn.Parameter(value, requires_grad=entry["grad"])
        return value.requires_grad_(bool(entry["grad"]))

    def read(self, data, depth=0):
        """One value."""
        if data is None or isinstance(data, (bool, str, int, float)):
            return data
        if depth > DEEPEST + 10:
            raise ValueError("data nested too deeply")
        kind = next(iter(data))
        if kind in _SEQUENCES:
            return _SEQUENCES[kind](self.read(item, depth + 1) for item in data[kind])
        if kind in ("dict", "namespace"):
            found = {self.read(key, depth + 1): self.read(value, depth + 1) for key, value in data[kind]}
            return found if kind == "dict" else SimpleNamespace(**found)
        return getattr(self, f"_read_{self._KINDS[kind]}")(data, depth)

    _KINDS = {"t": "tensor", "r": "tensor", "array": "array", "objects": "objects", "int": "other", "complex": "other", "dtype": "other",
              "slice": "other", "range": "other", "bytes": "other", "generator": "object", "module": "object", "plm": "object",
              "object": "object", "error": "error"}

    def _read_tensor(self, data, _):
        return self.tensors[data["t"]] if "t" in data else self.known[data["r"]]

    def _read_array(self, data, _):
        dtype = np.dtype(str(data["dtype"]))
        if dtype.kind not in "biufcUS":
            raise ValueError(f"an array of the kind {dtype}")
        found = np.frombuffer(bytes(self.blob(data["array"])), dtype=dtype).reshape(data["shape"]).copy()
        return found[()] if data.get("scalar") else found

    def _read_objects(self, data, depth):
        found = np.empty(len(data["objects"]), dtype=object)
        for place, item in enumerate(data["objects"]):
            found[place] = self.read(item, depth + 1)
        return found.reshape(data["shape"])

    def _read_other(self, data, _):
        (kind, value), = data.items()
        makers = {"int": lambda v: int(v, 16), "complex": lambda v: complex(*v), "dtype": DTYPES.__getitem__, "slice": lambda v: slice(*v),
                  "range": lambda v: range(*v), "bytes": lambda v: bytes(self.blob(v))}
        return makers[kind](value)

    def _read_error(self, data, _):
        return self.peer.error(data["error"])

    def _read_object(self, data, _):
        return self.peer.take(data)
