using LongformerInterop.Models.Layers;
using LongformerInterop.Models.Led;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

/// <summary>A model's use of a device, as far as it shows without one: nothing waits for the device, and no value is read back.</summary>
public sealed class DeviceTests
{
    // Each makes the host wait for a GPU: it needs a value, or a shape that follows from values.
    private static readonly string[] Waiting =
    [
        "aten::item", "aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::index.Tensor", "aten::equal",
        "aten::is_nonzero", "aten::any",
        "aten::all", "aten::unique", "aten::repeat_interleave.Tensor", "aten::copy_", "aten::to.dtype_layout", "aten::bincount",
    ];

    private static void AssertNothingWaits(OperatorProfile profile, params string[] allowed) =>
        Assert.That(profile.Costs.Select(c => c.Operator).Where(name => Waiting.Contains(name) && !allowed.Contains(name)), Is.Empty);

    private static LongformerInputs Batch() => TinyModels.Pad(
        [TinyModels.Document(40, 1), TinyModels.Document(23, 2)], [[1, .. new byte[39]], [1, 1, .. new byte[21]]]);

    [TestCaseSource(nameof(Heads))]
    public void A_pass_waits_for_nothing(Func<PretrainedModel> load)
    {
        using TensorScope scope = new();
        using PretrainedModel model = load();
        LongformerInputs batch = Batch();
        using OperatorProfile profile = OperatorProfile.Start();
        model.Run(new Dictionary<string, Tensor>
        {
            ["input_ids"] = batch.InputIds!, ["attention_mask"] = batch.AttentionMask!, ["global_attention_mask"] = batch.GlobalAttentionMask!,
        });
        // The one copy of dtype_layout is that of the inputs which are read on the host, from the CPU to the CPU.
        AssertNothingWaits(profile, "aten::to.dtype_layout");
        Assert.That(profile.Costs.Where(c => c.Operator == "aten::to.dtype_layout").Sum(c => c.Calls), Is.LessThanOrEqualTo(3));
    }

    private static IEnumerable<TestCaseData> Heads() =>
    [
        new TestCaseData((Func<PretrainedModel>)(() => TinyModels.Load(LongformerModel.Load))).SetArgDisplayNames("model"),
        new TestCaseData((Func<PretrainedModel>)(() => TinyModels.Load(LongformerForMaskedLM.Load))).SetArgDisplayNames("masked LM"),
        new TestCaseData((Func<PretrainedModel>)(() => TinyModels.Load(LongformerForSequenceClassification.Load)))
            .SetArgDisplayNames("classification"),
        new TestCaseData((Func<PretrainedModel>)(() => TinyModels.Load(LongformerForQuestionAnswering.Load))).SetArgDisplayNames("questions"),
    ];

    [Test]
    public void A_decoding_step_waits_for_nothing_but_its_logits()
    {
        using TensorScope scope = new();
        using LedForConditionalGeneration model = LedForConditionalGeneration.Load(Golden.Open("led", "generate_greedy").Folder);
        LedInputs inputs = new()
        {
            InputIds = Tensor.From<long>([0, 9, 8, 2, 1, 0, 5, 6, 7, 2], 2, 5),
            AttentionMask = Tensor.From<long>([1, 1, 1, 1, 0, 1, 1, 1, 1, 1], 2, 5),
        };
        using OperatorProfile profile = OperatorProfile.Start();
        using LedEncodedDocuments documents = model.Encode(inputs);
        AssertNothingWaits(profile, "aten::to.dtype_layout");
        using IDecodingSession session = model.StartDecoding(documents, 20, 2);
        session.Start([[2], [2]]);
        session.Step([7, 8], [0, 1]);
        // copy_ puts keys and values into their slots, and fetches the logits at the end: the one wait.
        AssertNothingWaits(profile, "aten::to.dtype_layout", "aten::copy_");
    }

