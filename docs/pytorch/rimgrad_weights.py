#!/usr/bin/env python3
"""Weights of a RIM between rimgrad and the authors' PyTorch code (github.com/anirudh9119/RIMs, event_based).

    python3 rimgrad_weights.py to-official   weights.safetensors official.safetensors
    python3 rimgrad_weights.py from-official official.safetensors weights.safetensors

`to-official` reads weights of `RIM.official(...)`, as `saveVariables` writes them, and writes the parameters of `RNNModel`
(rnn_models_wiki.py), whose encoder and decoder are an embedding and a readout by these names (or others: `--embedding NAME`,
`--readout NAME`). With `--core` it takes the weights of the RIM alone, and writes the parameters of `BlocksCore`.
`from-official` reads either and goes the other way. There and back again gives the same bytes.

Only Python 3.8 or newer is needed. In a program that has torch:

    from rimgrad_weights import load, save, to_official, from_official, state_dict, tensors
    model.load_state_dict(state_dict(to_official(load("weights.safetensors"))), strict=False)
    save("weights.safetensors", from_official(tensors(model.state_dict())))

strict=False, as the model has parameters that take no part (the LayerNorms, and `gate_fc` of the input attention). They are
dropped on the way back, and so is whatever stands off the blocks of the dense recurrent matrices, which the model sets to 0
before every sequence. The model must have one layer, one input block and one input head.

A file is {name: (dtype, shape, bytes)}, little-endian, row-major; values are moved, never changed.
"""

import argparse
import json
import struct
import sys

ITEM_BYTES = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
              "I8": 1, "U8": 1, "BOOL": 1}
CORE = "bc_lst.0."
# What rimgrad calls a weight -> what the authors' code calls it, where both keep it in the same order.
SAME = {
    "key": "inp_att.GLN_ks.w",
    "value": "inp_att.GLN_vs.w",
    "query": "inp_att.GLN_qs.w",
    "commQuery": "mha.GLN_qs.w",
    "commKey": "mha.GLN_ks.w",
    "commValue": "mha.GLN_vs.w",
    "commOutputBias": "mha.fc.bias",
    "commGateBias": "mha.gate_fc.bias",
}
# [in, out] in rimgrad, [out, in] as PyTorch keeps linear maps.
TRANSPOSED = {"commOutput": "mha.fc.weight", "commGate": "mha.gate_fc.weight"}
# The modules' own matrices [N, in, G*H] and biases [N, G*H] in rimgrad; dense [G*N*H, N*in] and [G*N*H] in the authors' code.
MATRICES = {"inputGates": "weight_ih", "stateGates": "weight_hh"}
BIASES = {"inputGatesBias": "bias_ih", "stateGatesBias": "bias_hh"}
UNUSED = ("inp_att.gate_fc.", "inp_att.ln.", "mha.ln.")


class WeightsError(Exception):
    """A file that is not what it should be; the message says what is wrong and what to do."""


def load(path):
    """The tensors of a safetensors file, {name: (dtype, shape, bytes)}."""
    with open(path, "rb") as file:
        data = file.read()
    try:
        (length,) = struct.unpack_from("<Q", data)
        header = json.loads(data[8 : 8 + length].decode("utf-8"))
        header.pop("__metadata__", None)
        found = {}
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            body = data[8 + length + begin : 8 + length + end]
            if len(body) != count(entry["shape"]) * ITEM_BYTES[entry["dtype"]]:
                raise ValueError(f"'{name}' does not fill its shape")
            found[name] = (entry["dtype"], list(entry["shape"]), body)
        return found
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path} is no safetensors file ({error}); save the weights again") from error


def save(path, weights):
    """Writes a safetensors file: widest dtypes first, then by name, as rimgrad does; equal weights give equal bytes."""
    order = sorted(weights, key=lambda name: (-ITEM_BYTES[weights[name][0]], name.encode("utf-16-be")))
    header, end = {}, 0
    for name in order:
        dtype, shape, body = weights[name]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + len(body)]}
        end += len(body)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            file.write(weights[name][2])


