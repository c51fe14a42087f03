#!/usr/bin/env python3
"""samples.py FOLDER: PyTorch's own test samples of the operations that Ballast has, for run_samples.

Writes FOLDER/samples.safetensors (inputs, a random gradient of the result, and what PyTorch computes in double: the
result and the gradients of the inputs) and FOLDER/samples.json, and prints how many samples use an option that Ballast
doesn't have. Needs torch, safetensors, numpy, expecttest and hypothesis from PyPI.
"""
import collections
import inspect
import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils._pytree import tree_map


class No(Exception):
    """An option that Ballast doesn't have."""


def need(condition, otherwise):
    if not condition:
        raise No(otherwise)


class Case:
    """A call of run_samples: operation, arguments (None where one isn't given), labels, options."""

    def __init__(self, op, arguments, labels=(), **options):
        self.op, self.labels, self.options = op, list(labels), options
        self.inputs = [x for x in arguments if x is not None]
        self.present = [x is not None for x in arguments]


# By PyTorch's name of an operation: its arguments, as PyTorch's samples give them -> Case. Raises No.
express = {}


def expresses(*names):
    def add(function):
        def call(name, args, kwargs):
            try:
                bound = inspect.signature(function).bind(name.split('.')[-1], *args, **kwargs)
            except TypeError as error:  # there is no such option
                raise No(str(error))
            return function(*bound.args, **bound.kwargs)
        for name in names:
            express[name] = call
        return function
    return add


def sizes(value, count=2):
    """One number for each of `count` axes."""
    value = list(value) if isinstance(value, (list, tuple)) else [value]
    return value * count if len(value) == 1 else value


@expresses('nn.functional.relu', 'nn.functional.silu', 'sigmoid', 'tanh', 'neg', 'exp', 'expm1', 'log', 'log1p', 'sqrt', 'erf', 'abs')
def unary(op, x, inplace=False):
    return Case(op, [x])


@expresses('add', 'sub', 'mul', 'div', 'maximum', 'minimum', 'lt', 'le', 'gt', 'ge', 'eq', 'ne')
def binary(op, x, y, alpha=1, rounding_mode=None):
    need(torch.is_tensor(y), 'a number as operand')
    need(alpha == 1, 'alpha')
    return Case(op, [x, y])


@expresses('nn.functional.leaky_relu')
def leaky_relu(op, x, negative_slope=0.01, inplace=False):
    return Case(op, [x], slope=negative_slope)


@expresses('nn.functional.elu')
def elu(op, x, alpha=1.0, inplace=False):
    return Case(op, [x], alpha=alpha)


@expresses('nn.functional.softplus')
def softplus(op, x, beta=1, threshold=20):
    return Case(op, [x], beta=beta, threshold=threshold)


@expresses('nn.functional.gelu')
def gelu(op, x, approximate='none'):
    return Case(op, [x], tanh=approximate == 'tanh')


@expresses('softmax', 'log_softmax')
def softmax(op, x, dim, dtype=None):
    need(x.dim() > 0, 'a scalar')
    need(dtype is None, 'dtype')
    return Case(op, [x], axis=dim)


@expresses('pow')
def power(op, x, exponent):
    need(not torch.is_tensor(exponent), 'exponents of a tensor')
    return Case(op, [x], exponent=float(exponent))


@expresses('clamp')
def clamp(op, x, min=None, max=None):
    need(not torch.is_tensor(min) and not torch.is_tensor(max), 'limits of tensors')
    return Case(op, [x], low=-1e400 if min is None else min, high=1e400 if max is None else max)


@expresses('where')
def where(op, x, condition, y):
    return Case(op, [condition, x, y])


@expresses('matmul', 'mm', 'bmm')
def matmul(op, a, b):
    need(a.dim() >= 2 and b.dim() >= 2, 'vectors')
    return Case('matmul', [a, b])


@expresses('nn.functional.linear')
def linear(op, x, weight, bias=None):
    need(weight.dim() == 2 and x.dim() >= 2, 'vectors')
    return Case(op, [x, weight, bias])