    /// <summary>
    /// On the meta device there are no values at all: reading one fails. A layer without global tokens only, since libtorch 1.13 looks
    /// up rows nowhere but where there are values.
    /// </summary>
    [Test]
    public void A_layer_is_loaded_to_another_device_and_runs_without_values()
    {
        using TensorScope scope = new();
        string folder = Golden.Open("self_attention", "all_global_chunks").Folder;
        using LongformerSelfAttentionModule layer = LongformerSelfAttentionModule.Load(folder, new LoadOptions { Device = Device.Meta });
        long width = LongformerConfiguration.Load(folder).HiddenSize;
        Tensor context = layer.Forward(Tensor.Empty([2, 40, width], DType.Float32, Device.Meta));
        Assert.That(context.Shape, Is.EqualTo((long[])[2, 40, width]));
        Assert.That(context.Device, Is.EqualTo(Device.Meta));
    }

    [Test]
    public void Joined_weights_are_the_parameters_themselves()
    {
        using TensorScope scope = new();
        using LongformerModel model = TinyModels.Load(LongformerModel.Load, options: new LoadOptions { Device = Device.Meta });
        NamedParameter[] parts = [.. model.NamedParameters.Where(p => p.Name.StartsWith("encoder.layer.1.attention.self.", StringComparison.Ordinal)
            && !p.Name.Contains("global", StringComparison.Ordinal))];
        Assert.That(parts.Select(p => p.Name.Split('.')[^2]).Distinct(), Is.EqualTo((string[])["query", "key", "value"]));
        Assert.That(parts.Where(p => p.Name.EndsWith("weight", StringComparison.Ordinal)).Select(p => p.Tensor.Shape),
            Is.All.EqualTo((long[])[32, 32]));
        Assert.That(model.NamedParameters.Select(p => p.Tensor.Device).Distinct(), Is.EqualTo((Device[])[Device.Meta]));
    }

    [Test]
    public void A_missing_device_is_told_before_the_weights_are_read()
    {
        Assume.That(TorchRuntime.CudaAvailable, Is.False, "this machine has a GPU");
        LoadOptions options = new() { Device = Device.Cuda() };
        Assert.That(() => PretrainedModel.Load("no such folder", options), Throws.InstanceOf<LongformerException>());
        Assert.That(() => TinyModels.Load(LongformerModel.Load, options: options), Throws.TypeOf<DeviceException>().With.Message.Contains("cuda"));
        Assert.That(() => LedForConditionalGeneration.Load(Golden.Open("led", "generate_greedy").Folder, options), Throws.TypeOf<DeviceException>());
    }

    [Test]
    public void A_dtype_that_models_do_not_have_is_refused([Values] bool led)
    {
        LoadOptions options = new() { DType = DType.Int32 };
        Assert.That(() => led
            ? LedForConditionalGeneration.Load(Golden.Open("led", "generate_greedy").Folder, options)
            : (PretrainedModel)TinyModels.Load(LongformerModel.Load, options: options),
            Throws.TypeOf<InputException>().With.Message.Contains("Int32"));
    }

    [Test]
    public void Integers_and_bytes_share_a_buffer()
    {
        using TensorScope scope = new();
        HostBuffer host = new();
        BufferPart first = host.Add([1L, -2, 3]), mask = host.Add((ReadOnlySpan<byte>)[1, 0, 1, 1, 0, 0, 1, 0, 1, 1]),
            last = host.Add([long.MaxValue, 5]);
        Tensor buffer = host.Upload(Device.Cpu);
        Assert.That(first.In(buffer, 3).ToArray<long>(), Is.EqualTo((long[])[1, -2, 3]));
        Assert.That(mask.In(buffer, 2, 5).ToArray<byte>(), Is.EqualTo((byte[])[1, 0, 1, 1, 0, 0, 1, 0, 1, 1]));
        Assert.That(last.In(buffer, 2, 1).ToArray<long>(), Is.EqualTo((long[])[long.MaxValue, 5]));
    }
}
