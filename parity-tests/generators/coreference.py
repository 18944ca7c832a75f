"""Coreference of random documents by PyTorch, as cases for `longformer parity`: the body is transformers' LongformerModel, the head coarse-to-fine span
ranking written here with autograd as Joshi et al. (2019) describe it, every span and every pair by itself. Runs inside the root folder of
tools/check-hf.sh.

    coreference.py FOLDER --cases N --seed S     writes FOLDER/NUMBER/scores and FOLDER/NUMBER/gradients
"""

import json

import case_folders
import torch
from safetensors.torch import save_file
from transformers import LongformerConfig, LongformerModel

VOCABULARY = 60
softmax = torch.nn.functional.softmax


def wide_softmax(scores, dim=None, _stacklevel=3, dtype=None):
    """Without the cast to float32 inside the models, where a float64's least value would be -inf and its gradient not a number."""
    return softmax(scores, dim=dim, dtype=None if scores.dtype == torch.float64 else dtype)


torch.nn.functional.softmax = wide_softmax


class Head(torch.nn.Module):
    """The head's parameters, called as in lxucs/coref-hoi, and its scores."""

    def __init__(self, hidden, sizes):
        super().__init__()
        self.sizes, feature, inner = sizes, sizes["feature_size"], sizes["ffnn_size"]
        span = 3 * hidden + feature

        def scorer(inputs):
            return torch.nn.Sequential(torch.nn.Linear(inputs, inner), torch.nn.ReLU(), torch.nn.Identity(), torch.nn.Linear(inner, 1))

        self.emb_span_width = torch.nn.Embedding(sizes["max_span_width"], feature)
        self.emb_span_width_prior = torch.nn.Embedding(sizes["max_span_width"], feature)
        self.emb_antecedent_distance_prior = torch.nn.Embedding(10, feature)
        self.emb_same_speaker = torch.nn.Embedding(2, feature)
        self.emb_genre = torch.nn.Embedding(len(sizes["genres"]), feature)
        self.emb_segment_distance = torch.nn.Embedding(sizes["max_training_sentences"], feature)
        self.emb_top_antecedent_distance = torch.nn.Embedding(10, feature)
        self.mention_token_attn = torch.nn.Linear(hidden, 1)
        self.span_emb_score_ffnn = scorer(span)
        self.span_width_score_ffnn = scorer(feature)
        self.coarse_bilinear = torch.nn.Linear(span, span)
        self.antecedent_distance_score_ffnn = torch.nn.Linear(feature, 1)
        self.coref_score_ffnn = scorer(3 * span + 4 * feature)
        self.gate_ffnn = torch.nn.Linear(2 * span, span)

    def represent(self, states, spans):
        vectors = []
        for first, last in spans:
            inside = states[first : last + 1]
            weights = softmax(self.mention_token_attn(inside), dim=0)
            width = self.emb_span_width.weight[last - first]
            vectors.append(torch.cat([states[first], states[last], width, (weights * inside).sum(0)]))
        return torch.stack(vectors)

    def mention_scores(self, states, spans):
        widths = self.emb_span_width_prior(torch.tensor([last - first for first, last in spans]))
        return (self.span_emb_score_ffnn(self.represent(states, spans)) + self.span_width_score_ffnn(widths)).squeeze(1)

    def forward(self, states, document):
        sizes, sentences = self.sizes, document["sentences"]
        tokens, most = len(states), sizes["max_span_width"]
        candidates = [(i, j) for i in range(tokens) for j in range(i, min(tokens, i + most)) if sentences[i] == sentences[j]]
        scores = self.mention_scores(states, candidates)
        kept = []
        for number in sorted(range(len(candidates)), key=lambda n: -float(scores[n].detach())):
            first, last = candidates[number]
            crosses = any(a < first <= b < last or first < a <= last < b for a, b in kept)
            if len(kept) < int(sizes["top_span_ratio"] * tokens) and not crosses:
                kept.append((first, last))
        spans = sorted(kept)
        g, mentions = self.represent(states, spans), self.mention_scores(states, spans)
        count = len(spans)
        distance = torch.tensor([[bucket(max(i - j, 0)) for j in range(count)] for i in range(count)])
        prior = self.antecedent_distance_score_ffnn(self.emb_antecedent_distance_prior(distance)).squeeze(2)
        coarse = mentions[:, None] + mentions[None, :] + self.coarse_bilinear(g) @ g.T + prior
        width = min(sizes["max_top_antecedents"], count - 1)
        antecedents = []
        for i in range(count):
            best = sorted(range(i), key=lambda j: -float(coarse[i, j].detach()))[:width]
            antecedents.append(sorted(best) + [-1] * (width - len(best)))
        numbers = torch.tensor(antecedents)
        rows, columns = (numbers >= 0).nonzero(as_tuple=True)
        others = numbers[rows, columns]
        segment = [sum(s <= first for s in document["starts"]) - 1 for first, _ in spans]
        speakers = [document["speakers"][first] for first, _ in spans]
        pairs = list(zip(rows.tolist(), others.tolist()))
        features = torch.cat([
            self.emb_same_speaker(torch.tensor([int(speakers[i] == speakers[j]) for i, j in pairs])),
            self.emb_genre(torch.full([len(pairs)], document["genre"])),
            self.emb_top_antecedent_distance(torch.tensor([bucket(i - j) for i, j in pairs])),
            self.emb_segment_distance(torch.tensor([min(segment[i] - segment[j], sizes["max_training_sentences"] - 1) for i, j in pairs])),
        ], 1)  # fmt: skip
        for depth in range(sizes["coref_depth"]):
            fine = self.coref_score_ffnn(torch.cat([g[rows], g[others], g[rows] * g[others], features], 1)).squeeze(1)
            table = torch.full([count, width], float("-inf"), dtype=states.dtype)
            table = table.index_put((rows, columns), coarse[rows, others] + fine)
            table = torch.cat([torch.zeros(count, 1, dtype=states.dtype), table], 1)
            if depth + 1 < sizes["coref_depth"]:
                weights = softmax(table, dim=1)
                attended = weights[:, :1] * g + (weights[:, 1:, None] * g[numbers.clamp(min=0)]).sum(1)
                gate = torch.sigmoid(self.gate_ffnn(torch.cat([g, attended], 1)))
                g = gate * attended + (1 - gate) * g
        cluster = {span: number for number, spans_ in enumerate(document["clusters"]) for span in spans_}
        loss = 0.0
        for i, span in enumerate(spans):
            right = [a + 1 for a, j in enumerate(antecedents[i]) if j >= 0 and span in cluster and cluster.get(spans[j]) == cluster[span]]
            loss = loss + torch.logsumexp(table[i], 0) - torch.logsumexp(table[i][right or [0]], 0)
        return {"loss": loss, "spans": torch.tensor(spans), "antecedents": numbers, "mention_scores": mentions, "antecedent_scores": table}


