#!/usr/bin/env python3
"""Encodes files of JSON lines with Ray, by a pool of actors: vectors of every file in one of numpy's.

    ray_encode.py CHECKPOINT --output /data/vectors --actors 16 /data/corpus/*.jsonl

Needs ray, and longformer_interop on every node. Ray sets OMP_NUM_THREADS to the cores of an actor. One that dies is started again, and its
file is done again."""
from __future__ import annotations

import argparse
import json
import os
import uuid
from pathlib import Path

import numpy as np

import longformer_interop as lf


class Encoder:
    """The actor: a process with the checkpoint in it."""

    def __init__(self, encoder: lf.PerProcess[lf.DocumentEncoder]) -> None:
        self.model = encoder.get()

    def encode_file(self, source: str, target: str) -> int:
        """Writes the vectors of the texts of a file, and returns how many there are."""
        lines = Path(source).read_text(encoding="utf-8").split("\n")
        documents = [json.loads(line)["text"] for line in lines if line.strip()]
        vectors = self.model.encode(documents) if documents else np.empty((0, self.model.hidden_size), np.float32)
        temporary = f"{target}.{uuid.uuid4().hex}.tmp"
        try:
            with open(temporary, "wb") as output:
                np.save(output, vectors)
            os.replace(temporary, target)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
        return len(vectors)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkpoint")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--output", required=True, help="folder for the vectors, the same on all nodes")
    parser.add_argument("--actors", type=int, default=2)
    parser.add_argument("--cores", type=int, default=1, help="of an actor")
    given = parser.parse_args()
    import ray
    from ray.util import ActorPool

    ray.init()
    encoder = lf.PerProcess(lf.DocumentEncoder, given.checkpoint)
    actor = ray.remote(num_cpus=given.cores, max_restarts=-1, max_task_retries=-1)(Encoder)
    pool = ActorPool([actor.remote(encoder) for _ in range(given.actors)])
    os.makedirs(given.output, exist_ok=True)
    work = []
    for number, file in enumerate(given.files):
        target = os.path.join(os.path.abspath(given.output), f"{number:05d}-{Path(file).name}.npy")
        # What is there already is whole.
        if not os.path.exists(target):
            work.append((os.path.abspath(file), target))
    counts = pool.map_unordered(lambda a, files: a.encode_file.remote(*files), work)
    print(f"{sum(counts)} vectors in {given.output}")


if __name__ == "__main__":
    main()
