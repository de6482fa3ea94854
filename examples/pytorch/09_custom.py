# examples/09_custom.cpp in PyTorch.
import torch
from torch import nn
from torch.nn import functional as F


class Softsign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x / (1 + x.abs())

    @staticmethod
    def backward(ctx, dy):
        x, = ctx.saved_tensors
        return dy / (1 + x.abs()).square()


class Centre(nn.Module):
    def __init__(self, channels, momentum=0.1):
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(channels))

    def forward(self, x):
        if self.training:
            with torch.no_grad():
                self.mean.mul_(1 - self.momentum).add_(x.mean(0), alpha=self.momentum)
        return x - self.mean


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.centre = Centre(3)
        self.linear = nn.Linear(3, 1)

    def forward(self, x):
        return Softsign.apply(self.linear(self.centre(x)))


torch.manual_seed(3)
assert torch.autograd.gradcheck(Softsign.apply, torch.randn(4, 5, dtype=torch.double,
                                                            requires_grad=True))

x = torch.randn(200, 3) + torch.tensor([1.0, 2.0, 3.0])
above = (x - x.mean(0)) @ torch.tensor([[2.0], [-1.0], [1.0]]) > 0
side = above.float() * 2 - 1

model = Model()
optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
for step in range(1, 201):
    optimizer.zero_grad()
    loss = F.mse_loss(model(x), side)
    loss.backward()
    optimizer.step()
    if step % 50 == 0:
        print("step", step, " loss", loss.item())

for name, tensor in model.state_dict().items():
    print(name, tensor)
model.eval()
with torch.no_grad():
    right = ((model(x) > 0) == above).double().mean().item()
print("right:", right)
assert right > 0.97