def count(shape):
    """The number of elements of a shape."""
    product = 1
    for size in shape:
        product *= size
    return product


def picked(tensor, shape, places):
    """The tensor whose element i is element places[i] of the given one; None is 0."""
    dtype, _, body = tensor
    item = ITEM_BYTES[dtype]
    zero = bytes(item)
    return dtype, shape, b"".join(zero if p is None else body[p * item : (p + 1) * item] for p in places)


def swapped(tensor):
    """The transpose of a matrix."""
    rows, columns = tensor[1]
    return picked(tensor, [columns, rows], [i * columns + j for j in range(columns) for i in range(rows)])


def to_blocks(tensor, modules, unit):
    """The authors' dense matrix or bias as rimgrad's, a block a module."""
    gates = tensor[1][0] // (modules * unit)
    if len(tensor[1]) == 1:
        places = [(g * modules + n) * unit + j for n in range(modules) for g in range(gates) for j in range(unit)]
        return picked(tensor, [modules, gates * unit], places)
    columns = tensor[1][1]
    rows = columns // modules
    places = [((g * modules + n) * unit + j) * columns + n * rows + i
              for n in range(modules) for i in range(rows) for g in range(gates) for j in range(unit)]
    return picked(tensor, [modules, rows, gates * unit], places)


def to_dense(tensor, unit):
    """rimgrad's blocks as the authors' dense matrix, 0 off the blocks, or bias."""
    modules, wide = tensor[1][0], tensor[1][-1]
    gates = wide // unit
    if len(tensor[1]) == 2:
        places = [n * wide + g * unit + j for g in range(gates) for n in range(modules) for j in range(unit)]
        return picked(tensor, [gates * modules * unit], places)
    rows = tensor[1][1]
    places = [(n * rows + i) * wide + g * unit + j if m == n else None
              for g in range(gates) for n in range(modules) for j in range(unit)
              for m in range(modules) for i in range(rows)]
    return picked(tensor, [gates * modules * unit, modules * rows], places)


def expect(weights, name, axes, mend):
    """A tensor of so many axes. WeightsError where there is none."""
    if name not in weights:
        raise WeightsError(f"there is no '{name}'; {mend}")
    if len(weights[name][1]) != axes:
        raise WeightsError(f"'{name}' has the shape {weights[name][1]}, not {axes} axes; {mend}")
    return weights[name]


def to_official(weights, core=False, embedding="embedding", readout="readout"):
    """rimgrad's weights by the names and in the layout of RNNModel's state_dict; of BlocksCore's with core=True."""
    mend = "give weights of RIM.official, as saveVariables writes them"
    left = dict(weights)
    _, unit, _ = expect(left, "rim.query", 3, mend)[1]
    expect(left, "rim.key", 3, mend)
    wide = expect(left, "rim.stateGates", 3, mend)[1][2]
    if wide not in (3 * unit, 4 * unit):
        raise WeightsError(f"'rim.stateGates' has {wide} columns, neither 3 nor 4 times {unit}; {mend}")
    cell = "lstm" if wide == 4 * unit else "gru"
    head = "" if core else CORE
    out = {}

    def move(name, to, change=lambda tensor: tensor):
        if name in left:
            out[to] = change(left.pop(name))

    for name, to in SAME.items():
        move(f"rim.{name}", head + to)
    for name, to in TRANSPOSED.items():
        move(f"rim.{name}", head + to, swapped)
    for name, to in {**MATRICES, **BIASES}.items():
        expect(left, f"rim.{name}", 3 if name in MATRICES else 2, mend)
        move(f"rim.{name}", f"{head}block_lstm.{cell}.{to}", lambda tensor: to_dense(tensor, unit))
    if not core:
        move(f"{embedding}.weight", "encoder.weight")
        move(f"{readout}.weight", "decoder.weight", swapped)
        move(f"{readout}.bias", "decoder.bias")
    if left:
        raise WeightsError(f"the authors' code has nothing like '{next(iter(left))}'; {mend}")
    return out


