#!/usr/bin/env python3
"""The figures of PyTorch that `ballast experiment` gives beside lines that don't hold.

    reference.py bn-mnist|batch-size MNIST_FOLDER

bn-mnist: five seeds, 15,000 steps: how far the median of the first sigmoid's input goes, and in how many of the layer's
100 sigmoids it stays within 0.5 of 0. batch-size: the test error of the MLP with layer normalization, three seeds per
batch size.
"""
import glob
import gzip
import sys

import numpy
import torch
from torch import nn
from torch.nn.functional import cross_entropy

torch.set_num_threads(1)


def read(folder, name):
    path = glob.glob(f"{folder}/{name}*")[0]
    with gzip.open(path) if path.endswith(".gz") else open(path, "rb") as file:
        return torch.from_numpy(numpy.frombuffer(file.read(), numpy.uint8, offset=16 if "images" in name else 8).copy())


def mnist(folder):
    train, test = (read(folder, f"{part}-images").view(-1, 784).float() / 255 for part in ("train", "t10k"))
    return train, read(folder, "train-labels").long(), test, read(folder, "t10k-labels").long()


def step(net, optimizer, x, y):
    loss = cross_entropy(net(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def bn_mnist(folder):
    train, labels, test, _ = mnist(folder)
    train, seen = (train > 0.5).float(), (test[:1000] > 0.5).float()
    for seed in range(5):
        torch.manual_seed(seed)
        layers, width = [], 784
        for _ in range(3):
            layers += [nn.Linear(width, 100), nn.BatchNorm1d(100), nn.Sigmoid()]
            width = 100
        net = nn.Sequential(*layers, nn.Linear(100, 10))
        for layer in net:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, 0, 0.05)
                nn.init.zeros_(layer.bias)
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        shuffle = torch.Generator().manual_seed(seed)
        farthest = torch.zeros(100)
        for at in range(15_000):
            if at % 1000 == 0:
                order = torch.randperm(60_000, generator=shuffle)
            if at in (100, 300) or at and at % 250 == 0:
                net.eval()
                with torch.no_grad():
                    farthest = torch.maximum(farthest, net[:8](seen).median(0).values.abs())
                net.train()
            batch = order[at % 1000 * 60 :][:60]
            step(net, optimizer, train[batch], labels[batch])
        print(f"seed {seed}: first sigmoid {farthest[0]:.3f}, within 0.5: {int((farthest <= 0.5).sum())} %", flush=True)


def batch_size(folder):
    train, labels, test, test_labels = mnist(folder)
    mean, deviation = train.mean(), train.std()
    train, test = (train[:10_000] - mean) / deviation, (test - mean) / deviation
    for size in (128, 32, 8, 4, 2):
        errors = []
        for seed in range(3):
            torch.manual_seed(seed)
            net = nn.Sequential(nn.Linear(784, 256), nn.LayerNorm(256), nn.ReLU(),
                                nn.Linear(256, 256), nn.LayerNorm(256), nn.ReLU(), nn.Linear(256, 10))
            for layer in net:
                if isinstance(layer, nn.Linear):
                    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                    nn.init.zeros_(layer.bias)
            rate, an_epoch = 0.1 * size / 128, 10_000 // size
            optimizer = torch.optim.SGD(net.parameters(), rate, momentum=0.9)
            for at in range(2 * an_epoch):
                if at % an_epoch == 0:
                    order = torch.randperm(10_000)
                for group in optimizer.param_groups:
                    group["lr"] = rate * (1 - at / (2 * an_epoch))
                batch = order[at % an_epoch * size :][:size]
                step(net, optimizer, train[batch], labels[batch])
            net.eval()
            with torch.no_grad():
                errors.append(100 - 100 * (net(test).argmax(1) == test_labels).float().mean().item())
        print(f"N = {size}: {numpy.mean(errors):.2f} +- {numpy.std(errors, ddof=1):.2f} %", flush=True)


if len(sys.argv) != 3 or sys.argv[1] not in ("bn-mnist", "batch-size"):
    sys.exit(__doc__)
(bn_mnist if sys.argv[1] == "bn-mnist" else batch_size)(sys.argv[2])
