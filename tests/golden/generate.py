#!/usr/bin/python3
"""Writes the golden files beside it: what PyTorch computes, in double, for every layer, loss, optimizer and
schedule. Run once with python3-torch (1.13), and with the argument `sequences` by PyTorch 2; nothing that is
built or tested needs it.

Inputs are representable in single precision, so that both builds of Ballast start from the same values. A
case is all tensors whose names begin with "<case>:"; the C++ tests hold the same cases under the same names.
"scale:<tensor>" in the metadata is the largest term that goes into a tensor, where that isn't simply its
largest element: what errors are measured by.
"""
import json
import pathlib
import struct
import sys
import zlib

import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import lr_scheduler

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
folder = pathlib.Path(__file__).parent


class File:
    """A safetensors file: tensors that single precision holds exactly are stored in it."""

    def __init__(self):
        self.tensors, self.metadata = {}, {}

    def add(self, name, tensor, scale=None):
        tensor = tensor.detach().clone()
        if tensor.is_floating_point() and torch.equal(tensor.float().double(), tensor):
            tensor = tensor.float()
        assert name not in self.tensors
        self.tensors[name] = tensor
        if scale is not None:
            self.metadata["scale:" + name] = repr(float(scale))

    def save(self, name):
        types = {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64"}
        header, data = {"__metadata__": self.metadata}, b""
        for key, tensor in sorted(self.tensors.items(), key=lambda item: -item[1].element_size()):
            encoded = tensor.contiguous().numpy().tobytes()
            header[key] = {"dtype": types[tensor.dtype], "shape": list(tensor.shape),
                           "data_offsets": [len(data), len(data) + len(encoded)]}
            data += encoded
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        (folder / name).write_bytes(struct.pack("<Q", len(text)) + text + data)


class Source:
    """Random values for one case, the same whatever other cases there are."""

    def __init__(self, case):
        self.generator = torch.Generator().manual_seed(zlib.crc32(case.encode()))

    def normal(self, *shape, std=1.0):
        return (torch.randn(*shape, generator=self.generator) * std).float().double()

    def uniform(self, *shape, low=0.0, high=1.0):
        return (low + (high - low) * torch.rand(*shape, generator=self.generator)).float().double()

    def labels(self, count, classes):
        return torch.randint(classes, (count,), generator=self.generator)


# Layers ------------------------------------------------------------------------------------------------


def smallest_sigma(module, x):
    """The smallest standard deviation a norm divides by."""
    if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
        rows = x.transpose(0, 1).flatten(1)
    elif isinstance(module, nn.LayerNorm):
        rows = x.reshape(-1, module.weight.numel() if module.elementwise_affine else
                         torch.Size(module.normalized_shape).numel())
    elif isinstance(module, nn.GroupNorm):
        rows = x.reshape(x.shape[0] * module.num_groups, -1)
    else:
        rows = x.flatten(0, 1).flatten(1)
    variance = rows.var(1, unbiased=False)
    if not module.training and getattr(module, "running_var", None) is not None:
        variance = module.running_var
    return (variance.min() + module.eps).sqrt()


def is_norm(module):
    return isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm2d))


def layer(file, case, module, *shape, std=1.0, call=lambda module, x: module(x)):
    """`module` forward and backward; in evaluation mode where the case's name ends with "eval"."""
    source = Source(case)
    module.train(not case.endswith("eval"))
    x = source.normal(*shape, std=std).requires_grad_()
    for name, value in module.state_dict().items():
        if name.endswith("num_batches_tracked"):
            value.fill_(3)
        elif name.endswith("running_var"):
            value.copy_(source.uniform(*value.shape, low=0.5, high=2.0))
        else:
            value.copy_(source.normal(*value.shape, std=0.7))
        file.add(f"{case}:{name}", value)
    dx_scale = weight_scale = None
    if is_norm(module):
        weight_scale = 1.0
        weight = getattr(module, "weight", None)
        dx_scale = (1.0 if weight is None else weight.abs().max()) / smallest_sigma(module, x)
    y = call(module, x)
    dy = source.normal(*y.shape)
    y.backward(dy)
    if isinstance(module, (nn.Softmax, nn.LogSoftmax)):
        dx_scale = 1.0
    file.add(f"{case}:x", x)
    file.add(f"{case}:dy", dy)
    file.add(f"{case}:y", y)
    file.add(f"{case}:dx", x.grad, dx_scale and dx_scale * dy.abs().max())
    for name, parameter in module.named_parameters():
        file.add(f"{case}:grad:{name}", parameter.grad, weight_scale and weight_scale * dy.abs().max())
    for name, buffer in module.named_buffers():
        if isinstance(module, nn.InstanceNorm2d) and name == "num_batches_tracked":
            buffer = buffer + module.training  # PyTorch leaves it; Ballast's cumulative average needs the count
        file.add(f"{case}:after:{name}", buffer)