def bucket(distance):
    return [0, 1, 2, 3, 4, 5, 5, 5][distance] if distance < 8 else min(9, distance.bit_length() + 2)


def draw(generator, *values):
    return values[int(torch.randint(len(values), (1,), generator=generator))]


def document_of(generator, segments, length, most):
    tokens, sentence, sentences = segments * length, 0, []
    for token in range(tokens):
        # A sentence may end anywhere, and ends with its segment.
        sentence += token > 0 and (token % length == 0 or draw(generator, *range(6)) == 0)
        sentences.append(sentence)
    free, clusters = set(range(tokens)), [[] for _ in range(4)]
    for _ in range(tokens // 3):
        first = draw(generator, *range(tokens))
        last = min(first + draw(generator, *range(most)), tokens - 1)
        if sentences[first] == sentences[last] and all(t in free for t in range(first, last + 1)):
            free -= set(range(first, last + 1))
            draw(generator, *clusters).append((first, last))
    speakers = [(t // draw(generator, 5, 7)) % 3 for t in range(tokens)]
    return {"ids": torch.randint(3, VOCABULARY, (segments, length), generator=generator), "sentences": sentences, "speakers": speakers,
            "genre": draw(generator, 0, 1), "starts": list(range(0, tokens, length)), "clusters": [sorted(c) for c in clusters if c]}  # fmt: skip


def run(body, head, document, gradients=True):
    body.zero_grad(), head.zero_grad()
    states = body(document["ids"], attention_mask=torch.ones_like(document["ids"])).last_hidden_state.flatten(0, 1)
    results = head(states, document)
    if gradients:
        results["loss"].backward()
        for prefix, module in (("longformer", body), ("coref", head)):
            for name, parameter in module.named_parameters():
                results[f"grad.{prefix}.{name}"] = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
    return {name: tensor.detach() for name, tensor in results.items()}


def write(folder, group, name, config, weights, inputs, expected, exact):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(weights, folder / "model.safetensors")
    save_file(inputs, folder / "inputs.safetensors")
    save_file({n: t.contiguous() for n, t in expected.items()}, folder / "expected.safetensors")
    tolerances = {}
    for n, value in expected.items():
        finite = value.double().isfinite()
        error = float((value.double() - exact[n].double())[finite].abs().max()) if finite.any() else 0.0
        # A softmax does not see the bias of its scores, whose gradient is the rounding of a sum of terms as large as the weight's.
        largest = max(float(t.double()[t.isfinite()].abs().max()) for t in (value, expected.get(n.replace(".bias", ".weight"), value)))
        tolerances[n] = {"atol": max(8 * error, 2e-6 * max(1.0, largest))}
    (folder / "case.json").write_text(json.dumps({"group": group, "name": name, "expected": tolerances}))


def case(folder, number, seed):
    generator = torch.Generator().manual_seed(seed * 100_003 + number)
    torch.manual_seed(seed * 100_003 + number)
    hidden, layers, window = 16, draw(generator, 1, 2), draw(generator, 4, 8)
    sizes = {"ffnn_size": draw(generator, 7, 20), "feature_size": draw(generator, 3, 5), "max_span_width": draw(generator, 1, 3, 6),
             "top_span_ratio": draw(generator, 0.3, 0.4, 0.6), "max_top_antecedents": draw(generator, 3, 8, 50), "coref_depth": draw(generator, 1, 2, 3),
             "dropout_rate": 0.0, "max_training_sentences": draw(generator, 2, 3), "genres": ["nw", "bc"]}  # fmt: skip
    config = LongformerConfig(
        vocab_size=VOCABULARY, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=draw(generator, 1, 2), intermediate_size=24,
        max_position_embeddings=66, attention_window=[window] * layers, attention_probs_dropout_prob=0.0, hidden_dropout_prob=0.0, type_vocab_size=1)
    body, head = LongformerModel(config, add_pooling_layer=False).eval(), Head(hidden, sizes)
    with torch.no_grad():
        for parameter in [*body.parameters(), *head.parameters()]:
            parameter.add_(0.2 * torch.randn_like(parameter))
    for _ in range(50):
        document = document_of(generator, draw(generator, 1, 2, 3), draw(generator, 12, 20, 28), sizes["max_span_width"])
        expected = run(body, head, document)
        # What is chosen must not hang on a rounding: the same document by weights that are moved a little is chosen alike.
        state = [parameter.detach().clone() for parameter in head.parameters()]
        with torch.no_grad():
            for parameter in head.parameters():
                parameter.mul_(1 + 1e-4 * torch.randn_like(parameter))
        moved = run(body, head, document, gradients=False)
        with torch.no_grad():
            for parameter, before in zip(head.parameters(), state):
                parameter.copy_(before)
        if torch.equal(expected["spans"], moved["spans"]) and torch.equal(expected["antecedents"], moved["antecedents"]):
            break
    else:
        raise RuntimeError(f"case {number}: no document whose choices are firm")
    weights = {f"longformer.{n}": p.detach().clone() for n, p in body.named_parameters()} | {
        f"coref.{n}": p.detach().clone() for n, p in head.named_parameters()}  # fmt: skip
    exact = run(body.double(), head.double(), document)
    mentions = [(first, last, number) for number, cluster in enumerate(document["clusters"]) for first, last in cluster]
    inputs = {"input_ids": document["ids"], "sentence_map": torch.tensor(document["sentences"]), "speaker_ids": torch.tensor(document["speakers"]),
              "genre": torch.tensor([document["genre"]])} | {
                  name: torch.tensor([m[i] for m in mentions]) for i, name in enumerate(("mention_starts", "mention_ends", "mention_clusters"))}  # fmt: skip
    described = config.to_dict() | {"architectures": ["LongformerForCoreference"], "coreference": sizes}
    for part, group in (("scores", "models"), ("gradients", "gradients")):
        names = [n for n in expected if n == "loss" or n.startswith("grad.") == (part == "gradients")]
        write(folder / part, group, f"coreference_{number}_{part}", described, weights, inputs, {n: expected[n] for n in names}, exact)


if __name__ == "__main__":
    case_folders.main(case)
