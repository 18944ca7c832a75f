"""led_generate.py FOLDER [--cases N] [--seed N]: random cases of LED's generate, as HF's transformers answers them.

Runs where transformers is (tools/check-hf.sh runs it and compares). Writes FOLDER/led/generate_random_K as parity cases: a tiny LED with
wide random weights, a batch of documents, random options over every key of generation_config.json that is built. Cases whose ids change in float64
or with weights off by their last bits are dropped: rounding decides them. Sampling draws this project's own numbers (Philox by seed, sample, step), put in the place of torch's.
"""
import argparse
import copy
import json
import random
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LEDConfig, LEDForConditionalGeneration, PreTrainedTokenizerFast

transformers.logging.set_verbosity_error()


def philox(c0, c1, c2, c3, k0, k1):
    """Philox 4x32-10; the counters may be arrays."""
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & 0xFFFFFFFF, (p0 >> 32) ^ c3 ^ k1, p0 & 0xFFFFFFFF
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1


def uniform(seed, sample, step, draw):
    a, b = philox(draw & 0xFFFFFFFF, draw >> 32, step, sample, seed & 0xFFFFFFFF, seed >> 32)
    return (((a << 32 | b) >> 12) + 0.5) / (1 << 52)


class Draws:
    """torch.multinomial with this project's random numbers: by inversion for one, by Gumbel's trick for several."""

    def __init__(self, seed, samples, prompt):
        self.seed, self.samples, self.step = seed, samples, prompt

    def __call__(self, probabilities, num_samples=1, **_):
        rows = []
        for r, p in enumerate(probabilities.double()):
            if num_samples == 1:
                u = uniform(self.seed, r % self.samples, self.step, 0)
                passed = (p.cumsum(0) > u).nonzero()
                rows.append([int(passed[0]) if len(passed) else int(p.nonzero()[-1])])
            else:
                noise = torch.ones(len(p), dtype=torch.float64) * 0.5
                there = p.nonzero()[:, 0].tolist()
                if len(there) < num_samples:
                    raise RuntimeError("fewer tokens than are to be drawn")
                for i in there:
                    noise[i] = uniform(self.seed, 0, self.step, i)
                rows.append((p.log() - (-noise.log()).log()).topk(num_samples).indices.tolist())
        self.step += 1
        return torch.tensor(rows)


VOCABULARY = 60


def make_model(chance):
    width, heads = chance.choice([(32, 4), (48, 2)])
    config = LEDConfig(
        vocab_size=VOCABULARY, d_model=width, encoder_layers=2, decoder_layers=chance.choice([1, 2, 3]), encoder_attention_heads=heads,
        decoder_attention_heads=chance.choice([2, 4]), encoder_ffn_dim=40, decoder_ffn_dim=56, max_encoder_position_embeddings=96,
        max_decoder_position_embeddings=40, attention_window=chance.choice([[4, 8], [16, 16], [8, 4]]), init_std=0.35,
        activation_function=chance.choice(["gelu", "relu"]))
    model = LEDForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
        model.final_logits_bias.copy_(torch.randn_like(model.final_logits_bias) * 0.5)
    return model


def make_tokenizer():
    """Byte-level BPE of as many tokens as the model has: letters, and pairs of them."""
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "Ġ", *"abcdefghijklmnopqrst"]
    pairs = [(x, y) for x in "Ġaei" for y in "abcdefghijk"]
    merges = pairs[: VOCABULARY - len(tokens)]
    vocabulary = {t: i for i, t in enumerate([*tokens, *(x + y for x, y in merges)])}
    t = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>"))
    t.pre_tokenizer, t.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    t.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    return PreTrainedTokenizerFast(tokenizer_object=t, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>")


def make_documents(chance):
    rows, length = chance.choice([1, 2, 3]), chance.randint(3, 60)
    ids = torch.randint(4, VOCABULARY, (rows, length))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "global_attention_mask": torch.zeros_like(ids)}
    for row in range(1, rows):
        end = chance.randint(1, length)
        ids[row, end:] = 1
        inputs["attention_mask"][row, end:] = 0
    inputs["global_attention_mask"][:, 0] = 1
    if chance.random() < 0.3:
        inputs["global_attention_mask"][:, chance.randrange(length)] = 1
    if chance.random() < 0.25:
        prompt = torch.randint(4, VOCABULARY, (rows, chance.randint(1, 3)))
        inputs["decoder_input_ids"] = torch.cat([torch.full((rows, 1), 2), prompt], 1)
    return inputs


