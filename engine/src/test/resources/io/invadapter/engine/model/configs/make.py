"""Makes the two files beside it. usage: PYTHONPATH=<diffusers>/src python make.py  (needs torch, transformers, diffusers)

configs.json: the keys of the configurations that folders of Stable Diffusion 1.x and 2.x hold, with the defaults of the class.
schedules.json: what diffusers' DDIMScheduler, set up as StableDiffusionPipeline does, makes of some scheduler_config.json: its
timesteps, and of each step the factors a, b of x = a x + b output.
"""
import ast, inspect, json, os, re, tempfile
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch, transformers, diffusers
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr
from transformers import tokenization_utils_base

HERE = os.path.dirname(os.path.abspath(__file__))
SCHEDULERS = ["ddim", "ddpm", "pndm", "lms_discrete", "euler_discrete", "euler_ancestral_discrete", "heun_discrete", "k_dpm_2_discrete",
              "k_dpm_2_ancestral_discrete", "dpmsolver_multistep", "dpmsolver_singlestep", "dpmsolver_sde", "deis_multistep",
              "unipc_multistep"]


def signature(cls):
    parameters = inspect.signature(cls.__init__).parameters.values()
    return {p.name: p.default for p in parameters if p.name not in ("self", "kwargs")}


def scheduler(name):
    """From the source: some can only be imported beside packages that are not needed for their configuration."""
    source = open(os.path.join(os.path.dirname(diffusers.__file__), "schedulers", f"scheduling_{name}.py")).read()
    cls = next(c for c in ast.parse(source).body if isinstance(c, ast.ClassDef) and c.name.endswith("Scheduler"))
    arguments = next(f for f in cls.body if isinstance(f, ast.FunctionDef) and f.name == "__init__").args
    names = [a.arg for a in arguments.args if a.arg != "self"]
    return cls.name, dict(zip(names, (eval(ast.unparse(d)) for d in arguments.defaults), strict=True))


def tokenizer():
    """What a saved tokenizer says, what its class and its base class read, and special tokens."""
    keys = {k: None for k in transformers.PreTrainedTokenizerBase.SPECIAL_TOKENS_ATTRIBUTES}
    source = inspect.getsource(tokenization_utils_base.PreTrainedTokenizerBase.__init__)
    keys.update({k: None for k in re.findall(r'kwargs\.(?:pop|get)\("(\w+)"', source)})
    with tempfile.TemporaryDirectory() as folder:
        transformers.CLIPTokenizer().save_pretrained(folder)
        saved = json.load(open(os.path.join(folder, "tokenizer_config.json")))
    keys.update(saved)
    keys.update(signature(transformers.CLIPTokenizer))
    return {**keys, "model_max_length": None, "padding_side": "right", "truncation_side": "right", "split_special_tokens": False}


configs = {"UNet2DConditionModel": signature(diffusers.UNet2DConditionModel), "AutoencoderKL": signature(diffusers.AutoencoderKL),
           "CLIPTextConfig": {k: v for k, v in transformers.CLIPTextConfig().to_dict().items() if not k.startswith("_")},
           "CLIPTokenizer": tokenizer(), **dict(map(scheduler, SCHEDULERS))}


def schedule(steps, **config):
    s = diffusers.DDIMScheduler.from_config({**config, "steps_offset": 1, "clip_sample": False, "rescale_betas_zero_snr": False})
    betas = s.betas.double()
    betas = rescale_zero_terminal_snr(betas) if config.get("rescale_betas_zero_snr") else betas
    s.alphas_cumprod = torch.cumprod(1 - betas, 0)
    s.final_alpha_cumprod = s.final_alpha_cumprod if s.config.set_alpha_to_one else s.alphas_cumprod[0]
    s.set_timesteps(steps)
    one, zero = torch.ones(1, dtype=torch.double), torch.zeros(1, dtype=torch.double)
    factors = [[s.step(zero, t, one).prev_sample.item(), s.step(one, t, zero).prev_sample.item()] for t in s.timesteps]
    return {"config": config, "steps": steps, "timesteps": s.timesteps.tolist(), "factors": factors}


SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "set_alpha_to_one": False}
schedules = [schedule(steps, **{**SD, **config}) for config in (
    {}, {"set_alpha_to_one": True}, {"steps_offset": 0}, {"beta_schedule": "linear"}, {"beta_schedule": "squaredcos_cap_v2"},
    {"trained_betas": [0.001, 0.004, 0.02, 0.05, 0.1, 0.1, 0.2, 0.3], "num_train_timesteps": 8},
    {"timestep_spacing": "trailing"}, {"timestep_spacing": "linspace"}, {"rescale_betas_zero_snr": True},
    {"prediction_type": "v_prediction"}, {"prediction_type": "sample"},
    {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"},
    {"prediction_type": "v_prediction", "timestep_spacing": "linspace", "set_alpha_to_one": True},
    {"num_train_timesteps": 400, "timestep_spacing": "trailing"}) for steps in (1, 3, 7)]
schedules += [schedule(7), schedule(50, **SD), schedule(48, **SD, timestep_spacing="trailing"), schedule(80, **SD, timestep_spacing="linspace")]

for name, content in (("configs", configs), ("schedules", schedules)):
    with open(os.path.join(HERE, name + ".json"), "w") as out:
        json.dump(content, out, indent=1 if name == "configs" else None, default=str)
        out.write("\n")
