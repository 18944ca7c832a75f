"""PerProcess and the programs of examples/: workers that are forked, spawned or killed, what they load, and with how many threads."""
from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import longformer_interop as lf

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples"
WORDS = ["ada", "wrote", "the", "first", "program", "in", "london", "long", "ago"]


def texts(count: int, seed: int = 1) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, size=random.integers(1, 40))) for _ in range(count)]


def run(tmp_path: Path, code: str, seconds: float = 120, **environment: str) -> str:
    """What a program prints. It is a file, since spawned processes import it."""
    file = tmp_path / "program.py"
    file.write_text(f"import sys\nsys.path[:0] = [{str(ROOT / 'bindings' / 'python')!r}, {str(EXAMPLES)!r}]\n" + code)
    # A distribution's libtorch brings an OpenBLAS with threads of its own.
    kept = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"} | {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=seconds, env=kept | environment, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def example(name: str):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_one_object_for_a_process_whoever_asks(models):
    shared = lf.PerProcess(lf.DocumentEncoder, models / "encoder", threads=lf.get_threads())
    again = lf.PerProcess(lf.DocumentEncoder, f"{models}/encoder", threads=lf.get_threads())
    assert shared == again and hash(shared) == hash(again) and "DocumentEncoder" in repr(shared)
    assert shared.get() is again.get()
    assert lf.PerProcess(lf.DocumentEncoder, models / "encoder", attention="loop", threads=lf.get_threads()).get() is not shared.get()
    first = shared.get()
    first.close()
    assert shared.get() is not first and shared.get().encode("one").shape == (64,), "a closed one is loaded again"


def test_what_is_no_model_is_refused(models):
    with pytest.raises(lf.InputError, match="kind: expected a class with load"):
        lf.PerProcess(str, models / "encoder")
    with pytest.raises(lf.InputError, match="threads: expected at least 1, given 0"):
        lf.PerProcess(lf.DocumentEncoder, models / "encoder", threads=0)
    with pytest.raises(lf.InputError, match="options: expected these or device, given both"):
        lf.PerProcess(lf.DocumentEncoder, models / "encoder", options=lf.LoadOptions(), device="cpu")
    nowhere = lf.PerProcess(lf.DocumentEncoder, "no/such/folder", threads=lf.get_threads())
    for _ in range(2):
        with pytest.raises(lf.CheckpointError, match="no/such/folder"):
            nowhere.get()


POOL = """
import multiprocessing, os
import longformer_interop as lf

shared = lf.PerProcess(lf.DocumentEncoder, {encoder!r})
loads = []
load = lf.DocumentEncoder.load.__func__
lf.DocumentEncoder.load = classmethod(lambda *a, **k: (loads.append(a), load(*a, **k))[1])

def work(text):
    vector = shared.get().encode(text)
    # Threads of OpenMP are named as the program is; .NET's have names of their own.
    own = open("/proc/self/comm").read()
    threads = sum(open(f"/proc/self/task/{{t}}/comm").read() == own for t in os.listdir("/proc/self/task"))
    return os.getpid(), len(loads), threads, lf.get_threads(), vector.tolist()

if __name__ == "__main__":
    assert "libtorch" not in open("/proc/self/maps").read(), "nothing is loaded where it is made"
    texts = {texts!r}
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        done = pool.map(work, texts, chunksize=3)
        pool.close()
        pool.join()
    import numpy as np
    print(len({{d[0] for d in done}}) <= 2, {{d[1] for d in done}}, {{d[2] for d in done}}, {{d[3] for d in done}})
    lf.set_threads(1)
    print(np.abs(np.array([d[4] for d in done]) - lf.DocumentEncoder.load({encoder!r}).encode(texts)).max() < 1e-5)
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_pools_load_once_a_worker_with_the_threads_that_they_have(models, tmp_path, method):
    code = POOL.format(encoder=str(models / "encoder"), texts=texts(24), method=method)
    # A worker: loaded once, 1 thread of its own beside .NET's, 1 for an operator.
    assert run(tmp_path, code).splitlines() == ["True {1} {1} {1}", "True"]
    if method == "spawn":
        assert run(tmp_path, code, OMP_NUM_THREADS="3").splitlines() == ["True {1} {3} {3}", "True"]


def test_a_fork_of_a_process_that_had_loaded_is_refused_and_the_parent_goes_on(models, tmp_path):
    code = f"""
import os
import longformer_interop as lf
shared = lf.PerProcess(lf.DocumentEncoder, {str(models / "encoder")!r})
before = shared.get().encode("one")
pid = os.fork()
if pid == 0:
    try:
        shared.get()
    except lf.LongformerError as e:
        os._exit(7 if "spawn" in str(e) and "forkserver" in str(e) else 1)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), (shared.get().encode("one") == before).all())
"""
    assert run(tmp_path, code) == "7 True\n"


def test_threads_of_one_worker_share_its_model(models, tmp_path):
    code = f"""
import threading
import longformer_interop as lf
shared = lf.PerProcess(lf.DocumentEncoder, {str(models / "encoder")!r}, threads=1)
got, start = [], threading.Barrier(4)
def work():
    start.wait()
    got.append(shared.get())
    got[-1].encode("one two three")
