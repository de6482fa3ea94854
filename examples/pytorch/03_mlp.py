# examples/03_mlp.cpp in PyTorch.
import math

import torch
from torch import nn
from torch.nn import functional as F


class Mlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first = nn.Linear(2, width)
        self.second = nn.Linear(width, width)
        self.last = nn.Linear(width, 2)

    def forward(self, points):
        return self.last(F.silu(self.second(F.silu(self.first(points)))))


def make_spirals(count):
    labels = torch.arange(count) % 2
    radius = torch.rand(count).sqrt()
    angle = (3 * radius + labels) * math.pi
    points = torch.stack([radius * angle.cos(), radius * angle.sin()], 1)
    return points + 0.02 * torch.randn(count, 2), labels


@torch.no_grad()
def accuracy(model, points, labels):
    return (model(points).argmax(1) == labels).double().mean().item()


@torch.no_grad()
def draw(model):
    ys = torch.linspace(1.1, -1.1, 21).reshape(21, 1, 1).expand(21, 42, 1)
    xs = torch.linspace(-1.1, 1.1, 42).reshape(1, 42, 1).expand(21, 42, 1)
    for row in model(torch.cat([xs, ys], 2)).argmax(2):
        print("".join(".#"[answer] for answer in row))


torch.manual_seed(7)
train, test = make_spirals(1000), make_spirals(500)

model = Mlp(64)
print("the model has", sum(p.numel() for p in model.parameters()), "parameters:")
for name, parameter in model.named_parameters():
    print(" ", name, tuple(parameter.shape))

steps, warmup = 600, 20
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
schedule = torch.optim.lr_scheduler.LambdaLR(
    optimizer,
    lambda step: (step + 1) / warmup if step < warmup else
    0.5 * (1 + math.cos(math.pi * (step + 1 - warmup) / (steps - warmup))))
for step in range(1, steps + 1):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(train[0]), train[1])
    loss.backward()
    optimizer.step()
    schedule.step()
    if step % 100 == 0:
        print("step", step, " loss", loss.item(), " held-out accuracy", accuracy(model, *test))
draw(model)

copy = Mlp(64)
copy.load_state_dict(model.state_dict())
assert accuracy(copy, *test) > 0.97
