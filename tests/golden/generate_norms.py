#!/usr/bin/python3
"""Writes norms.safetensors beside it: every norm x shape x option, forward and backward, as PyTorch computes it in
double. A case's name says all there is to know of its layer, so that the C++ test makes it from the name alone:
"batch_norm1d shape=6,4 affine=1 momentum=0.1 mode=train"; momentum is "none" without running statistics. Run once
with python3-torch (1.13), like generate.py, from which the rest of the conventions come."""
import itertools

import torch
from torch import nn

from generate import File, Source

file = File()
batches_before = 3  # what num_batches_tracked starts from


class RMSNorm(nn.Module):
    """y = x / sqrt(mean(x^2) + eps) weight, which PyTorch has since 2.4."""

    def __init__(self, shape, eps, affine):
        super().__init__()
        self.axes, self.eps = tuple(range(-len(shape), 0)), eps
        self.weight = nn.Parameter(torch.ones(shape)) if affine else None

    def forward(self, x):
        y = x / ((x * x).mean(self.axes, keepdim=True) + self.eps).sqrt()
        return y if self.weight is None else y * self.weight


def case(name, module, shape, sets=None, centred=True, eps=0.0):
    """`sets` gives the rows of x that are normalized together: the gradients' largest terms follow from their
    smallest standard deviation."""
    source = Source(name)
    training = name.endswith("mode=train")
    module.train(training)
    # Of mean 0.5 and different spreads, but no two sizes so far apart that a test of one is blind to the other.
    x = (source.normal(*shape) * source.uniform(*shape[:2], *[1] * (len(shape) - 2), low=0.5, high=2) + 0.5)
    x = x.float().double().requires_grad_()
    for part, value in module.state_dict().items():
        if part == "num_batches_tracked":
            value.fill_(batches_before)
        elif part == "running_var":
            value.copy_(source.uniform(*value.shape, low=0.5, high=2.0))
        else:
            value.copy_(source.normal(*value.shape, std=0.7))
        file.add(f"{name}:{part}", value)
    y = module(x)
    dy = source.normal(*y.shape)
    if sets is None:
        module.weight.retain_grad()  # the weight made from the parameters
    y.backward(dy)
    file.add(f"{name}:x", x)
    file.add(f"{name}:dy", dy)
    y_scale = dx_scale = dw_scale = None
    if sets is None:
        made_from = module.weight_v if name.startswith("weight") else module.weight_orig
        dw_scale = (module.weight / made_from).abs().max() * module.weight.grad.abs().max()
    else:
        rows = sets(x.detach())
        variance = rows.var(1, unbiased=False) if centred else (rows * rows).mean(1)
        if not training and getattr(module, "running_var", None) is not None:
            variance = module.running_var
        weight = getattr(module, "weight", None)
        largest = (1.0 if weight is None else weight.abs().max()) / (variance.min() + eps).sqrt()
        if centred and rows.shape[1] == 1:
            y_scale = largest * x.abs().max()  # one value minus itself
        dx_scale = largest * dy.abs().max()
        dw_scale = dy.abs().max()
    file.add(f"{name}:y", y, y_scale)
    file.add(f"{name}:dx", x.grad, dx_scale)
    for part, parameter in module.named_parameters():
        made = sets is not None or part in ["weight_v", "weight_orig"]
        file.add(f"{name}:grad:{part}", parameter.grad, dw_scale if made else None)
    for part, buffer in module.named_buffers():
        if isinstance(module, (nn.InstanceNorm1d, nn.InstanceNorm2d)) and part == "num_batches_tracked":
            buffer = buffer + training  # PyTorch leaves it; Ballast's cumulative average needs the count
        file.add(f"{name}:after:{part}", buffer)


def text(shape):
    return ",".join(map(str, shape))