def make_options(chance, prompt):
    options = {"do_sample": False, "num_beams": chance.choice([1, 1, 2, 3, 4, 5, 8])}
    if chance.random() < 0.5:
        options["max_length"] = prompt + chance.randint(2, 30)
        if chance.random() < 0.5:
            options["min_length"] = chance.randint(0, options["max_length"])
    else:
        options["max_new_tokens"] = chance.randint(1, 30)
        if chance.random() < 0.5:
            options["min_new_tokens"] = chance.randint(0, options["max_new_tokens"])
    if chance.random() < 0.35:
        options.update(do_sample=True, seed=chance.randrange(1 << 20), top_k=chance.choice([0, 5, 50]))
        if options["num_beams"] == 1:
            options["num_return_sequences"] = chance.choice([1, 1, 3])
        sampling = {
            "temperature": lambda: chance.choice([0.5, 0.9, 1.7]), "top_p": lambda: chance.choice([0.1, 0.4, 0.8, 0.95]),
            "min_p": lambda: chance.choice([0.02, 0.1, 0.5]), "typical_p": lambda: chance.choice([0.2, 0.6, 0.9]),
            "epsilon_cutoff": lambda: chance.choice([0.001, 0.02, 0.1]), "eta_cutoff": lambda: chance.choice([0.001, 0.02, 0.1]),
            "top_h": lambda: chance.choice([0.2, 0.5, 0.9]) if options["num_beams"] == 1 else None,
        }
        for name, make in sampling.items():
            if chance.random() < 0.3 and make() is not None:
                options[name] = make()
    if options["num_beams"] > 1:
        options["length_penalty"] = chance.choice([-1.0, 0.0, 0.5, 1.0, 2.0])
        options["early_stopping"] = chance.choice([True, False, "never"])
        options["num_return_sequences"] = chance.randint(1, options["num_beams"])
    some = {
        "no_repeat_ngram_size": lambda: chance.choice([1, 2, 3]),
        "repetition_penalty": lambda: chance.choice([0.8, 1.2, 2.0]),
        "forced_bos_token_id": lambda: chance.randrange(VOCABULARY),
        "forced_eos_token_id": lambda: 2,
        "bad_words_ids": lambda: [[chance.randrange(3, VOCABULARY) for _ in range(chance.choice([1, 1, 2, 3]))] for _ in range(6)],
        "suppress_tokens": lambda: chance.sample(range(3, VOCABULARY), 8),
        "begin_suppress_tokens": lambda: chance.sample(range(3, VOCABULARY), 20),
        "encoder_no_repeat_ngram_size": lambda: chance.choice([1, 2, 3]),
        "encoder_repetition_penalty": lambda: chance.choice([0.7, 1.3, 2.5]),
        "sequence_bias": lambda: [[[chance.randrange(3, VOCABULARY) for _ in range(chance.choice([1, 1, 2]))], chance.choice([-3.0, 2.5, 8.0])] for _ in range(5)],
        "exponential_decay_length_penalty": lambda: [chance.randint(0, 10), chance.choice([1.05, 1.5])],
        "renormalize_logits": lambda: True,
        "remove_invalid_values": lambda: True,
        "eos_token_id": lambda: [2, *chance.sample(range(3, VOCABULARY), 8)],
        "stop_strings": lambda: ["".join(chance.choice(" abcdefghij") for _ in range(chance.choice([1, 1, 2, 3]))) for _ in range(chance.choice([1, 3]))],
        "max_time": lambda: chance.choice([0.0, 1e6, 1e6]),
    }
    for name, make in some.items():
        if chance.random() < 0.3:
            options[name] = make()
    # Where an end token is forbidden, transformers' decay makes its score NaN; this project leaves it forbidden.
    if {"min_length", "min_new_tokens", "forced_bos_token_id", "forced_eos_token_id", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size"} & set(options):
        options.pop("exponential_decay_length_penalty", None)
    # With every forbidden score a number, transformers generates what is forbidden where nothing else is left, and its beams end as chance has it.
    if options["num_beams"] > 1:
        options.pop("remove_invalid_values", None)
    # Beams that all end at once leave places that nothing fills; which of those come back is chance in transformers.
    if options.get("forced_bos_token_id") in options.get("eos_token_id", [2]):
        del options["forced_bos_token_id"]
    # This project refuses a first token that is both forced and suppressed; transformers returns the start token alone.
    if options.get("forced_bos_token_id") in options.get("suppress_tokens", []):
        options["suppress_tokens"].remove(options["forced_bos_token_id"])
    return options


def answer(model, tokenizer, inputs, options, kind=torch.float32):
    given = copy.deepcopy(options)
    seed = given.pop("seed", 0)
    own = torch.multinomial
    torch.multinomial = Draws(seed, given.get("num_return_sequences", 1), inputs["decoder_input_ids"].shape[1] if "decoder_input_ids" in inputs else 1)
    try:
        with torch.inference_mode():
            # generate changes what it is given.
            out = model.generate(**{k: v.clone() for k, v in inputs.items()}, **given, tokenizer=tokenizer, return_dict_in_generate=True, output_scores=True)
    finally:
        torch.multinomial = own
    expected = {"sequences": out.sequences}
    if options["num_beams"] > 1:
        expected["sequences_scores"] = out.sequences_scores.to(kind)
    return expected


def nudged(model, seed):
    """The model with every weight off by about a float32's rounding."""
    other, noise = copy.deepcopy(model), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in other.parameters():
            weight.mul_(1 + 1e-7 * torch.randn(weight.shape, generator=noise))
    return other


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    tokenizer = make_tokenizer()
    made = unstable = unfilled = refused = 0
    while made < a.cases:
        seed = a.seed * 100_000 + made + unstable + unfilled + refused
        chance = random.Random(seed)
        torch.manual_seed(seed)
        model, inputs = make_model(chance), make_documents(chance)
        options = make_options(chance, inputs["decoder_input_ids"].shape[1] if "decoder_input_ids" in inputs else 1)
        if {"encoder_no_repeat_ngram_size", "encoder_repetition_penalty"} & set(options):
            # transformers counts a shorter document's padding among its tokens; this project gives the same alone and in a batch.
            inputs = {k: v[:1] for k, v in inputs.items()}
        try:
            expected = answer(model, tokenizer, inputs, options)
        except (ValueError, RuntimeError):
            refused += 1
            continue
        if "sequences_scores" in expected and expected["sequences_scores"].min() < -1e8:
            # Fewer continuations than beams were left: which of the places that nothing fills come back is chance in transformers.
            unfilled += 1
            continue
        exact = answer(copy.deepcopy(model).double(), tokenizer, inputs, options, kind=torch.float64)
        # Another order of the sums is as good as weights that are off by their last bits.
        near = answer(nudged(model, seed), tokenizer, inputs, options)
        if not (torch.equal(expected["sequences"], exact["sequences"]) and torch.equal(expected["sequences"], near["sequences"])):
            unstable += 1
            continue
        folder = a.folder / "led" / f"generate_random_{made:03}"
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        save_file(inputs, folder / "inputs.safetensors")
        save_file({k: v.contiguous() for k, v in expected.items()}, folder / "expected.safetensors")
        scores = 0
        if "sequences_scores" in exact:  # the goldens' rule: eight times float32's own error, at least 1e-5 of the largest
            wide, narrow = exact["sequences_scores"], expected["sequences_scores"]
            error = max((wide - other).abs().max().item() for other in (narrow, near["sequences_scores"]))
            scores = max(8 * error, 1e-5 * max(1.0, wide.abs().max().item()))
        (folder / "case.json").write_text(json.dumps({
            "group": "led", "name": folder.name, "description": f"random options, seed {seed}",
            "reference": f"transformers {transformers.__version__}: LEDForConditionalGeneration.generate",
            "expected": {name: {"shape": list(value.shape), "dtype": str(value.dtype)[6:], "atol": 0 if name == "sequences" else scores}
                         for name, value in expected.items()},
            "generation": options, "tolerance": {"atol": scores, "rtol": 1e-5}}, indent=1))
        made += 1
    print(f"{made} cases; {unstable} dropped since rounding decides them, {unfilled} since chance does, {refused} since transformers refuses them")


if __name__ == "__main__":
    main()
