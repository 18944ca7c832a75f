using LongformerInterop.Models.Graphs;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

/// <summary>Work that is recorded when it comes again, with a stand-in for CUDA graphs.</summary>
public sealed class GraphTests
{
    private static LongformerInputs Inputs(int seed, int length = 30, int second = 17)
    {
        byte[] Globals(int tokens, int at)
        {
            var mask = new byte[tokens];
            mask[at] = 1;
            return mask;
        }
        return LongformerInputs.Pack([TinyModels.Document(length, seed), TinyModels.Document(second, seed + 1)], [Globals(length, seed % 7), Globals(second, seed % 5)]);
    }

    private static float[] Vector(LongformerModel model, LongformerInputs inputs)
    {
        using var scope = new TensorScope();
        return model.Forward(inputs).LastHiddenState.ToArray<float>();
    }

    [Test]
    public void Recorded_passes_give_what_plain_passes_give([Values] bool inference)
    {
        var recorder = new RerunRecorder();
        using var scope = new TensorScope();
        using LongformerModel plain = TinyModels.Load(LongformerModel.Load), recorded = TinyModels.Load(LongformerModel.Load, options: new LoadOptions { WorkRecorder = recorder });
        for (int seed = 1; seed <= 6; seed++)
        {
            // The mode of the caller may change between calls.
            using IDisposable? mode = inference && seed % 3 != 0 ? TorchRuntime.InferenceMode() : null;
            LongformerInputs inputs = Inputs(seed);
            Assert.That(Vector(recorded, inputs), Is.EqualTo(Vector(plain, inputs)).Within(1e-6), $"pass {seed}");
        }
        Assert.That(recorded.Graphs, Is.EqualTo(new GraphStatistics(1, 5, 0, null)));
        Assert.That(plain.Graphs, Is.EqualTo(default(GraphStatistics)));
    }

    [Test]
    public void An_output_stays_what_it_was_when_the_next_pass_runs()
    {
        using var scope = new TensorScope();
        using LongformerModel model = TinyModels.Load(LongformerModel.Load, options: new LoadOptions { WorkRecorder = new RerunRecorder() });
        Vector(model, Inputs(1));
        Tensor first = model.Forward(Inputs(2)).LastHiddenState;
        float[] before = first.ToArray<float>();
        Vector(model, Inputs(3));
        Assert.That(first.ToArray<float>(), Is.EqualTo(before));
    }

    [Test]
    public void Records_are_kept_by_shape_and_bounded_in_number()
    {
        var recorder = new RerunRecorder();
        using (LongformerModel model = TinyModels.Load(LongformerModel.Load, options: new LoadOptions { WorkRecorder = recorder }))
        {
            for (int length = 20; length < 30; length++)
                for (int i = 0; i < 3; i++)
                    Vector(model, Inputs(i, length));
            // Ten shapes, each passed plainly once and then twice from its record; eight records are kept.
            Assert.That(model.Graphs, Is.EqualTo(new GraphStatistics(10, 20, 2, null)));
            Assert.That(recorder.Live, Is.EqualTo(8));
            // The one used last is still there, the first is not.
            Vector(model, Inputs(5, 29));
            Vector(model, Inputs(5, 20));
            Assert.That(model.Graphs, Is.EqualTo(new GraphStatistics(10, 21, 3, null)));
        }
        Assert.That(recorder.Live, Is.Zero);
    }

    [Test]
    public void Other_masks_and_global_tokens_are_another_shape_only_where_their_number_differs()
    {
        using var scope = new TensorScope();
        using LongformerModel model = TinyModels.Load(LongformerModel.Load, options: new LoadOptions { WorkRecorder = new RerunRecorder() });
        int[] document = TinyModels.Document(12, 1);
        LongformerInputs With(params int[] globals) => LongformerInputs.Pack([document], [[.. Enumerable.Range(0, 12).Select(i => globals.Contains(i) ? (byte)1 : (byte)0)]]);
        foreach (LongformerInputs inputs in (LongformerInputs[])[With(0), With(3), With(5), With(0, 1), With(), With(7)]) Vector(model, inputs);
        Assert.That(model.Graphs, Is.EqualTo(new GraphStatistics(1, 3, 0, null)));
    }

    [Test]
    public void What_depends_on_more_than_its_buffer_is_not_recorded()
    {
        using var scope = new TensorScope();
        using LongformerModel model = TinyModels.Load(LongformerModel.Load, options: new LoadOptions { WorkRecorder = new RerunRecorder() });
        for (int i = 0; i < 3; i++)
        {
            model.Forward(Inputs(1) with { OutputHiddenStates = true });
            model.Forward(Inputs(1) with { DropoutSeed = i });
            model.Forward(new LongformerInputs { InputsEmbeds = Tensor.Ones([1, 9, 32]) });
        }
        Assert.That(model.Graphs, Is.EqualTo(default(GraphStatistics)));
        using LongformerModel trained = TinyModels.Load(LongformerModel.Load, options: new LoadOptions { WorkRecorder = new RerunRecorder(), Trainable = true });
        for (int i = 0; i < 3; i++) Vector(trained, Inputs(1));
        Assert.That(trained.Graphs, Is.EqualTo(default(GraphStatistics)));
        using LongformerModel without = TinyModels.Load(LongformerModel.Load, options: new LoadOptions { WorkRecorder = new RerunRecorder(), CudaGraphs = false });
        for (int i = 0; i < 3; i++) Vector(without, Inputs(1));
        Assert.That(without.Graphs, Is.EqualTo(default(GraphStatistics)));
    }

    [Test]
    public void Where_recording_fails_the_work_is_done_plainly_and_the_reason_told()
    {
        using var scope = new TensorScope();
        using LongformerModel plain = TinyModels.Load(LongformerModel.Load), failing = TinyModels.Load(LongformerModel.Load, options: new LoadOptions { WorkRecorder = new RerunRecorder { Fails = true } });
        for (int i = 1; i <= 4; i++) Assert.That(Vector(failing, Inputs(i)), Is.EqualTo(Vector(plain, Inputs(i))).Within(1e-6));
        Assert.That(failing.Graphs, Is.EqualTo(new GraphStatistics(0, 0, 0, "this cannot be recorded")));
    }

    [Test]
    public void Threads_that_share_records_get_their_own_results()
    {
        using LongformerModel plain = TinyModels.Load(LongformerModel.Load), recorded = TinyModels.Load(LongformerModel.Load, options: new LoadOptions { WorkRecorder = new RerunRecorder() });
        float[][] expected = [.. Enumerable.Range(0, 12).Select(i => Vector(plain, Inputs(i)))];
        float[][] actual = new float[expected.Length][];
        Parallel.For(0, expected.Length, i => actual[i] = Vector(recorded, Inputs(i)));
        for (int i = 0; i < expected.Length; i++) Assert.That(actual[i], Is.EqualTo(expected[i]).Within(1e-6), $"pass {i}");
        Assert.That(recorded.Graphs.Replayed, Is.GreaterThan(0));
    }

    [Test]
    public void Nothing_is_left_of_a_model_and_its_records()
    {
        long before = TorchRuntime.LiveTensorCount;
        using (LongformerModel model = TinyModels.Load(LongformerModel.Load, options: new LoadOptions { WorkRecorder = new RerunRecorder() }))
        {
            for (int i = 0; i < 3; i++)
            {
                using var scope = new TensorScope();
                Vector(model, Inputs(i));
            }
        }
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before));
    }
}
