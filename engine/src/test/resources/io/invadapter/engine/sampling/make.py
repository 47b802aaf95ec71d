"""samplers.txt: what diffusers' schedulers make of a stand-in for the UNet, model(x, t) = tanh(x (0.8 + 0.3 cos(t / 250)) + 0.2 sin(t / 97)). python make.py > samplers.txt

First line: start noise, clean sample, random draws. Then one line a run: name | class | steps | strength | eta | config | timesteps | samples before the first call and after each.
"""
import inspect, json, math, sys, types
import torch
import diffusers
sys.modules['torchsde'] = types.ModuleType('torchsde')                       # only for its random numbers, which are replaced
from diffusers.schedulers.scheduling_dpmsolver_sde import DPMSolverSDEScheduler

SIZE, DRAWS = 2, 40
K, E = {'use_karras_sigmas': True}, {'use_exponential_sigmas': True}
SDE = {'algorithm_type': 'sde-dpmsolver++'}
SAMPLERS = [('DDIM', {}), ('DDIM', {'eta': 1.0}), ('DDPM', {}), ('PNDM', {'skip_prk_steps': True}), ('PNDM', {'skip_prk_steps': False}), ('EulerAncestralDiscrete', {}), ('LCM', {})]
for c, o in [('EulerDiscrete', {}), ('HeunDiscrete', {}), ('KDPM2Discrete', {}), ('KDPM2AncestralDiscrete', {}), ('LMSDiscrete', {}), ('DPMSolverSDE', {}), ('DPMSolverMultistep', {}),
             ('DPMSolverMultistep', SDE), ('DPMSolverMultistep', {'solver_order': 3}), ('DPMSolverSinglestep', {}), ('UniPCMultistep', {}), ('DEISMultistep', {})]:
    SAMPLERS += [(c, o), (c, {**o, **K}), (c, {**o, **E})]
BASE = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule='scaled_linear', prediction_type='epsilon', steps_offset=1, timestep_spacing='leading', clip_sample=False,
            set_alpha_to_one=False)
VARIATIONS = [(1, None, {}), (16, None, {}), (5, None, {}), (5, 0.8, {})]
VARIATIONS += [(5, None, {'timestep_spacing': v}) for v in ('trailing', 'linspace')]
VARIATIONS += [(5, None, {'beta_schedule': v}) for v in ('linear', 'squaredcos_cap_v2')]
VARIATIONS += [(5, None, {'prediction_type': v}) for v in ('v_prediction', 'sample')]
VARIATIONS += [(5, None, {'prediction_type': 'v_prediction', 'timestep_spacing': 'trailing', 'rescale_betas_zero_snr': True})]
FEW = [VARIATIONS[i] for i in (0, 2, 3, 4, 10)]


def model(x, t):
    t = float(t)
    return torch.tanh(x * (0.8 + 0.3 * math.cos(t / 250)) + 0.2 * math.sin(t / 97))


def run(cls, config, steps, strength, eta, start, clean, draws):
    s, queue = cls(**config), list(draws)
    draw = lambda *a, **k: queue.pop(0)[None]
    for m in list(sys.modules.values()):
        if getattr(m, '__name__', '').startswith('diffusers.schedulers.') and hasattr(m, 'randn_tensor'):
            m.randn_tensor = draw
    s.set_timesteps(steps, **({'strength': strength} if strength and cls.__name__ == 'LCMScheduler' else {}))
    if isinstance(s, DPMSolverSDEScheduler):
        s.noise_sampler = draw
    ts = s.timesteps
    if strength:
        if cls.__name__ != 'LCMScheduler':
            first = (steps - int(steps * strength)) * s.order
            ts = ts[first:]
            if hasattr(s, 'set_begin_index'):
                s.set_begin_index(first)
        x = s.add_noise(clean, start, ts[:1])
    else:
        x = start * s.init_noise_sigma
    xs = [x]
    for t in ts:
        x = s.step(model(s.scale_model_input(x, t), t), t, x, return_dict=False, **({'eta': eta} if eta else {}))[0]
        xs.append(x)
    xs = torch.cat(xs)
    assert torch.isfinite(xs).all()
    return ts, xs


def numbers(t):
    return ' '.join(f'{float(v):.6g}' for v in t.flatten())


torch.manual_seed(0)
start, clean, draws = torch.randn(1, SIZE), torch.randn(1, SIZE) * 0.7, torch.randn(DRAWS, SIZE)
print('|'.join(numbers(t) for t in (start, clean, draws)))
for name, own in SAMPLERS:
    cls = DPMSolverSDEScheduler if name == 'DPMSolverSDE' else getattr(diffusers, name + 'Scheduler')
    accepted = set(inspect.signature(cls.__init__).parameters)
    curved = 'use_karras_sigmas' in own or 'use_exponential_sigmas' in own
    for steps, strength, change in FEW if curved else VARIATIONS:
        # diffusers starts LMS and Runge-Kutta mid-way without the history that they need; with eta 1 from zero terminal SNR 1 - abar - std^2 is nothing but rounding; DEIS does not move in one karras step
        if set(change) - accepted or strength and (name == 'LMSDiscrete' or own.get('skip_prk_steps') is False) or own.get('eta') and 'rescale_betas_zero_snr' in change or name == 'DEISMultistep' and steps == 1:
            continue
        config = {k: v for k, v in {**BASE, **own, **change}.items() if k in accepted}
        try:
            ts, xs = run(cls, config, steps, strength, own.get('eta'), start, clean, draws)
        except Exception as e:                                                # what diffusers cannot do
            print(name, own, steps, strength, change, f'{type(e).__name__}: {e}', file=sys.stderr)
            continue
        told = {k: v for k, v in {**own, **change}.items() if k in accepted and k != 'eta'}
        print('|'.join([cls.__name__, str(steps), str(strength or 1), str(own.get('eta', 0)), json.dumps(told), numbers(ts), numbers(xs)]))