@expresses('nn.functional.conv1d', 'nn.functional.conv2d')
def conv(op, x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    need(x.dim() == weight.dim(), 'no batch axis')
    need(not isinstance(padding, str), 'padding by a word')
    axes = x.dim() - 2
    return Case(op, [x, weight, bias], stride=sizes(stride, axes), padding=sizes(padding, axes),
                dilation=sizes(dilation, axes), groups=groups)


@expresses('nn.functional.conv_transpose2d')
def conv_transpose(op, x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    need(x.dim() == 4, 'no batch axis')
    need(all(more < step for more, step in zip(sizes(output_padding), sizes(stride))), 'output_padding of the stride or more')
    return Case(op, [x, weight, bias], stride=sizes(stride), padding=sizes(padding),
                output_padding=sizes(output_padding), dilation=sizes(dilation), groups=groups)


def pooled(op, x, window, stride, padding, ceil_mode, include):
    need(x.dim() == 4, '3 axes')
    return Case(op, [x], window=sizes(window), stride=sizes(stride or window), padding=sizes(padding), ceil_mode=ceil_mode,
                include=include)


@expresses('nn.functional.max_pool2d')
def max_pool(op, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    need(sizes(dilation) == [1, 1], 'dilation')
    return pooled(op, x, kernel_size, stride, padding, ceil_mode, True)


@expresses('nn.functional.avg_pool2d')
def avg_pool(op, x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
    need(divisor_override is None, 'divisor_override')
    return pooled(op, x, kernel_size, stride, padding, ceil_mode, count_include_pad)


@expresses('nn.functional.adaptive_avg_pool2d')
def adaptive_pool(op, x, size):
    need(x.dim() == 4, '3 axes')
    need(None not in sizes(size), 'None as size')
    return Case(op, [x], size=sizes(size))


@expresses('nn.functional.cross_entropy')
def cross_entropy(op, x, target, weight=None, ignore_index=-100, reduction='mean', label_smoothing=0.0):
    need(x.dim() >= 2, 'no batch axis')
    if target.is_floating_point():
        need(x.dim() == 2, 'probabilities per position')
        need(weight is None, 'class weights beside probabilities')
        return Case('soft_cross_entropy', [x, target], smoothing=label_smoothing, reduction=reduction)
    return Case(op, [x, weight], [target], smoothing=label_smoothing, ignore=ignore_index, reduction=reduction)


@expresses('nn.functional.nll_loss')
def nll_loss(op, x, target, weight=None, ignore_index=-100, reduction='mean'):
    need(x.dim() >= 2, 'no batch axis')
    return Case(op, [x, weight], [target], ignore=ignore_index, reduction=reduction)


@expresses('nn.functional.binary_cross_entropy_with_logits', 'nn.functional.mse_loss', 'nn.functional.l1_loss',
           'nn.functional.huber_loss', 'nn.functional.kl_div')
def loss(op, x, target, reduction='mean', weight=None, log_target=False, delta=1.0, pos_weight=None):
    need(weight is None and pos_weight is None, 'weight')
    need(not log_target, 'log_target')
    need(reduction != 'batchmean', 'batchmean')
    return Case(op, [x, target], reduction=reduction, delta=delta)


@expresses('reshape')
def reshape(op, x, shape):
    return Case(op, [x], sizes=list(shape))


@expresses('flatten')
def flatten(op, x, start_dim=0, end_dim=-1):
    need(x.dim() > 0 and end_dim in (-1, x.dim() - 1), 'end_dim')
    return Case(op, [x], axis=start_dim)


@expresses('permute')
def permute(op, x, dims):
    need(x.dim() > 0, 'a scalar')
    return Case(op, [x], order=list(dims))


@expresses('transpose')
def transpose(op, x, a, b):
    need(x.dim() > 0, 'a scalar')
    return Case(op, [x], a=a, b=b)


@expresses('narrow')
def narrow(op, x, dim, start, length):
    begin = int(start) % max(x.shape[dim], 1) if int(start) < 0 else int(start)
    return Case(op, [x], axis=dim, begin=begin, end=begin + length)


@expresses('cat', 'stack')
def join(op, parts, dim=0):
    need(len({x.dim() for x in parts}) == 1, 'the old rule for (0)')
    return Case(op, parts, axis=dim)


@expresses('nn.functional.pad')
def pad(op, x, added, mode='constant', value=0):
    need(all(size >= 0 for size in added), 'negative sizes')
    return Case(op, [x], sizes=list(added), value=float(value or 0))


@expresses('split')
def split(op, x, size, dim=0):
    need(isinstance(size, int), 'a list of sizes')
    return Case(op, [x], size=size, axis=dim)


@expresses('index_select')
def index_select(op, x, dim, index):
    need(x.dim() > 0 and index.dim() == 1, 'a scalar')
    return Case('gather', [x], [index], axis=dim)


@expresses('nn.functional.embedding')
def embedding(op, index, weight, **options):
    need(not any(options.values()) and index.dim() == 1, 'options')
    return Case('gather', [weight], [index], axis=0)


@expresses('nn.functional.batch_norm')
def batch_norm(op, x, mean, var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    need((weight is None) == (bias is None), 'a bias without a weight')
    need(0 <= momentum <= 1, 'a momentum beyond 0 to 1')
    need(x.dim() > 1, 'no batch axis')
    return Case(op, [x, mean, var, weight, bias], training=training, momentum=momentum, eps=eps)


@expresses('nn.functional.instance_norm')
def instance_norm(op, x, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5):
    need(use_input_stats, 'running statistics in evaluation')
    return Case(op, [x, weight, bias], eps=eps)


@expresses('nn.functional.layer_norm')
def layer_norm(op, x, shape, weight=None, bias=None, eps=1e-5):
    need((weight is None) == (bias is None), 'a bias without a weight')
    need(eps > 0, 'eps below 0')
    need(x.shape[-len(shape):].numel() != 1, 'a norm over one value')
    return Case(op, [x, weight, bias], axes=len(shape), eps=eps)


@expresses('nn.functional.rms_norm')
def rms_norm(op, x, shape, weight=None, eps=None):
    need(eps is None or eps > 0, 'eps below 0')
    need(x.shape[-len(shape):].numel() != 1, 'a norm over one value')
    return Case(op, [x, weight], axes=len(shape), eps=eps)


@expresses('nn.functional.group_norm')
def group_norm(op, x, groups, weight=None, bias=None, eps=1e-5):
    need((weight is None) == (bias is None), 'a bias without a weight')
    need(eps > 0, 'eps below 0')
    return Case(op, [x, weight, bias], groups=groups, eps=eps)


@expresses('sum', 'mean', 'amax', 'amin', 'var')
def reduction(op, x, dim=None, keepdim=False, dtype=None, correction=None):
    need(dtype is None, 'dtype')
    need(correction is None or isinstance(correction, int), 'a correction that is not whole')
    axes = [] if dim is None else list(dim) if isinstance(dim, (list, tuple)) else [dim]
    need(x.dim() > 0 or not axes, 'an axis of a scalar')
    need(axes or not keepdim, 'keepdim without axes')
    return Case(op, [x], axes=axes, keep=keepdim, correction=1 if correction is None else correction)


def differentiable(info, sample):
    """The sample's arguments with numbers that float holds too, taking gradients where PyTorch gives them."""
    def leaf(x):
        if not torch.is_tensor(x) or not x.is_floating_point():
            return x
        return x.detach().float().double().requires_grad_()

    first, args, kwargs = tree_map(leaf, (sample.input, sample.args, sample.kwargs))
    constant = {'running_mean', 'running_var'}
    if 'entropy' in info.name or 'loss' in info.name:
        constant.add('weight')
    for name in constant & {k for k, v in kwargs.items() if torch.is_tensor(v)}:
        # Weights of classes are random numbers in the samples; only their absolute values make sense.
        kwargs[name] = kwargs[name].detach().abs() if name == 'weight' else kwargs[name].detach()
    if info.name == 'nn.functional.batch_norm':  # mean and variance
        args = tuple(x.detach() if i < 2 and x is not None else x for i, x in enumerate(args))
    return (first, *args), kwargs


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    tensors, cases, refused = {}, [], collections.Counter()
    for info in op_db:
        if info.name not in express or info.variant_test_name not in ('', 'constant', 'no_rounding_mode'):
            continue
        for sample in info.sample_inputs('cpu', torch.float64, requires_grad=False):
            args, kwargs = differentiable(info, sample)
            try:
                case = express[info.name](info.name, args, kwargs)
            except No as reason:
                refused[f'{info.name}: {reason}'] += 1
                continue
            y = info.op(*args, **kwargs)
            y = y[0] if isinstance(y, (tuple, list)) else y
            dy = torch.randn(y.shape, dtype=torch.float64).float().double()
            wanted = {f'g{i}': x for i, x in enumerate(case.inputs) if x.requires_grad} if y.requires_grad else {}
            gradients = torch.autograd.grad(y, list(wanted.values()), dy, allow_unused=True) if wanted else []
            found = {'y': y, 'dy': dy, **{name: g for name, g in zip(wanted, gradients) if g is not None}}
            found.update((f'x{i}', x) for i, x in enumerate(case.inputs))
            number = f'{len(cases):05}'
            for name, x in found.items():
                tensors[f'{number}.{name}'] = x.detach().double().contiguous().clone()
            for i, labels in enumerate(case.labels):
                tensors[f'{number}.labels{i}'] = labels.reshape(-1).clone()
            cases.append({'name': info.name, 'op': case.op, 'inputs': len(case.inputs), 'present': case.present,
                          'labels': len(case.labels), 'options': case.options})
    save_file(tensors, folder / 'samples.safetensors')
    (folder / 'samples.json').write_text(json.dumps(cases).replace('Infinity', '1e400'))
    print(f"{len(cases)} samples; {sum(refused.values())} use what Ballast does not have:")
    for reason, count in sorted(refused.items()):
        print(f'  {count:5} {reason}')


main(pathlib.Path(sys.argv[1]))
