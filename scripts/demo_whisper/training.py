"""Training on one core: phones first on the encoder alone, then the whole model with guided attention.

The decoder of so small a model ignores the audio unless two heads of every layer are told where to look: at
the time a token was said. The run is measured in clips, so a slow machine gives the same
model later.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from tokenizers import Tokenizer
from torch import Tensor

from .examples import UNSCORED, Batch, Examples
from .network import GUIDED_HEADS, Size, Whisper
from .voices import Spoken

SIGMA = 0.24 / 0.02  # how exactly a head must look, in positions


@dataclass(frozen=True)
class Plan:
    """One run. `clips` counts every clip seen, repeats included; shares are of it."""

    clips: int
    phones_only: float = 0.2
    constant: float = 0.45
    rate: float = 1.2e-3
    smoothing: float = 0.02
    seed: int = 7


def phones_of(clips: list[Spoken]) -> dict[str, int]:
    """Phone -> CTC class; 0 is the blank."""
    names = sorted({phone for clip in clips for phone in clip.phones})
    return {name: number + 1 for number, name in enumerate(names)}


def train(clips: list[Spoken], tokenizer: Tokenizer, plan: Plan, checkpoint: Path) -> tuple[int, float]:
    """Trains until `plan.clips` were seen, writing the weights to `checkpoint` every minute.

    Returns:
        Clips seen, and minutes by the clock.
    """
    torch.set_num_threads(1)
    torch.manual_seed(plan.seed)
    phones = phones_of(clips)
    model = Whisper(Size(tokens=tokenizer.get_vocab_size(), phones=len(phones)))
    print(
        f"  {model.parameter_count() / 1e6:.2f} M parameters, {len(clips)} clips, {len(phones)} phones",
        flush=True,
    )
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.02}, {"params": vectors, "weight_decay": 0.0}],
        lr=plan.rate,
        betas=(0.9, 0.98),
    )
    spent_before, seen = 0.0, 0
    if checkpoint.exists():  # an interrupted run goes on from its last minute
        stored = torch.load(checkpoint)
        model.load_state_dict(stored["weights"])
        spent_before, seen = stored["spent_s"], stored["seen"]
        print(f"  goes on after {spent_before / 60:.1f} min, {seen} clips", flush=True)
        if seen >= plan.clips:
            return seen, spent_before / 60
    examples = Examples(clips, tokenizer, phones, plan.seed + seen, made=seen)
    loader = torch.utils.data.DataLoader(examples, batch_size=None, num_workers=1, prefetch_factor=24)
    started = time.monotonic() - spent_before
    step = 0
    seen_before = seen
    recent: list[list[float]] = []
    report_at = spent_before + 60
    model.train()
    for batch in loader:
        spent = time.monotonic() - started
        done = seen / plan.clips
        if done >= 1:
            break
        falling = 1.0 if done < plan.constant else max(0.01, (1 - done) / (1 - plan.constant))
        for group in optimiser.param_groups:
            group["lr"] = plan.rate * min(1.0, (step + 1) / 150) * falling
        losses = _losses(model, batch, done, plan)
        optimiser.zero_grad()
        losses[0].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step += 1
        seen += len(batch.mel)
        recent.append([float(loss) for loss in losses[1:]])
        if spent > report_at:
            text, phone, gaze = np.mean(recent, axis=0)
            rate = optimiser.param_groups[0]["lr"]
            speed = (seen - seen_before) / (spent - spent_before)
            print(
                f"  {spent / 60:5.1f} min  {seen} clips ({speed:.0f}/s)  lr {rate:.1e}  "
                f"text {text:.3f}  phones {phone:.3f}  gaze {gaze:.3f}",
                flush=True,
            )
            recent.clear()
            report_at = spent + 60
            save(model, checkpoint, spent, seen)
    spent = time.monotonic() - started
    save(model, checkpoint, spent, seen)
    print(f"  {step} steps, {seen} clips in {spent / 60:.1f} min", flush=True)
    return seen, spent / 60


def _losses(model: Whisper, batch: Batch, done: float, plan: Plan) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Total, then text (cross-entropy), phones (CTC per phone) and gaze (attention away from the word)."""
    nothing = torch.tensor(float("nan"))
    with torch.autocast("cpu", torch.bfloat16):
        audio, bias, length = model.encode(batch.mel, batch.window)
        phone_scores = model.phones(audio[:, :length]).float()
    phone = functional.ctc_loss(
        phone_scores.log_softmax(-1).transpose(0, 1),
        batch.phones,
        batch.positions,
        batch.phone_counts,
        zero_infinity=True,
        reduction="sum",
    ) / max(1, int(batch.phone_counts.sum()))
    if done < plan.phones_only:
        return phone, nothing, phone.detach(), nothing
    with torch.autocast("cpu", torch.bfloat16):
        scores = model.decode(batch.tokens, audio, bias, keep=True).float()
    text = functional.cross_entropy(
        scores.flatten(0, 1), batch.targets.flatten(), ignore_index=UNSCORED, label_smoothing=plan.smoothing
    )
    # said_at[i] tells when token i was said; it is predicted one step earlier.
    gaze = _gaze(model, batch.said_at, length)
    guide = max(0.3, 3 * (1 - (done - plan.phones_only) / 0.4))
    phone_weight = 0.6 if done < 0.4 else 0.3
    return text + phone_weight * phone + guide * gaze, text.detach(), phone.detach(), gaze.detach()


def _gaze(model: Whisper, said_at: Tensor, length: int) -> Tensor:
    looked = model.guided_weights()
    positions = torch.arange(looked[0].shape[-1])
    away = 1 - torch.exp(-((positions - said_at[..., None]) ** 2) / (2 * SIGMA**2))
    away[..., length:] = 1
    told = (said_at >= 0).float()
    count = told.sum() * GUIDED_HEADS + 1e-6
    return sum(((w * away[:, None]).sum(-1) * told[:, None]).sum() / count for w in looked) / len(looked)


def save(model: Whisper, path: Path, spent_s: float, seen: int) -> None:
    """Weights and size, and how far the run is."""
    state = {"size": asdict(model.size), "weights": model.state_dict(), "spent_s": spent_s, "seen": seen}
    torch.save(state, path)


def restore(path: Path) -> Whisper:
    """The model of a checkpoint, ready to export."""
    stored = torch.load(path)
    model = Whisper(Size(**stored["size"]))
    model.load_state_dict(stored["weights"])
    return model.eval()