class Residual(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, x):
        return x + self.body(x)


def layers():
    file = File()

    layer(file, "linear", nn.Linear(5, 3), 4, 5)
    layer(file, "linear/no_bias", nn.Linear(7, 4, bias=False), 6, 7)
    layer(file, "linear/leading_axes", nn.Linear(5, 3), 2, 3, 5)
    layer(file, "linear/one", nn.Linear(1, 1), 1, 1)

    layer(file, "conv2d", nn.Conv2d(2, 3, 3), 2, 2, 6, 5)
    layer(file, "conv2d/no_bias", nn.Conv2d(3, 2, 3, padding=1, bias=False), 2, 3, 4, 5)
    layer(file, "conv2d/pointwise", nn.Conv2d(3, 4, 1), 2, 3, 3, 4)
    layer(file, "conv2d/stride", nn.Conv2d(2, 3, 3, stride=2), 2, 2, 7, 6)
    layer(file, "conv2d/padding", nn.Conv2d(2, 3, (3, 2), padding=(2, 1)), 2, 2, 4, 5)
    layer(file, "conv2d/dilation", nn.Conv2d(2, 2, 3, dilation=(2, 1)), 2, 2, 7, 5)
    layer(file, "conv2d/groups", nn.Conv2d(4, 6, 3, padding=1, groups=2), 2, 4, 4, 4)
    layer(file, "conv2d/depthwise", nn.Conv2d(3, 3, 3, padding=1, groups=3), 2, 3, 4, 4)
    layer(file, "conv2d/all", nn.Conv2d(4, 4, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2,
                                        bias=False), 2, 4, 7, 4)

    layer(file, "conv1d", nn.Conv1d(2, 3, 3), 2, 2, 8)
    layer(file, "conv1d/stride_padding", nn.Conv1d(3, 2, 4, stride=2, padding=1), 2, 3, 9)
    layer(file, "conv1d/dilation", nn.Conv1d(2, 2, 3, dilation=3, bias=False), 2, 2, 10)
    layer(file, "conv1d/groups", nn.Conv1d(4, 6, 3, padding=1, groups=2), 2, 4, 7)

    layer(file, "max_pool2d", nn.MaxPool2d(2), 2, 2, 6, 5)
    layer(file, "max_pool2d/overlapping", nn.MaxPool2d(3, stride=2, padding=1), 2, 2, 6, 7)
    layer(file, "max_pool2d/rectangular", nn.MaxPool2d((3, 1), stride=(1, 2), padding=(1, 0)), 2, 2, 5, 6)
    layer(file, "avg_pool2d", nn.AvgPool2d(2), 2, 2, 6, 5)
    layer(file, "avg_pool2d/overlapping", nn.AvgPool2d(3, stride=2, padding=1), 2, 2, 6, 7)
    layer(file, "avg_pool2d/rectangular", nn.AvgPool2d((3, 1), stride=(1, 2), padding=(1, 0)), 2, 2, 5, 6)
    layer(file, "max_pool1d", nn.MaxPool1d(2), 2, 3, 9)
    layer(file, "max_pool1d/overlapping", nn.MaxPool1d(3, stride=2, padding=1), 2, 3, 8)
    layer(file, "avg_pool1d", nn.AvgPool1d(2), 2, 3, 9)
    layer(file, "avg_pool1d/overlapping", nn.AvgPool1d(3, stride=2, padding=1), 2, 3, 8)
    layer(file, "global_avg_pool", nn.AdaptiveAvgPool2d(1), 2, 3, 4, 5)

    for name, module in [("relu", nn.ReLU()), ("leaky_relu", nn.LeakyReLU()), ("leaky_relu/slope", nn.LeakyReLU(0.2)),
                         ("sigmoid", nn.Sigmoid()), ("tanh", nn.Tanh()), ("silu", nn.SiLU()), ("gelu", nn.GELU()),
                         ("softmax", nn.Softmax(-1)), ("log_softmax", nn.LogSoftmax(-1))]:
        layer(file, name, module, 4, 12, std=3.0)
    layer(file, "softmax/axis_1", nn.Softmax(1), 2, 5, 3)
    layer(file, "log_softmax/axis_1", nn.LogSoftmax(1), 2, 5, 3)
    layer(file, "flatten", nn.Flatten(), 2, 3, 2, 2)

    for mode in ["", "/eval"]:
        layer(file, "batch_norm1d" + mode, nn.BatchNorm1d(4), 6, 4)
        layer(file, "batch_norm1d/length" + mode, nn.BatchNorm1d(3), 2, 3, 5)
        layer(file, "batch_norm1d/no_affine" + mode, nn.BatchNorm1d(4, affine=False), 6, 4)
        layer(file, "batch_norm1d/no_tracking" + mode, nn.BatchNorm1d(4, track_running_stats=False), 6, 4)
        layer(file, "batch_norm2d" + mode, nn.BatchNorm2d(3), 3, 3, 4, 2)
        layer(file, "batch_norm2d/no_affine" + mode, nn.BatchNorm2d(3, affine=False), 3, 3, 2, 3)
        layer(file, "batch_norm2d/plain" + mode, nn.BatchNorm2d(3, affine=False, track_running_stats=False), 2, 3, 3, 3)
        layer(file, "instance_norm2d/tracking" + mode, nn.InstanceNorm2d(3, track_running_stats=True), 2, 3, 4, 2)
        layer(file, "instance_norm2d/all" + mode,
              nn.InstanceNorm2d(3, eps=1e-2, momentum=0.3, affine=True, track_running_stats=True), 2, 3, 3, 3)
    layer(file, "batch_norm1d/momentum", nn.BatchNorm1d(4, momentum=0.3), 6, 4)
    layer(file, "batch_norm1d/cumulative", nn.BatchNorm1d(4, momentum=None), 6, 4)
    layer(file, "batch_norm1d/two_samples", nn.BatchNorm1d(4), 2, 4)
    layer(file, "batch_norm2d/eps", nn.BatchNorm2d(3, eps=0.1), 2, 3, 3, 3)
    layer(file, "batch_norm2d/one_sample", nn.BatchNorm2d(3), 1, 3, 3, 3)

    layer(file, "layer_norm", nn.LayerNorm(8), 4, 8)
    layer(file, "layer_norm/leading_axes", nn.LayerNorm(5), 2, 3, 5)
    layer(file, "layer_norm/two_axes", nn.LayerNorm([3, 4]), 3, 3, 4)
    layer(file, "layer_norm/three_axes", nn.LayerNorm([3, 2, 3]), 2, 3, 2, 3)
    layer(file, "layer_norm/no_affine", nn.LayerNorm(8, elementwise_affine=False), 4, 8)
    layer(file, "layer_norm/eps", nn.LayerNorm(8, eps=0.1), 4, 8)
    layer(file, "layer_norm/two_values", nn.LayerNorm(2), 5, 2)

    layer(file, "group_norm", nn.GroupNorm(2, 4), 2, 4, 3, 2)
    layer(file, "group_norm/one_group", nn.GroupNorm(1, 4), 2, 4, 3, 2)
    layer(file, "group_norm/group_per_channel", nn.GroupNorm(4, 4), 2, 4, 3, 2)
    layer(file, "group_norm/no_affine", nn.GroupNorm(2, 6, affine=False), 2, 6, 4)
    layer(file, "group_norm/vectors", nn.GroupNorm(2, 6), 3, 6)
    layer(file, "group_norm/eps", nn.GroupNorm(2, 4, eps=0.1), 2, 4, 3, 2)

    layer(file, "instance_norm2d", nn.InstanceNorm2d(3), 2, 3, 4, 2)
    layer(file, "instance_norm2d/affine", nn.InstanceNorm2d(3, affine=True), 2, 3, 3, 3)
    layer(file, "instance_norm2d/eps", nn.InstanceNorm2d(3, eps=0.1), 2, 3, 3, 3)

    def mlp():
        return nn.Sequential(nn.Linear(6, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))

    def cnn():
        return nn.Sequential(nn.Conv2d(1, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2),
                             Residual(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.SiLU())), nn.AvgPool2d(2),
                             nn.Flatten(), nn.Linear(12, 4))
    for mode in ["", "/eval"]:
        layer(file, "mlp" + mode, mlp(), 8, 6)
        layer(file, "cnn" + mode, cnn(), 3, 1, 8, 8)
    file.save("layers.safetensors")


