"""The same pass in PyTorch: the UNet of Stable Diffusion 1.5 with random weights, for comparison on the same machine.

python unet.py [--device cpu|cuda] [--precision fp32|bf16|fp16] [--batch 1] [--steps 1] [--threads 2] [--rounds 5] [--compile]
python unet.py --onnx FILE      # writes it for ONNX Runtime and ends; takes the packages onnx and onnxscript

On a GPU, beside "denoise" of a plain request of one picture in "invadapter bench":
python unet.py --device cuda --precision fp16 --batch 2 --steps 50 [--compile]
"""
import argparse
import math
import time

import torch
import torch.nn.functional as F
from torch import nn


class Resnet(nn.Module):
    def __init__(self, inside, outside):
        super().__init__()
        self.norm1 = nn.GroupNorm(32, inside, eps=1e-5)
        self.conv1 = nn.Conv2d(inside, outside, 3, padding=1)
        self.time = nn.Linear(1280, outside)
        self.norm2 = nn.GroupNorm(32, outside, eps=1e-5)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1)
        self.shortcut = nn.Conv2d(inside, outside, 1) if inside != outside else None

    def forward(self, x, time):
        h = self.conv1(F.silu(self.norm1(x))) + self.time(F.silu(time))[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (x if self.shortcut is None else self.shortcut(x))


class Attention(nn.Module):
    def __init__(self, channels, context):
        super().__init__()
        self.q = nn.Linear(channels, channels, bias=False)
        self.k = nn.Linear(context, channels, bias=False)
        self.v = nn.Linear(context, channels, bias=False)
        self.out = nn.Linear(channels, channels)

    def forward(self, x, context):
        q, k, v = (t.unflatten(2, (8, -1)).transpose(1, 2) for t in (self.q(x), self.k(context), self.v(context)))
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Transformer(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = nn.GroupNorm(32, channels, eps=1e-6)
        self.project_in = nn.Conv2d(channels, channels, 1)
        self.norm1 = nn.LayerNorm(channels)
        self.self_attention = Attention(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.cross_attention = Attention(channels, 768)
        self.norm3 = nn.LayerNorm(channels)
        self.gated = nn.Linear(channels, 8 * channels)
        self.feed_forward = nn.Linear(4 * channels, channels)
        self.project_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x, context):
        h = self.project_in(self.norm(x))
        size = h.shape[2:]
        h = h.flatten(2).transpose(1, 2)
        n = self.norm1(h)
        h = h + self.self_attention(n, n)
        h = h + self.cross_attention(self.norm2(h), context)
        value, gate = self.gated(self.norm3(h)).chunk(2, dim=-1)
        h = h + self.feed_forward(value * F.gelu(gate))
        return x + self.project_out(h.transpose(1, 2).unflatten(2, size))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        widths = [320, 640, 1280, 1280]
        self.time1 = nn.Linear(320, 1280)
        self.time2 = nn.Linear(1280, 1280)
        self.conv_in = nn.Conv2d(4, 320, 3, padding=1)
        self.down = nn.ModuleList()
        self.up = nn.ModuleList()
        skips = [320]
        c = 320
        for level, width in enumerate(widths):
            block = nn.ModuleDict({'resnets': nn.ModuleList(), 'attentions': nn.ModuleList()})
            for _ in range(2):
                block['resnets'].append(Resnet(c, width))
                c = width
                if level < 3:
                    block['attentions'].append(Transformer(c))
                skips.append(c)
            if level < 3:
                block['sample'] = nn.Conv2d(c, c, 3, stride=2, padding=1)
                skips.append(c)
            self.down.append(block)
        self.middle1 = Resnet(c, c)
        self.middle_attention = Transformer(c)
        self.middle2 = Resnet(c, c)
        for level in (3, 2, 1, 0):
            block = nn.ModuleDict({'resnets': nn.ModuleList(), 'attentions': nn.ModuleList()})
            for _ in range(3):
                block['resnets'].append(Resnet(c + skips.pop(), widths[level]))
                c = widths[level]
                if level < 3:
                    block['attentions'].append(Transformer(c))
            if level > 0:
                block['sample'] = nn.Conv2d(c, c, 3, padding=1)
            self.up.append(block)
        self.norm_out = nn.GroupNorm(32, c, eps=1e-5)
        self.conv_out = nn.Conv2d(c, 4, 3, padding=1)

    def forward(self, x, timestep, context):
        angles = timestep * torch.exp(-torch.arange(160, device=x.device) * (math.log(10000) / 160))
        time = torch.cat([angles.cos(), angles.sin()])[None].to(x.dtype)
        time = self.time2(F.silu(self.time1(time)))
        h = self.conv_in(x)
        skips = [h]
        for block in self.down:
            for i, resnet in enumerate(block['resnets']):
                h = resnet(h, time)
                if len(block['attentions']) > 0:
                    h = block['attentions'][i](h, context)
                skips.append(h)
            if 'sample' in block:
                h = block['sample'](h)
                skips.append(h)
        h = self.middle2(self.middle_attention(self.middle1(h, time), context), time)
        for block in self.up:
            for i, resnet in enumerate(block['resnets']):
                h = resnet(torch.cat([h, skips.pop()], dim=1), time)
                if len(block['attentions']) > 0:
                    h = block['attentions'][i](h, context)
            if 'sample' in block:
                h = block['sample'](F.interpolate(h, scale_factor=2.0, mode='nearest'))
        return self.conv_out(F.silu(self.norm_out(h)))


def clock(device):
    """Seconds, when the device has done all it was given."""
    if device == 'cuda':
        torch.cuda.synchronize()
    return time.perf_counter()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--precision', choices=['fp32', 'bf16', 'fp16'], default='fp32')
    parser.add_argument('--batch', type=int, default=1, help='rows of a pass; two for each picture with guidance')
    parser.add_argument('--steps', type=int, default=1, help='passes one after the other that make a run: 50 for a picture')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--compile', action='store_true')
    parser.add_argument('--onnx', metavar='FILE')
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    dtype = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}[options.precision]
    # Only while these are made: torch.compile cuts the graph where a default device is set, and leaves what is made there on the CPU.
    with torch.device(options.device):
        base = UNet().eval().to(dtype)
        x = torch.randn(options.batch, 4, 64, 64).to(dtype)
        context = torch.randn(options.batch, 77, 768).to(dtype)
    assert sum(p.numel() for p in base.parameters()) == 859520964
    if options.onnx:
        names = {'input_names': ['latents', 'timestep', 'context'], 'output_names': ['noise']}
        with torch.inference_mode():
            torch.onnx.export(base, (x, torch.tensor(501.0), context), options.onnx, dynamo=True, external_data=True, **names)
        return
    where = torch.cuda.get_device_name() if options.device == 'cuda' else f'{options.threads} threads'
    print(f'PyTorch {torch.__version__}, {where}', flush=True)
    for layout in (torch.contiguous_format, torch.channels_last):
        unet = base.to(memory_format=layout)
        if options.compile:
            # On a GPU with CUDA graphs: what launching costs is gone there too.
            unet = torch.compile(unet, mode='reduce-overhead' if options.device == 'cuda' else None)
        inputs = x.contiguous(memory_format=layout)
        with torch.inference_mode():
            for _ in range(3 if options.device == 'cuda' else 1):
                unet(inputs, 501, context)
            times, best_cpu = [], float('inf')
            for _ in range(options.rounds):
                start, cpu = clock(options.device), time.process_time()
                for _ in range(options.steps):
                    y = unet(inputs, 501, context)
                times.append(clock(options.device) - start)
                best_cpu = min(best_cpu, time.process_time() - cpu)
        assert torch.isfinite(y).all()
        times.sort()
        print(f'{options.precision} {layout}{" compiled" if options.compile else ""}, {options.batch} rows, {options.steps} passes: '
              f'least {times[0]:.3f} s, median {times[len(times) // 2]:.3f} s, processor time {best_cpu:.3f} s', flush=True)


main()