def from_official(weights, embedding="embedding", readout="readout"):
    """The parameters of RNNModel or BlocksCore as rimgrad's weights."""
    mend = "give the state_dict of an RNNModel or a BlocksCore of one layer"
    head = (ending(weights, "inp_att.GLN_qs.w") or "")[: -len("inp_att.GLN_qs.w")]
    left = {name: tensor for name, tensor in weights.items() if not name.startswith(tuple(head + u for u in UNUSED))}
    modules, unit, _ = expect(left, head + "inp_att.GLN_qs.w", 3, mend)[1]
    cell = "lstm" if f"{head}block_lstm.lstm.weight_hh" in left else "gru"
    out = {}

    def move(name, to, change=lambda tensor: tensor):
        if name in left:
            out[to] = change(left.pop(name))

    for to, name in SAME.items():
        move(head + name, f"rim.{to}")
    for to, name in TRANSPOSED.items():
        move(head + name, f"rim.{to}", swapped)
    for to, name in {**MATRICES, **BIASES}.items():
        stored = f"{head}block_lstm.{cell}.{name}"
        tensor = expect(left, stored, 2 if to in MATRICES else 1, mend)
        if tensor[1][0] not in (3 * modules * unit, 4 * modules * unit) or tensor[1][-1] % modules:
            raise WeightsError(f"'{stored}' {tensor[1]} has no blocks of {modules} modules of {unit} units; {mend}")
        move(stored, f"rim.{to}", lambda tensor: to_blocks(tensor, modules, unit))
    move("encoder.weight", f"{embedding}.weight")
    move("decoder.weight", f"{readout}.weight", swapped)
    move("decoder.bias", f"{readout}.bias")
    if left:
        raise WeightsError(f"rimgrad's RIM has nothing like '{next(iter(left))}'; {mend}")
    return out


def ending(weights, end):
    """The one name that ends so; None where there is none."""
    found = [name for name in weights if name.endswith(end)]
    if len(found) > 1:
        raise WeightsError(f"'{found[0]}' and '{found[1]}' both end in '{end}'; give the weights of one model of one layer")
    return found[0] if found else None


def state_dict(weights):
    """{name: torch.Tensor} for load_state_dict. Needs torch."""
    import torch

    kinds = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
    return {name: torch.frombuffer(bytearray(body), dtype=kinds[dtype]).reshape(shape)
            for name, (dtype, shape, body) in weights.items()}


def tensors(state):
    """The f32 tensors of a state_dict, as `load` gives them. Needs torch."""
    import torch

    return {name: ("F32", list(value.shape), struct.pack(f"<{value.numel()}f", *value.float().flatten().tolist()))
            for name, value in state.items() if isinstance(value, torch.Tensor)}


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    to = commands.add_parser("to-official", help="from rimgrad to the authors' PyTorch code")
    to.add_argument("--core", action="store_true", help="the parameters of BlocksCore alone")
    back = commands.add_parser("from-official", help="from the authors' PyTorch code to rimgrad")
    for command in (to, back):
        command.add_argument("--embedding", default="embedding", help="rimgrad's name of the embedding")
        command.add_argument("--readout", default="readout", help="rimgrad's name of the readout")
        command.add_argument("source")
        command.add_argument("target")
    given = parser.parse_args()
    try:
        weights = load(given.source)
        names = {"embedding": given.embedding, "readout": given.readout}
        done = to_official(weights, given.core, **names) if given.command == "to-official" else from_official(weights, **names)
        save(given.target, done)
    except (WeightsError, OSError) as error:
        sys.exit(f"rimgrad_weights: {error}")


if __name__ == "__main__":
    main()