def recurrent(kind, *sizes, **options):
    return kind(*sizes, batch_first=True, **options)


def padded(file, case, module, *shape, lengths, call):
    """`call(module, x, lengths)` gives named results; those that aren't integers get a gradient each."""
    source = Source(case)
    x = source.normal(*shape).requires_grad_()
    for name, value in module.state_dict().items():
        value.copy_(source.normal(*value.shape, std=0.7))
        file.add(f"{case}:{name}", value)
    results = call(module, x, torch.tensor(lengths))
    total = 0
    for name, y in results.items():
        dy = source.normal(*y.shape)
        total = total + (y * dy).sum()
        file.add(f"{case}:{name}", y)
        file.add(f"{case}:d{name}", dy)
    total.backward()
    file.add(f"{case}:x", x)
    file.add(f"{case}:lengths", torch.tensor(lengths))
    file.add(f"{case}:dx", x.grad)
    for name, parameter in module.named_parameters():
        file.add(f"{case}:grad:{name}", parameter.grad)


def packed(module, x, lengths):
    sequence = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    y, last = module(sequence)
    y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
    return {"y": y, "h": last[0], "c": last[1]} if isinstance(last, tuple) else {"y": y, "h": last}


def sequences():
    """Recurrent layers, attention, and what else came after the other files."""
    file = File()
    first = lambda module, x: module(x)[0]
    layer(file, "rnn", recurrent(nn.RNN, 4, 3), 2, 5, 4, call=first)
    layer(file, "gru", recurrent(nn.GRU, 4, 3), 2, 5, 4, call=first)
    layer(file, "gru/layers", recurrent(nn.GRU, 3, 5, num_layers=3, bidirectional=True), 3, 4, 3, call=first)
    layer(file, "lstm", recurrent(nn.LSTM, 4, 3), 2, 5, 4, call=first)
    layer(file, "lstm/no_bias", recurrent(nn.LSTM, 4, 3, bias=False), 2, 5, 4, call=first)
    layer(file, "lstm/layers", recurrent(nn.LSTM, 3, 9, num_layers=2, bidirectional=True), 3, 4, 3, call=first)
    for name, kind in [("rnn", nn.RNN), ("gru", nn.GRU), ("lstm", nn.LSTM)]:
        padded(file, name + "/padded", recurrent(kind, 3, 4, num_layers=2, bidirectional=True), 3, 6, 3,
               lengths=[4, 6, 1], call=packed)

    def attention(module, x, mask=None):
        return module(x, x, x, need_weights=False, attn_mask=mask)[0]

    def no_keys_after(lengths, size):
        return torch.arange(size) >= lengths[:, None]
    causal = nn.Transformer.generate_square_subsequent_mask(5).double()
    layer(file, "attention", nn.MultiheadAttention(8, 2, batch_first=True), 2, 5, 8, call=attention)
    layer(file, "attention/no_bias", nn.MultiheadAttention(6, 3, bias=False, batch_first=True), 2, 5, 6,
          call=attention)
    layer(file, "attention/causal", nn.MultiheadAttention(8, 4, batch_first=True), 2, 5, 8,
          call=lambda module, x: attention(module, x, causal))
    layer(file, "attention/long", nn.MultiheadAttention(4, 1, batch_first=True), 1, 150, 4, call=attention)
    padded(file, "attention/padded", nn.MultiheadAttention(8, 2, batch_first=True), 3, 6, 8, lengths=[4, 6, 1],
           call=lambda module, x, lengths: {"y": module(
               x, x, x, need_weights=False, key_padding_mask=no_keys_after(lengths, 6))[0]})
    encoder = dict(dim_feedforward=12, dropout=0.0, batch_first=True)
    layer(file, "encoder", nn.TransformerEncoderLayer(8, 2, **encoder), 2, 5, 8)
    layer(file, "encoder/norm_first", nn.TransformerEncoderLayer(8, 2, norm_first=True, **encoder), 2, 5, 8)
    layer(file, "encoder/gelu", nn.TransformerEncoderLayer(8, 4, activation="gelu", **encoder), 2, 5, 8)

    layer(file, "conv_transpose2d", nn.ConvTranspose2d(2, 3, 3), 2, 2, 4, 5)
    layer(file, "conv_transpose2d/stride", nn.ConvTranspose2d(3, 2, 4, stride=2, padding=1, bias=False), 2, 3, 4, 5)
    layer(file, "conv_transpose2d/all", nn.ConvTranspose2d(4, 6, (3, 2), stride=(2, 3), padding=(1, 0),
                                                           output_padding=(1, 2), dilation=(2, 1), groups=2),
          2, 4, 4, 3)
    layer(file, "upsample", nn.Upsample(scale_factor=2), 2, 3, 3, 4)
    layer(file, "upsample/bilinear", nn.Upsample(scale_factor=(3, 2), mode="bilinear"), 2, 2, 3, 4)
    layer(file, "adaptive_avg_pool2d", nn.AdaptiveAvgPool2d((3, 2)), 2, 2, 7, 5)
    layer(file, "adaptive_avg_pool2d/divides", nn.AdaptiveAvgPool2d((3, 2)), 2, 2, 6, 4)
    layer(file, "max_pool2d/ceil", nn.MaxPool2d(2, ceil_mode=True), 2, 2, 5, 7)
    layer(file, "max_pool2d/ceil_padding", nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True), 2, 2, 6, 5)
    layer(file, "avg_pool2d/ceil", nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True), 2, 2, 6, 5)
    layer(file, "avg_pool2d/ceil_beyond", nn.AvgPool2d(2, stride=3, padding=1, ceil_mode=True), 2, 2, 5, 7)
    layer(file, "avg_pool2d/no_padding", nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True,
                                                      count_include_pad=False), 2, 2, 6, 5)
    layer(file, "elu", nn.ELU(1.5), 4, 12, std=3.0)
    layer(file, "softplus", nn.Softplus(), 4, 12, std=9.0)
    file.save("sequences.safetensors")