def tracking_norms():
    kinds = {
        "batch_norm1d": (nn.BatchNorm1d, [(5, 3), (2, 1), (2, 2, 4), (1, 2, 3), (3, 1, 1)]),
        "batch_norm2d": (nn.BatchNorm2d, [(2, 3, 2, 2), (1, 2, 3, 1), (2, 1, 1, 1)]),
        "instance_norm1d": (nn.InstanceNorm1d, [(2, 2, 4), (1, 1, 2)]),
        "instance_norm2d": (nn.InstanceNorm2d, [(2, 3, 2, 2), (2, 1, 1, 3)]),
    }
    for kind, (make, shapes) in kinds.items():
        batch = kind.startswith("batch")
        for shape, affine, momentum, mode in itertools.product(shapes, [0, 1], ["none", "0.1", "1", "cumulative"],
                                                               ["train", "eval"]):
            if momentum == "1" and mode == "eval":
                continue  # there is nothing for it to do
            weight_of_new = {"none": 0.1, "0.1": 0.1, "1": 1.0, "cumulative": None}[momentum]
            if momentum == "cumulative" and not batch:
                # PyTorch's instance norms don't take None.
                weight_of_new = 1 / (batches_before + 1)
            module = make(shape[1], momentum=weight_of_new, affine=bool(affine), track_running_stats=momentum != "none")
            sets = (lambda x: x.transpose(0, 1).flatten(1)) if batch else (lambda x: x.flatten(0, 1).flatten(1))
            case(f"{kind} shape={text(shape)} affine={affine} momentum={momentum} mode={mode}", module, shape, sets,
                 eps=1e-5)


def row_norms():
    """The norms that don't know whether they train, which is what evaluating some of them shows."""
    shapes = [((3, 5), 1), ((2, 3, 4), 1), ((2, 3, 4), 2), ((2, 1, 3, 2), 3), ((1, 2), 2)]
    for (shape, axes), affine, eps in itertools.product(shapes, [0, 1], [1e-5, 0.1]):
        mode = "train" if eps < 0.1 else "eval"
        tail = f"shape={text(shape)} axes={axes} affine={affine} eps={eps:g} mode={mode}"
        last = shape[len(shape) - axes:]
        rows = lambda x: x.flatten(-axes).reshape(-1, x.flatten(-axes).shape[-1])
        case(f"layer_norm {tail}", nn.LayerNorm(last, eps=eps, elementwise_affine=bool(affine)), shape, rows, eps=eps)
        case(f"rms_norm {tail}", RMSNorm(last, eps, bool(affine)), shape, rows, centred=False, eps=eps)
    grouped = [((2, 4), 2), ((2, 4, 3), 2), ((2, 4, 3), 4), ((1, 3, 2, 2), 1), ((2, 6, 1, 2), 3), ((1, 2, 1, 1), 1)]
    for (shape, groups), affine, eps in itertools.product(grouped, [0, 1], [1e-5, 0.1]):
        mode = "train" if eps < 0.1 else "eval"
        case(f"group_norm shape={text(shape)} groups={groups} affine={affine} eps={eps:g} mode={mode}",
             nn.GroupNorm(groups, shape[1], eps=eps, affine=bool(affine)), shape,
             lambda x: x.reshape(shape[0] * groups, -1), eps=eps)


def weight_norms():
    for bias, mode in itertools.product([0, 1], ["train", "eval"]):
        wrapped = [("linear", (4, 3), lambda: nn.Linear(3, 5, bias=bool(bias))),
                   ("linear1", (2, 1), lambda: nn.Linear(1, 1, bias=bool(bias))),
                   ("conv", (2, 2, 4, 3), lambda: nn.Conv2d(2, 3, (3, 2), padding=1, bias=bool(bias))),
                   ("groups", (2, 4, 3, 3), lambda: nn.Conv2d(4, 2, 2, stride=2, groups=2, bias=bool(bias)))]
        for layer, shape, make in wrapped:
            tail = f"layer={layer} bias={bias} mode={mode}"
            case(f"weight_norm {tail}", nn.utils.weight_norm(make()), shape)
            case(f"spectral_norm {tail}", nn.utils.spectral_norm(make(), n_power_iterations=2), shape)


tracking_norms()
row_norms()
weight_norms()
print(len({name.split(":")[0] for name in file.tensors}), "cases")
file.save("norms.safetensors")
