# examples/10_training.cpp in PyTorch: what the Trainer does there is written out.
import copy
import os
import sys
import tempfile

import torch
from torch import nn
from torch.nn import functional as F


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(1, 64)
        self.second = nn.Linear(64, 64)
        self.last = nn.Linear(64, 1)
        self.dropout = nn.Dropout(0.02)

    def forward(self, x):
        hidden = F.silu(self.second(F.silu(self.first(x))))
        return self.last(self.dropout(hidden))


def make_samples(count, seed):
    generator = torch.Generator().manual_seed(seed)
    x = 2 * torch.rand(count, 1, generator=generator) - 1
    return x, torch.sin(5 * x) + 0.05 * torch.randn(count, 1, generator=generator)


@torch.no_grad()
def error_of(model, x, y):
    model.eval()
    error = F.mse_loss(model(x), y).item()
    model.train()
    return error


folder = sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()
data, held_out = make_samples(2000, 1), make_samples(500, 2)
torch.manual_seed(1)
model = Mlp()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, (step + 1) / 100))
step, best, worse, best_weights = 0, float("inf"), 0, None

file = os.path.join(folder, "checkpoint.pt")
if os.path.exists(file):
    saved = torch.load(file)
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    schedule.load_state_dict(saved["schedule"])
    torch.set_rng_state(saved["random"])
    step, best, worse, best_weights = (saved[k] for k in ("step", "best", "worse", "weights"))
print("from step", step)

order = torch.Generator()
while step < 20_000 and worse < 4:
    epoch = step // 20
    rows = torch.randperm(2000, generator=order.manual_seed(epoch))
    rows = rows[step % 20 * 100:][:100]
    optimizer.zero_grad()
    loss = F.mse_loss(model(data[0][rows]), data[1][rows])
    assert torch.isfinite(loss)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    step += 1
    if step % 200 == 0:
        error = error_of(model, *held_out)
        print("step", step, " held-out error", error)
        worse = 0 if error < best else worse + 1
        if error < best:
            best, best_weights = error, copy.deepcopy(model.state_dict())
    if step % 1000 == 0:
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(),
                    "schedule": schedule.state_dict(), "random": torch.get_rng_state(),
                    "step": step, "best": best, "worse": worse, "weights": best_weights},
                   file + ".new")
        os.replace(file + ".new", file)
model.load_state_dict(best_weights)
print("stopped early" if worse == 4 else "stopped", "at step", step)

error = error_of(model, *make_samples(1000, 3))
print("error on unseen samples", error, "of which the noise is 0.0025")
assert error < 0.004