workers = [threading.Thread(target=work) for _ in range(4)]
for w in workers: w.start()
for w in workers: w.join()
print(len(got), len(set(map(id, got))), lf.get_threads())
"""
    assert run(tmp_path, code) == "4 1 1\n"


DASK = """
import glob, os, signal, threading, time
import dask
import numpy as np
import longformer_interop as lf
from dask_encode import encode_corpus
from distributed import Client, LocalCluster

if __name__ == "__main__":
    dask.config.set({{"logging.distributed": "critical", "distributed.nanny.environ.OMP_NUM_THREADS": 1}})
    encoder = lf.PerProcess(lf.DocumentEncoder, {encoder!r})
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        pids = client.run(os.getpid)
        killed = []
        def kill():
            while len(glob.glob("vectors/*.npy")) < 2:
                time.sleep(0.005)
            killed.append(list(pids.values())[0])
            os.kill(killed[0], signal.SIGKILL)
        killer = threading.Thread(target=kill)
        killer.start()
        made = encode_corpus(client, sorted(glob.glob("*.jsonl")), "vectors", encoder, 2048)
        killer.join()
        # What is there is not made again; one that is missing is.
        os.remove(sorted(glob.glob("vectors/*.npy"))[1])
        again = encode_corpus(client, sorted(glob.glob("*.jsonl")), "vectors", encoder, 2048)
        client.wait_for_workers(2)
        now = client.run(os.getpid)
        threads = client.run(lambda: lf.get_threads())
    print(made == {count}, 0 < again < 100, killed[0] not in now.values(), set(threads.values()), len(os.listdir("vectors")) > 20)
"""


def test_dask_workers_one_of_them_killed_give_what_one_process_gives(models, tmp_path):
    # Only looked for: importing it warns.
    if importlib.util.find_spec("distributed") is None:
        pytest.skip("python3-distributed is not installed")
    documents = texts(1500)
    for i in range(3):
        (tmp_path / f"{i}.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in documents[500 * i : 500 * (i + 1)]))
    shown = run(tmp_path, DASK.format(encoder=str(models / "encoder"), count=len(documents)))
    assert shown.splitlines()[-1] == "True True True {1} True"
    vectors = np.concatenate([np.load(f) for f in sorted((tmp_path / "vectors").glob("block-*.npy"))])
    with lf.DocumentEncoder.load(models / "encoder") as encoder:
        np.testing.assert_allclose(vectors, encoder.encode(documents), atol=1e-5)
    assert not list((tmp_path / "vectors").glob("*.tmp"))


# What PySpark and Ray send to a worker is pickled by cloudpickle; the worker is a process that knows nothing else.
WORKER = """
import pickle, sys
work, arguments = pickle.load(open("sent.pickle", "rb"))
pickle.dump(work(*arguments), open("returned.pickle", "wb"))
"""


def sent(tmp_path: Path, work, *arguments):
    import pickle

    cloudpickle = pytest.importorskip("cloudpickle", reason="python3-distributed is not installed")
    (tmp_path / "sent.pickle").write_bytes(cloudpickle.dumps((work, arguments)))
    run(tmp_path, WORKER, OMP_NUM_THREADS="1")
    return pickle.loads((tmp_path / "returned.pickle").read_bytes())


def test_the_function_of_the_spark_program_works_where_it_is_sent(models, tmp_path):
    pandas = pytest.importorskip("pandas", reason="python3-pandas is not installed")
    encode_batches = example("spark_encode").encode_batches
    documents = texts(20)
    batches = [pandas.Series(documents[:9], index=range(100, 109)), pandas.Series(["", None]), pandas.Series(documents[9:])]
    encoder = lf.PerProcess(lf.DocumentEncoder, models / "encoder")

    def work(given):
        import longformer_interop as there

        returned = [list(r) for r in encode_batches(iter(given), encoder)]
        return returned, there.get_threads()

    (first, blank, last), threads = sent(tmp_path, work, batches)
    assert (blank, threads) == ([None, None], 1)
    with lf.DocumentEncoder.load(models / "encoder") as whole:
        np.testing.assert_allclose(np.array(first + last, np.float32), whole.encode(documents), atol=1e-5)


def test_the_actor_of_the_ray_program_works_where_it_is_sent(models, tmp_path):
    actor = example("ray_encode").Encoder
    documents = texts(20)
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in documents))
    encoder = lf.PerProcess(lf.DocumentEncoder, models / "encoder")

    def work(source, target):
        return [actor(encoder).encode_file(source, target) for _ in range(2)]

    assert sent(tmp_path, work, "in.jsonl", "out.npy") == [20, 20]
    with lf.DocumentEncoder.load(models / "encoder") as whole:
        np.testing.assert_allclose(np.load(tmp_path / "out.npy"), whole.encode(documents), atol=1e-5)


@pytest.mark.parametrize("program", ["dask_encode", "spark_encode", "ray_encode"])
def test_a_program_says_how_it_is_used(tmp_path, program):
    if program == "spark_encode":
        pytest.importorskip("pandas")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "bindings" / "python")}
    done = subprocess.run([sys.executable, str(EXAMPLES / f"{program}.py"), "--help"], capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0 and "--output" in done.stdout, done.stderr
