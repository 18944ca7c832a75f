"""The pythonnet backend beyond what it shares: the .NET API itself, numpy's memory, a clean start and exit beside torch."""
from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pytorch import pytorch

pytestmark = pytest.mark.usefixtures("needs_clr")
PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parents[1]
TORCHSHARP = """
import sys; sys.path.insert(0, sys.argv[1])
import numpy as np
import longformer_interop.clr as lf
try:
    lf.torchsharp(sys.argv[2])
except lf.LongformerError as e:
    print(e)
ts = lf.torchsharp(sys.argv[3])
there = ts.TensorExchange.ToTorchSharp
module = ts.PretrainedModule.Load(sys.argv[2])
print(module.GetType().Name)
inputs = ts.ModuleInputs()
inputs.InputIds, inputs.Labels = there(lf.to_net(np.array([[0, 31, 41, 2]]))), there(lf.to_net(np.array([1])))
optimizer = ts.FusedAdamW(module.parameters(), 1e-2)
for step in range(4):
    outputs = module.forward(inputs)
    optimizer.zero_grad()
    ts.BackwardPass.RunBackward(outputs.Loss)
    optimizer.step()
    print(float(lf.from_net(ts.TensorExchange.ToLongformer(outputs.Loss))))
module.SaveFolder(sys.argv[4])
with lf.load_model(sys.argv[4]) as saved:
    print(int(saved(input_ids=[[0, 31, 41, 2]])["logits"].argmax()))
"""


@pytest.fixture(scope="module")
def clr():
    import longformer_interop.clr as backend

    return backend


def test_the_net_api_loads_and_runs(clr, models):
    model = clr.net.Models.LongformerModel.Load(str(models / "encoder"))
    assert model.Configuration.HiddenSize == 64 and model.Architecture == "LongformerModel"
    inputs = clr.net.Models.LongformerInputs()
    inputs.InputIds = clr.to_net(np.array([[0, 31, 41, 2]]))
    states = clr.from_net(model.Forward(inputs).LastHiddenState)
    with clr.load_model(models / "encoder") as same:
        np.testing.assert_array_equal(states, same(input_ids=[[0, 31, 41, 2]])["last_hidden_state"])
        assert same.net.Architecture == "LongformerModel"
    model.Dispose()


def test_gradients_by_the_net_api(clr):
    operators, relu = clr.net.Torch.LongformerOps, clr.net.Torch.Activation.Relu
    x, gradient = clr.to_net(np.array([1.0, -2.0, 3.0])), clr.to_net(np.array([5.0, 6.0, 7.0]))
    np.testing.assert_allclose(clr.from_net(operators.ActivationBackward(gradient, x, relu)), [5, 0, 7])


def test_arrays_and_tensors_share_memory(clr):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    tensor = clr.to_net(array)
    array[0, 0] = 42
    there = clr.from_net(tensor)
    assert there.ctypes.data == array.ctypes.data and there[0, 0] == 42
    del array
    np.testing.assert_array_equal(there, [[42, 1, 2], [3, 4, 5]])
    tensor.Dispose()
    np.testing.assert_array_equal(there, [[42, 1, 2], [3, 4, 5]])


def test_a_read_only_array_is_copied(clr):
    array = np.zeros(3)
    array.flags.writeable = False
    tensor = clr.to_net(array)
    assert clr.from_net(tensor).ctypes.data != array.ctypes.data


def test_transposed_arrays_keep_their_strides(clr):
    array = np.arange(6, dtype=np.int64).reshape(2, 3).T
    tensor = clr.to_net(array)
    assert list(tensor.Strides) == [1, 3]
    np.testing.assert_array_equal(clr.from_net(tensor), array)


def test_large_arrays_cost_no_copy(clr):
    array = np.zeros(50_000_000, np.uint8)
    clr.to_net(array).Dispose()
    best = 9.0
    for _ in range(10):
        begin = time.perf_counter()
        clr.from_net(clr.to_net(array))
        best = min(best, time.perf_counter() - begin)
    assert best < 0.05


@pytest.mark.parametrize("order", ["", "before", "after"])
def test_it_starts_and_ends_cleanly_beside_torch(order, models):
    if order:
        pytorch()
    torch = "import torch; t = torch.ones(3) @ torch.ones(3)\n"
    code = (
        f"import sys; sys.path.insert(0, {str(PACKAGE)!r})\n"
        + (torch if order == "before" else "")
        + "import longformer_interop.clr as lf\n"
        + f"encoder = lf.DocumentEncoder.load({str(models / 'encoder')!r})\n"
        + "v = encoder.encode(['a', 'b'])\n"
        + (torch if order == "after" else "")
        + "print(v.shape, lf.net.Torch.TorchRuntime.Version)\n"
    )
    begin = time.perf_counter()
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0 and run.stdout.startswith("(2, 64) ") and run.stderr == "", run
    assert time.perf_counter() - begin < 60


def test_the_operators_are_shared_with_torch(clr, models):
    torch = pytorch()
    lt = pytest.importorskip("longformer_interop.torch")
    x = torch.randn(1, 9, 2, 4)
    np.testing.assert_allclose(clr.banded_attention(x, x, x, 2), lt.banded_attention(x, x, x, 2).numpy(), atol=1e-6)
    # Tensors go over by DLPack, and share their memory.
    y = torch.arange(4.0)
    tensor = clr.to_net(y)
    assert tensor.DataPointer == y.data_ptr()
    tensor.Dispose()
    assert torch.equal(torch.from_dlpack(clr.from_net(clr.to_net(y))), y)


def test_torchsharp_modules_are_trained_and_saved_from_python(models, tmp_path):
    program = ROOT / "build/dotnet/bin/LongformerInterop.TorchSharp.Tests/release"
    arguments = [str(PACKAGE), str(models / "classifier"), str(program), str(tmp_path / "saved")]
    environment = {**os.environ, "LIBTORCH": str(ROOT / "artifacts/libtorch")}
    run = subprocess.run([sys.executable, "-c", TORCHSHARP, *arguments], capture_output=True, text=True, timeout=600, env=environment)
    assert run.returncode == 0, run
    refused, kind, *losses, label = run.stdout.splitlines()
    assert refused.endswith("given one without TorchSharp.dll and LongformerInterop.TorchSharp.dll")
    assert kind == "LongformerForSequenceClassificationModule" and label == "1"
    assert float(losses[-1]) < float(losses[0]) / 2, losses
