"""PyTorch as a peer: eager, torch.compile, or a CUDA graph; on a CUDA device where there is one, else on the CPU.

Written for speed, like jax.ts: modules first ([N,B,H]), so that products by the modules' own weights are one bmm; the input
side of all steps before the loop, with value and gate matrices multiplied into one (the fold); the null row's part as a
bias; products that read the same tensor done as one. It speaks the protocol of child.ts: arguments mode and problem.
TF32 stays off, as PyTorch has it, so that losses compare.
"""

import json
import math
import struct
import sys
import time

import torch

WEIGHTS = [
    "key", "keyBias", "value", "valueBias", "query", "inputGates", "stateGates",
    "commQuery", "commKey", "commValue", "commOutput",
]  # fmt: skip


def read_problem(path, device):
    """The sizes, the learning rate and the tensors of a safetensors file."""
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__")
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        values = torch.frombuffer(bytearray(data[8 + length + begin : 8 + length + end]), dtype=torch.float32)
        tensors[name] = values.reshape(entry["shape"]).to(device)
    return json.loads(metadata["sizes"]), float(metadata["learningRate"]), tensors


def make_loss(sizes):
    """The loss as a function of the weights, x [T,B,D], state [N,B,H] and target [N,B,H]."""
    B, T, N, K, H, E, C, F, W = (sizes[letter] for letter in "BTNKHECFW")

    def communicate(talk):
        """From queries, keys and values [N,B,2CF+CW] to the contexts [N,B,CW]."""
        q, k, v = talk.split([C * F, C * F, C * W], dim=2)
        q = q.view(N, B, C, F).permute(1, 2, 0, 3)
        k = k.view(N, B, C, F).permute(1, 2, 3, 0)
        v = v.view(N, B, C, W).permute(1, 2, 0, 3)
        read = torch.softmax(torch.matmul(q * (1 / math.sqrt(F)), k), dim=-1)
        return torch.matmul(read, v).permute(2, 0, 1, 3).reshape(N, B, C * W)

    def loss(p, x, state, target):
        rows = x.reshape(T * B, -1)
        keys = torch.addmm(p["keyBias"], rows, p["key"]).view(T, B, E)
        columns = p["inputGates"].transpose(0, 1).reshape(-1, N * 3 * H)
        from_input = (rows @ (p["value"] @ columns)).view(T, B, N, 3 * H).transpose(1, 2)
        from_null = (p["valueBias"] @ columns).view(N, 1, 3 * H)
        from_state = torch.cat([p["query"], p["stateGates"]], dim=2)
        from_source = torch.cat([p["commQuery"], p["commKey"], p["commValue"]], dim=2)
        null_key = p["keyBias"]
        keys, from_input = keys.unbind(0), from_input.unbind(0)

        h = state
        for t in range(T):
            query, gh = torch.bmm(h, from_state).split([E, 3 * H], dim=2)
            score = (query * keys[t]).sum(2)
            share = torch.sigmoid((score - query @ null_key) * (1 / math.sqrt(E)))
            chosen = score.detach().topk(K, dim=0, sorted=False).indices
            mask = torch.zeros_like(score).scatter_(0, chosen, 1.0).unsqueeze(2)
            gx = torch.addcmul(from_null, share.unsqueeze(2), from_input[t])
            xr, xz, xn = gx.chunk(3, dim=2)
            hr, hz, hn = gh.chunk(3, dim=2)
            z = torch.sigmoid(xz + hz)
            candidate = torch.lerp(torch.tanh(torch.addcmul(xn, torch.sigmoid(xr + hr), hn)), h, z)
            source = torch.where(mask > 0, candidate, h)
            context = communicate(torch.bmm(source, from_source))
            h = torch.addcmul(source, torch.bmm(context, p["commOutput"]), mask)
        return (h - target).square().mean()

    return loss


def make_step(mode, sizes, rate, tensors, device):
    """A function that takes one training step and returns its loss as a tensor."""
    B, N, H = (sizes[letter] for letter in "BNH")
    weights = {name: tensors[name].clone().requires_grad_() for name in WEIGHTS}
    listed = list(weights.values())
    x = tensors["x"]
    state = tensors["state"].transpose(0, 1).contiguous()
    target = tensors["target"].view(B, N, H).transpose(0, 1).contiguous()
    loss_of = make_loss(sizes)
    if mode == "compile":
        if not hasattr(torch, "compile"):
            raise SystemExit(f"torch.compile needs PyTorch 2, and this is {torch.__version__}")
        loss_of = torch.compile(loss_of)

    def step():
        loss = loss_of(weights, x, state, target)
        gradients = torch.autograd.grad(loss, listed)
        with torch.no_grad():
            torch._foreach_add_(listed, gradients, alpha=-rate)
        return loss.detach()

    if mode != "graphs":
        return step
    if device.type != "cuda":
        raise SystemExit("CUDA graphs need a CUDA device, and torch sees none")
    first = [weight.detach().clone() for weight in listed]
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    with torch.no_grad():
        for weight, value in zip(listed, first):
            weight.copy_(value)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step()

    def replay():
        graph.replay()
        return loss

    return replay


def describe(device):
    """The version of torch, and the adapter: the card, or the processor's threads and BLAS."""
    if device.type == "cuda":
        return f"torch {torch.__version__}, CUDA {torch.version.cuda}", torch.cuda.get_device_name(device)
    # As in "BLAS_INFO=mkl, BUILD_TYPE=...": what torch was built against.
    settings = torch.__config__.show().replace(",", "\n").split("\n")
    found = [line.split("=")[1].strip() for line in settings if line.strip().startswith("BLAS_INFO=")]
    blas = found[0] if found else "unknown"
    return f"torch {torch.__version__}, BLAS {loaded_blas() or blas}", f"cpu, {torch.get_num_threads()} threads"


def loaded_blas():
    """The BLAS libraries in this process, on Linux: a distribution's torch takes whichever the system links."""
    try:
        with open("/proc/self/maps", encoding="utf8") as maps:
            files = {line.split("/")[-1].strip() for line in maps if "/" in line}
    except OSError:
        return ""
    named = sorted(name for name in files if "openblas" in name or "blis" in name or name.startswith("libmkl_core"))
    return " ".join(named or sorted(name for name in files if name.startswith("libblas")))


def main():
    mode, path = sys.argv[1:3]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sizes, rate, tensors = read_problem(path, device)
    started = time.perf_counter()
    step = make_step(mode, sizes, rate, tensors, device)
    made = time.perf_counter() - started

    def train(steps):
        losses, ms = [], []
        for _ in range(steps):
            begin = time.perf_counter()
            losses.append(step().item())
            if device.type == "cuda":
                torch.cuda.synchronize()
            ms.append(1000 * (time.perf_counter() - begin))
        return losses, ms

    losses, ms = train(3)
    version, adapter = describe(device)
    ready = {"version": version, "adapter": adapter, "losses": losses, "firstStepMs": 1000 * made + ms[0]}
    print(json.dumps({"ready": ready}), flush=True)
    for line in sys.stdin:
        message = json.loads(line)
        if "exit" in message:
            break
        print(json.dumps({"ms": train(message["steps"])[1]}), flush=True)


if __name__ == "__main__":
    main()