def formula(shape, factor):
    """Numbers that need not be stored."""
    i = torch.arange(torch.Size(shape).numel())
    return (torch.sin(i.double() * factor) + torch.cos(0.01 * (i * i % 1009).double())).reshape(shape)


def coming_from():
    """What docs/coming-from.md's lines of Python compute."""
    file = File()

    def with_formula(model):
        for parameter in model.parameters():
            parameter.data.copy_(formula(parameter.shape, 0.7) * 0.2)
        return model

    def both_modes(case, model, *shape):
        file.add(case + ":train", with_formula(model).train()(formula(shape, 0.3)))
        file.add(case + ":eval", model.eval()(formula(shape, 0.3)))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3, padding=1, bias=False)
            self.bn = nn.BatchNorm2d(4)
            self.fc = nn.Linear(4 * 4 * 4, 3)

        def forward(self, x):
            x = F.max_pool2d(F.relu(self.bn(self.conv(x))), 2)
            return self.fc(torch.flatten(x, 1))

    both_modes("mlp", nn.Sequential(nn.Linear(784, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Linear(256, 10)), 6, 784)
    both_modes("cnn", Net(), 5, 1, 8, 8)
    # Keras's defaults in PyTorch's terms.
    both_modes("keras", nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8, eps=1e-3, momentum=0.01), nn.ReLU(),
                                      nn.Linear(8, 3), nn.Softmax(-1)), 4, 5)

    model, x, y = with_formula(Net()), formula((5, 1, 8, 8), 0.3), torch.tensor([0, 1, 2, 0, 1])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model.train()
    for _ in range(3):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        file.add("trained:logits", model(x))

    model = with_formula(Net())
    for p in model.conv.parameters():
        p.requires_grad_(False)
    optimizer = torch.optim.AdamW([{"params": model.bn.parameters()}, {"params": model.fc.parameters(), "lr": 0.01}],
                                  lr=0.001, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    file.add("fine_tuned:logits", model.eval()(x))
    file.save("coming_from.safetensors")


# Losses ------------------------------------------------------------------------------------------------


def loss(file, case, function, x, targets):
    x.requires_grad_()
    y = function(x, targets)
    y.backward()
    file.add(f"{case}:x", x)
    file.add(f"{case}:targets", targets)
    file.add(f"{case}:y", y)
    file.add(f"{case}:dx", x.grad, 1 / x.numel() if case.startswith("binary") else None)


def losses():
    file = File()
    for name, smoothing, samples, classes, std in [
            ("", 0.0, 6, 5, 1.0), ("/smoothing", 0.1, 6, 5, 1.0), ("/full_smoothing", 1.0, 4, 3, 1.0),
            ("/one_sample", 0.0, 1, 7, 1.0), ("/one_class", 0.0, 3, 1, 1.0), ("/two_classes", 0.3, 5, 2, 1.0),
            ("/large_logits", 0.0, 6, 5, 100.0), ("/large_smoothing", 0.1, 6, 5, 100.0)]:
        case = "cross_entropy" + name
        source = Source(case)
        loss(file, case, lambda x, t: F.cross_entropy(x, t, label_smoothing=smoothing),
             source.normal(samples, classes, std=std), source.labels(samples, classes))
    for name, shape, std in [("", (6, 4), 1.0), ("/one", (1,), 1.0), ("/large_logits", (5, 5), 50.0)]:
        source = Source("bce" + name)
        loss(file, "binary_cross_entropy" + name, F.binary_cross_entropy_with_logits, source.normal(*shape, std=std),
             source.uniform(*shape))
    for name, function in [("mse", F.mse_loss), ("l1", F.l1_loss), ("huber", F.huber_loss),
                           ("huber/delta", lambda x, t: F.huber_loss(x, t, delta=0.25))]:
        source = Source(name)
        loss(file, name, function, source.normal(4, 3, 2, std=1.5), source.normal(4, 3, 2))
    file.save("losses.safetensors")


# Optimizers --------------------------------------------------------------------------------------------

steps = 100
recorded = [1, 2, 10, 100]


def optimizers(later=False):
    """100 steps over the same gradients; `part.rare` gets one in every third step only. `later` makes the file of
    the optimizers that came after the others."""
    file = File()
    source = Source("optimizers")
    shapes = {"weight": (3, 4), "bias": (3,), "part.rare": (2, 2)}
    start = {name: source.normal(*shape) for name, shape in shapes.items()}
    # Of very different sizes, as gradients are; some exactly 0.
    gradients = {name: (source.normal(steps, *shape) * 10 ** source.uniform(*shape, low=-3, high=1)).float().double()
                 for name, shape in shapes.items()}
    gradients["weight"][::7, 0] = 0
    for name in shapes:
        file.add(f"start:{name}", start[name])
        file.add(f"gradient:{name}", gradients[name])

    def run(case, optimizer_type, bias=None, part=None, drop_lr_at=None, clip_value=None, **options):
        """`bias` and `part` are options for these parameters alone."""
        parameters = {name: nn.Parameter(value.clone()) for name, value in start.items()}
        optimizer = optimizer_type([{"params": parameters["weight"]}, {"params": parameters["bias"], **(bias or {})},
                                    {"params": parameters["part.rare"], **(part or {})}], **options)
        for step in range(1, steps + 1):
            if step == drop_lr_at:
                for group in optimizer.param_groups:
                    group["lr"] /= 10
            for name, parameter in parameters.items():
                skipped = name == "part.rare" and step % 3 != 1
                parameter.grad = None if skipped else gradients[name][step - 1].clone()
            if clip_value:
                nn.utils.clip_grad_value_(parameters.values(), clip_value)
            optimizer.step()
            if step in recorded:
                for name, parameter in parameters.items():
                    file.add(f"{case}:{step}:{name}", parameter)

    if later:
        rmsprop, adam, adamw = torch.optim.RMSprop, torch.optim.Adam, torch.optim.AdamW
        run("rmsprop", rmsprop, lr=0.01)
        run("rmsprop/momentum", rmsprop, lr=0.01, alpha=0.9, momentum=0.9, eps=1e-3)
        run("rmsprop/all", rmsprop, part={"lr": 0.05}, lr=0.01, alpha=0.8, momentum=0.5, weight_decay=0.1)
        run("adam/amsgrad", adam, lr=0.01, amsgrad=True, betas=(0.5, 0.9), weight_decay=0.1)
        run("adamw/amsgrad", adamw, lr=0.01, amsgrad=True, weight_decay=0.1)
        return file.save("optimizers_later.safetensors")
    sgd, adam, adamw = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW
    run("sgd", sgd, lr=0.01)
    run("sgd/decay", sgd, lr=0.01, weight_decay=0.1)
    run("sgd/momentum", sgd, lr=0.01, momentum=0.9)
    run("sgd/dampening", sgd, lr=0.01, momentum=0.9, dampening=0.4)
    run("sgd/nesterov", sgd, lr=0.01, momentum=0.9, nesterov=True)
    run("sgd/momentum_decay", sgd, lr=0.01, momentum=0.8, weight_decay=0.1)
    run("sgd/dampening_decay", sgd, lr=0.01, momentum=0.8, dampening=0.9, weight_decay=0.1)
    run("sgd/nesterov_decay", sgd, lr=0.01, momentum=0.8, nesterov=True, weight_decay=0.1)
    run("sgd/weights_only", sgd, bias={"weight_decay": 0.0}, lr=0.01, momentum=0.9, weight_decay=0.1)
    run("sgd/lr_drop", sgd, drop_lr_at=6, lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.1)
    run("sgd/clip_value", sgd, clip_value=0.5, lr=0.1)
    for name, optimizer in [("adam", adam), ("adamw", adamw)]:
        run(name, optimizer, lr=0.01, weight_decay=0.0)
        run(name + "/decay", optimizer, lr=0.01, weight_decay=0.1)
        run(name + "/betas", optimizer, lr=0.01, weight_decay=0.0, betas=(0.5, 0.9))
        run(name + "/no_betas", optimizer, lr=0.01, weight_decay=0.0, betas=(0.0, 0.0))
        run(name + "/eps", optimizer, lr=0.01, weight_decay=0.0, eps=0.1)
        run(name + "/all", optimizer, lr=0.03, weight_decay=0.2, betas=(0.8, 0.95), eps=1e-3)
        run(name + "/weights_only", optimizer, bias={"weight_decay": 0.0}, lr=0.01, weight_decay=0.1)
        run(name + "/group", optimizer, part={"lr": 0.05, "weight_decay": 0.3}, lr=0.01, weight_decay=0.1)
        run(name + "/lr_drop", optimizer, drop_lr_at=6, lr=0.01, weight_decay=0.1)
    file.save("optimizers.safetensors")


# Schedules ---------------------------------------------------------------------------------------------


def schedules():
    """The learning rate used in each of 60 steps, for a peak of 0.1."""
    file = File()

    def record(case, make):
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
        scheduler = make(optimizer)
        rates = []
        for _ in range(60):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if len(rates) < 60:
                scheduler.step()
        file.add(case, torch.tensor(rates, dtype=torch.float64))

    def warmed_up(after):
        # 1/10, 2/10, ..., 10/10, then `after` from its own beginning.
        return lambda o: lr_scheduler.SequentialLR(
            o, [lr_scheduler.LinearLR(o, start_factor=0.1, total_iters=9), after(o)], milestones=[10])

    record("step", lambda o: lr_scheduler.StepLR(o, 20, gamma=0.1))
    record("step/gamma", lambda o: lr_scheduler.StepLR(o, 7, gamma=0.5))
    record("cosine", lambda o: lr_scheduler.CosineAnnealingLR(o, 60))
    record("cosine/floor", lambda o: lr_scheduler.CosineAnnealingLR(o, 60, eta_min=0.02))
    record("one_cycle", lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=60, cycle_momentum=False))
    record("one_cycle/options", lambda o: lr_scheduler.OneCycleLR(
        o, 0.1, total_steps=60, pct_start=0.5, div_factor=10, final_div_factor=100, cycle_momentum=False))
    record("warm_up/constant", warmed_up(lambda o: lr_scheduler.ConstantLR(o, factor=1, total_iters=0)))
    record("warm_up/cosine", warmed_up(lambda o: lr_scheduler.CosineAnnealingLR(o, 50)))
    file.save("schedules.safetensors")


if __name__ == "__main__":
    if sys.argv[1:] == ["sequences"]:
        sequences()
        optimizers(later=True)
        coming_from()
    else:
        layers()
        losses()
        optimizers()
        schedules()
