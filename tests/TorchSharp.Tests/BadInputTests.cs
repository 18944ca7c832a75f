using LongformerInterop.Models.Tests;
using LongformerInterop.Torch;
using Parameter = TorchSharp.Modules.Parameter;

namespace LongformerInterop.TorchSharp.Tests;

/// <summary>Mistakes of a program: one exception that names the argument, and never the end of the process.</summary>
public class BadInputTests
{
    private static readonly torch.Device Elsewhere = torch.device("meta");

    private static void Refuses(Func<object?> call, string start) =>
        Assert.That(() => call(), Throws.TypeOf<InputException>().With.Message.StartsWith(start));

    [Test]
    public void Wrong_shapes()
    {
        using DisposeScope disposeScope = torch.NewDisposeScope();
        using PretrainedModule module = Torches.Module("LongformerForSequenceClassification"), led = Torches.Module("LEDForConditionalGeneration");
        TorchTensor ids = Torches.Ids();
        Refuses(() => module.forward(torch.zeros([2, 0], dtype: torch.ScalarType.Int64)), "input_ids");
        Refuses(() => module.forward(ids.view(2, 4, 5)), "input_ids");
        Refuses(() => module.forward(ids, globalAttentionMask: torch.ones([1, 20])), "global_attention_mask");
        Refuses(() => module.forward(ids, labels: torch.tensor(new long[] { 0, 1, 2 })), "labels");
        Refuses(() => module.call(new ModuleInputs { InputsEmbeds = torch.ones([2, 20, 31]) }), "inputs_embeds");
        Refuses(() => module.call(new ModuleInputs { InputsEmbeds = torch.ones([]) }), "inputs_embeds");
        Refuses(() => module.call(new ModuleInputs { InputIds = ids, PositionIds = ids.narrow(1, 0, 3) }), "position_ids");
        Refuses(() => led.call(new ModuleInputs { InputIds = ids, DecoderInputIds = ids.view(-1) }), "decoder_input_ids");
        Refuses(() => led.call(new ModuleInputs { InputIds = ids, DecoderInputIds = ids, DecoderAttentionMask = torch.ones([2, 19]) }),
            "decoder_attention_mask");
    }

    [Test]
    public void Wrong_dtypes()
    {
        using DisposeScope disposeScope = torch.NewDisposeScope();
        using PretrainedModule module = Torches.Module("LongformerForSequenceClassification");
        TorchTensor ids = Torches.Ids(), labels = torch.tensor(new long[] { 0, 1 });
        Refuses(() => module.forward(ids.to(torch.ScalarType.Float64)), "input_ids");
        Refuses(() => module.forward(ids.to(torch.ScalarType.Bool)), "input_ids");
        Refuses(() => module.forward(ids.to(torch.ScalarType.ComplexFloat32)), "input_ids");
        Refuses(() => module.forward(ids, labels: labels.to(torch.ScalarType.Float32)), "labels");
        Refuses(() => module.call(new ModuleInputs { InputsEmbeds = torch.ones([2, 20, 32], dtype: torch.ScalarType.Int64) }), "inputs_embeds");
        module.to(torch.ScalarType.ComplexFloat32);
        Refuses(() => module.forward(ids), "longformer.embeddings.word_embeddings.weight");
    }

    [Test]
    public void Wrong_devices()
    {
        using DisposeScope disposeScope = torch.NewDisposeScope();
        using PretrainedModule module = Torches.Module();
        TorchTensor ids = Torches.Ids(), query = torch.randn([1, 8, 2, 4]);
        BandedAttentionOptions options = new() { WindowLeft = 2, WindowRight = 2 };
        Refuses(() => module.forward(ids.to(Elsewhere)), "input_ids");
        Refuses(() => module.forward(ids, ids.to(Elsewhere)), "attention_mask");
        Refuses(() => module.call(new ModuleInputs { InputsEmbeds = torch.ones([2, 20, 32], device: Elsewhere) }), "inputs_embeds");
        Refuses(() => BandedAttention.Apply(query, query.to(Elsewhere), query, options), "key");
        Refuses(() => query.to(Elsewhere).ToLongformer(), "tensor");
        module.to(Elsewhere);
        Refuses(() => module.forward(ids), "embeddings.word_embeddings.weight");
        // One part of the module alone.
        using PretrainedModule second = Torches.Module();
        second.named_modules().First(m => m.name == "encoder.layer.1").module.to(Elsewhere);
        Refuses(() => second.forward(ids), "encoder.layer.1.");
    }

