"""Random weights of a small LED that can find and copy words from its first step: what else takes a model of this size most of its training."""
from __future__ import annotations

import numpy as np

# Where a token's vector keeps what: its own word, the word before it (written by the first layer), its place.
WORD, BEFORE, PLACE = slice(0, 96), slice(96, 160), slice(160, 192)
WIDTH, HEAD = 192, 32


def places(count: int) -> np.ndarray:
    """Sinusoids with wavelengths of 4 to 2,000 tokens: sine and cosine of each in turn."""
    angles = np.arange(count)[:, None] * frequencies()
    return 0.09 * np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(count, HEAD)


def frequencies() -> np.ndarray:
    return 1.5 * 0.002 ** (np.arange(HEAD // 2) / (HEAD // 2 - 1))


def one_to_the_left() -> np.ndarray:
    """The matrix that turns the vector of a place into that of the place before it."""
    turn = np.zeros((HEAD, HEAD))
    for k, w in enumerate(frequencies()):
        # sin(x - w) = sin x cos w - cos x sin w; cos(x - w) = cos x cos w + sin x sin w
        turn[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = [[np.cos(w), -np.sin(w)], [np.sin(w), np.cos(w)]]
    return turn


def rows(head: int) -> slice:
    return slice(HEAD * head, HEAD * (head + 1))


def random_weights(config: dict, random_numbers: np.random.Generator) -> dict[str, np.ndarray]:
    """Weights under HF's names with Glorot's spread; what is added to a layer's input begins at half of it."""
    weights: dict[str, np.ndarray] = {}

    def linear(name: str, wide: int, narrow: int, gain: float = 1) -> None:
        weights[f"{name}.weight"] = random_numbers.normal(0, gain * (2 / (wide + narrow)) ** 0.5, (wide, narrow))
        weights[f"{name}.bias"] = np.zeros(wide)

    def norm(name: str) -> None:
        weights[f"{name}.weight"], weights[f"{name}.bias"] = np.ones(WIDTH), np.zeros(WIDTH)

    weights["led.shared.weight"] = random_numbers.normal(0, 0.05, (config["vocab_size"], WIDTH))
    weights["led.shared.weight"][:, WORD.stop :] *= 0.1
    weights["final_logits_bias"] = np.zeros((1, config["vocab_size"]))
    for side in ("encoder", "decoder"):
        table = random_numbers.normal(0, 0.005, (config[f"max_{side}_position_embeddings"], WIDTH))
        table[:, PLACE] = places(len(table))
        weights[f"led.{side}.embed_positions.weight"] = table
        norm(f"led.{side}.layernorm_embedding")
        for i in range(config[f"{side}_layers"]):
            layer = f"led.{side}.layers.{i}"
            if side == "encoder":
                for kind in ("query", "key", "value", "query_global", "key_global", "value_global"):
                    linear(f"{layer}.self_attn.longformer_self_attn.{kind}", WIDTH, WIDTH)
                linear(f"{layer}.self_attn.output", WIDTH, WIDTH, 0.5)
                norms = ["self_attn_layer_norm", "final_layer_norm"]
            else:
                for attention in ("self_attn", "encoder_attn"):
                    for kind in ("q", "k", "v"):
                        linear(f"{layer}.{attention}.{kind}_proj", WIDTH, WIDTH)
                    linear(f"{layer}.{attention}.out_proj", WIDTH, WIDTH, 0.5)
                norms = ["self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm"]
            linear(f"{layer}.fc1", config[f"{side}_ffn_dim"], WIDTH)
            linear(f"{layer}.fc2", WIDTH, config[f"{side}_ffn_dim"], 0.5)
            for name in norms:
                norm(f"{layer}.{name}")
    return weights


def start_weights(config: dict, seed: int) -> dict[str, np.ndarray]:
    """Random weights in which two things are laid out by hand (compare Trockman and Kolter, "Mimetic initialization of self-attention layers", 2023,
    and Olsson et al., "In-context learning and induction heads", 2022). Two heads of the encoder's first layer look one token to the left and write
    that token's word beside the own one. Three heads of the decoder's first layer look for places of the document whose word before is the word
    that was written last, and add the word that is there. All of it is learnt further like any other weight."""
    if (config["d_model"], config["encoder_attention_heads"], config["decoder_attention_heads"]) != (WIDTH, WIDTH // HEAD, WIDTH // HEAD):
        raise SystemExit(f"expected a width of {WIDTH} and {WIDTH // HEAD} heads, given {config['d_model']}, {config['encoder_attention_heads']}")
    weights = random_weights(config, np.random.default_rng(seed))

    left = "led.encoder.layers.0.self_attn"
    for head in (0, 1):
        for kind, matrix in (("query", one_to_the_left()), ("key", np.eye(HEAD))):
            weight = weights[f"{left}.longformer_self_attn.{kind}.weight"]
            weight[rows(head)] *= 0.1
            weight[rows(head), PLACE] = 2.2 * matrix
        value, out = weights[f"{left}.longformer_self_attn.value.weight"], weights[f"{left}.output.weight"]
        value[rows(head)] *= 0.1
        value[rows(head), rows(head)] = np.eye(HEAD)
        out[:, rows(head)] *= 0.1
        out[BEFORE.start + HEAD * head : BEFORE.start + HEAD * (head + 1), rows(head)] = np.eye(HEAD)

    copy = "led.decoder.layers.0.encoder_attn"
    for head, sought in ((0, 0), (1, 1), (2, 0)):
        for kind, source in (("q", rows(sought)), ("k", slice(BEFORE.start + HEAD * sought, BEFORE.start + HEAD * (sought + 1))), ("v", rows(head))):
            weight = weights[f"{copy}.{kind}_proj.weight"]
            weight[rows(head)] *= 0.1
            weight[rows(head), source] = (1.4 if kind != "v" else 1.0) * np.eye(HEAD)
        out = weights[f"{copy}.out_proj.weight"]
        out[:, rows(head)] *= 0.1
        out[rows(head), rows(head)] = 2 * np.eye(HEAD)
    weights[f"led.decoder.layers.{config['decoder_layers'] - 1}.final_layer_norm.weight"] *= 2
    return {name: values.astype(np.float32) for name, values in weights.items()}