    [Test]
    public void Ids_out_of_range()
    {
        using DisposeScope disposeScope = torch.NewDisposeScope();
        using PretrainedModule module = Torches.Module("LongformerForSequenceClassification"), led = Torches.Module("LEDForConditionalGeneration");
        TorchTensor ids = Torches.Ids();
        Refuses(() => module.forward(ids - 100), "input_ids[0, 0]");
        Refuses(() => module.forward(ids + 90), "input_ids[0, 0]");
        Refuses(() => module.call(new ModuleInputs { InputIds = ids, TokenTypeIds = torch.full_like(ids, 7) }), "token_type_ids[0, 0]");
        Refuses(() => module.call(new ModuleInputs { InputIds = ids, PositionIds = torch.full_like(ids, 100_000) }), "position_ids[0, 0]");
        Refuses(() => module.forward(ids, labels: torch.tensor(new long[] { 0, 3 })), "labels");
        Refuses(() => module.forward(ids, labels: torch.tensor(new long[] { 0, -7 })), "labels");
        Refuses(() => led.call(new ModuleInputs { InputIds = ids, DecoderInputIds = torch.full_like(ids, -1) }), "decoder_input_ids[0, 0]");
        Refuses(() => led.forward(ids, labels: torch.full_like(ids, 90)), "labels[0, 0]");
        Refuses(() => module.forward(ids, globalAttentionMask: torch.full_like(ids, 5)), "global_attention_mask");
    }

    [Test]
    public void Tensors_that_are_disposed_between_the_two_passes_are_not_missed([Values] bool recompute)
    {
        using DisposeScope disposeScope = torch.NewDisposeScope();
        using PretrainedModule module = Torches.Module("LongformerForSequenceClassification");
        module.eval();
        module.RecomputeLayers = recompute;
        TorchTensor embeddings = torch.randn([2, 20, 32], requires_grad: true), labels = torch.tensor(new long[] { 0, 1 });
        ModuleOutputs Pass(TorchTensor given, TorchTensor by) => module.call(new ModuleInputs { InputsEmbeds = given, Labels = by });
        Pass(embeddings, labels).Loss!.RunBackward();
        TorchTensor expected = embeddings.grad!.clone();
        embeddings.grad!.zero_();

        // libtorch and the tape hold what they need: that the caller lets go changes nothing.
        TorchTensor alias = embeddings.alias(), label = labels.clone();
        ModuleOutputs outputs = Pass(alias, label);
        TorchTensor loss = outputs.Loss!.alias();
        alias.Dispose();
        label.Dispose();
        outputs.Dispose();
        loss.RunBackward();
        Torches.AssertClose(embeddings.grad!, expected, 1e-6, "with the inputs gone");
        loss.Dispose();
        Refuses(() =>
        {
            loss.RunBackward();
            return null;
        }, "loss: expected a tensor that is alive");
    }

    [Test]
    public void A_module_that_is_disposed_or_converted_between_the_two_passes_has_its_gradient_or_says_why([Values] bool recompute,
        [Values] bool convert)
    {
        using DisposeScope disposeScope = torch.NewDisposeScope();
        PretrainedModule module = Torches.Module();
        module.eval();
        module.RecomputeLayers = recompute;
        TorchTensor embeddings = torch.randn([2, 20, 32], requires_grad: true);
        TorchTensor Loss() => module.call(new ModuleInputs { InputsEmbeds = embeddings }).LastHiddenState.pow(2).sum();
        Loss().RunBackward();
        TorchTensor expected = embeddings.grad!.clone();
        embeddings.grad!.zero_();
        TorchTensor loss = Loss();
        if (convert)
        {
            module.to(torch.ScalarType.Float64);
            module.forward(Torches.Ids()).Dispose();
        }
        else
        {
            module.Dispose();
        }

        if (recompute)
            Assert.That(() => loss.RunBackward(), Throws.TypeOf<ObjectDisposedException>());
        else
            loss.RunBackward();
        if (!recompute)
            Torches.AssertClose(embeddings.grad!, expected, 1e-6, "of what is gone");
        module.Dispose();
    }

    [Test]
    public void Modules_and_their_parts_behind_Dispose()
    {
        using DisposeScope disposeScope = torch.NewDisposeScope();
        PretrainedModule module = Torches.Module();
        Parameter parameter = module.parameters().First();
        TorchTensor ids = Torches.Ids();
        module.Dispose();
        Assert.That(() => module.forward(ids), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => module.call(new ModuleInputs { InputIds = ids }), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => module.SaveFolder("nowhere"), Throws.TypeOf<ObjectDisposedException>());
        Refuses(() => parameter.ToLongformer(), "tensor: expected a tensor that is alive");
        using FusedAdamW optimizer = new([new Parameter(torch.ones(3))]);
        TorchTensor held = optimizer.parameters().First();
        held.grad = torch.ones(3);
        held.Dispose();
        Refuses(() => optimizer.step(), "parameter: expected a tensor that is alive");
    }
}
