using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using LongformerInterop.Models;
using LongformerInterop.Models.Conversion;
using LongformerInterop.Tasks;
using LongformerInterop.Tasks.Generation;
using LongformerInterop.Torch;

namespace LongformerInterop.CApi.Exports;

internal static unsafe class ModelExports
{
    [UnmanagedCallersOnly(EntryPoint = "lfm_model_load", CallConvs = [typeof(CallConvCdecl)])]
    public static int Load(byte* folder, nint options, nint* model) => Loading.Run(folder, options, model, "model", ModelHandle.Load);

    [UnmanagedCallersOnly(EntryPoint = "lfm_model_free", CallConvs = [typeof(CallConvCdecl)])]
    public static int Free(nint model) => Failure.Run(() => Handles.Free<ModelHandle>(model, "model"));

    [UnmanagedCallersOnly(EntryPoint = "lfm_model_architecture", CallConvs = [typeof(CallConvCdecl)])]
    public static int Architecture(nint model, byte** name) => Failure.Run(() =>
    {
        CMemory.NotNull(name, "name");
        using Lease<ModelHandle> used = Use(model);
        *name = used.Value.Architecture;
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_model_run", CallConvs = [typeof(CallConvCdecl)])]
    public static int Run(nint model, byte** names, nint* tensors, nuint count, nint options, nint* outputs) => Failure.Run(() =>
    {
        CMemory.Out(outputs, "outputs");
        using Lease<ModelHandle> used = Use(model);
        using Lease<CallSettings> settings = Handles.UseOptional<CallSettings>(options, "options");
        OptionReader reader = new(settings.OrNull) { TakesCancel = true };
        bool states = reader.Flag("hidden_states") ?? false, attentions = reader.Flag("attentions") ?? false;
        reader.Finish("lf_model_run");
        using NamedInputs inputs = new(names, tensors, count);
        using CallContext watch = new(settings.OrNull);
        watch.Finish();
        using TensorScope scope = new();
        *outputs = Handles.Add(TensorMap.Results(used.Value.Model.Run(inputs.Tensors, states, attentions, watch.Token)));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_model_gradients", CallConvs = [typeof(CallConvCdecl)])]
    public static int Gradients(nint model, byte** names, nint* tensors, nuint count, nint* outputs) => Failure.Run(() =>
    {
        CMemory.Out(outputs, "outputs");
        using Lease<ModelHandle> used = Use(model);
        using NamedInputs inputs = new(names, tensors, count);
        using TensorScope scope = new();
        *outputs = Handles.Add(TensorMap.Results(new Dictionary<string, Tensor>(used.Value.Model.LossAndGradients(inputs.Tensors))));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_model_parameters", CallConvs = [typeof(CallConvCdecl)])]
    public static int Parameters(nint model, nint* parameters) => Failure.Run(() =>
    {
        CMemory.Out(parameters, "parameters");
        using Lease<ModelHandle> used = Use(model);
        *parameters = Handles.Add(TensorMap.Shared(used.Value.Model.NamedParameters.Select(p => KeyValuePair.Create(p.Name, p.Tensor))));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_model_save", CallConvs = [typeof(CallConvCdecl)])]
    public static int Save(nint model, byte* folder) => Failure.Run(() =>
    {
        using Lease<ModelHandle> used = Use(model);
        used.Value.Model.Save(CMemory.Name(folder, "folder"));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_model_generate", CallConvs = [typeof(CallConvCdecl)])]
    public static int Generate(nint model, byte** names, nint* tensors, nuint count, nint options, nint* answer) => Failure.Run(() =>
    {
        CMemory.Out(answer, "answer");
        using Lease<ModelHandle> used = Use(model);
        using Lease<CallSettings> settings = Handles.UseOptional<CallSettings>(options, "options");
        OptionReader reader = new(settings.OrNull) { TakesTokens = true, TakesWatch = true };
        GenerationOptions generation = GenerationSettings.Read(reader) with { KeepLogits = reader.Flag("keep_logits") ?? false };
        reader.Finish("lf_model_generate");
        TextGenerator generator = used.Value.Generator
            ?? throw new InputException("model", "an LEDForConditionalGeneration", $"a {used.Value.Model.Architecture}, which does not generate");
        using NamedInputs inputs = new(names, tensors, count);
        GenerationDocument[] documents = GenerationSettings.Documents(inputs.Tensors);
        using CallContext watch = new(settings.OrNull) { Documents = documents.Length };
        using TensorScope scope = new();
        IReadOnlyList<IReadOnlyList<GeneratedSequence>> results = generator.Generate(documents, generation,
            watch.WantsTokens ? watch.Generated : null, watch, watch.Token);
        watch.Finish();
        *answer = Handles.Add(new AnswerHandle([.. results.SelectMany((sequences, row) => sequences.Select(s => AnswerItem.From(s, row)))]));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_convert", CallConvs = [typeof(CallConvCdecl)])]
    public static int Convert(byte* source, byte* output, nint options, nint* report) => Failure.Run(() =>
    {
        if (report is not null)
            *report = 0;
        using Lease<CallSettings> settings = Handles.UseOptional<CallSettings>(options, "options");
        OptionReader reader = new(settings.OrNull) { TakesWatch = true };
        ConversionOptions conversion = new()
        {
            To = reader.Choice("to", ConversionTarget.Longformer,
                ("longformer", ConversionTarget.Longformer), ("led", ConversionTarget.Led), ("safetensors", ConversionTarget.Safetensors)),
            Positions = reader.Int("positions"),
            Window = reader.Ints("window"),
            BasePositions = reader.Int("base_positions"),
            ConfigurationFile = reader.Text("configuration_file"),
            Overwrite = reader.Flag("overwrite") ?? false,
        };
        reader.Finish("lf_convert");
        using CallContext watch = new(settings.OrNull);
        (string from, string to) = (CMemory.Name(source, "source"), CMemory.Name(output, "output"));
        ConversionResult result = CheckpointConverter.Convert(from, to, conversion, watch.Token);
        if (report is null)
            return;
        *report = Handles.Add(new AnswerHandle(
        [
            .. result.Source.Select(text => new AnswerItem { Label = "source", Text = text }),
            .. result.Notes.Select(text => new AnswerItem { Label = "note", Text = text }),
            .. result.Files.Select(text => new AnswerItem { Label = "file", Text = text }),
        ]));
    });

    private static Lease<ModelHandle> Use(nint model) => Handles.Use<ModelHandle>(model, "model");
}

/// <summary>Shared by all _load functions.</summary>
internal static unsafe class Loading
{
    /// <param name="folder">The path.</param>
    /// <param name="options">How to load; may be 0.</param>
    /// <param name="output">Gets the handle.</param>
    /// <param name="argument">The name of <paramref name="output"/> in C.</param>
    /// <param name="load">Loads a folder.</param>
    /// <param name="fallback">The folder that a NULL means; null where a NULL is an error.</param>
    public static int Run(byte* folder, nint options, nint* output, string argument, Func<string, LoadOptions?, object> load,
        Func<string>? fallback = null) => Failure.Run(() =>
    {
        CMemory.Out(output, argument);
        string path = folder is null && fallback is not null ? fallback() : CMemory.Name(folder, "folder");
        if (path.Length == 0)
            throw new InputException("folder", "the path of a checkpoint folder", "an empty one");
        using Lease<LoadSettings> settings = Handles.UseOptional<LoadSettings>(options, "options");
        *output = Handles.Add(load(path, settings.OrNull?.Options ?? LoadSettings.Default));
    });

    public static int Task(byte* folder, nint options, nint* output, string argument, Func<string, LoadOptions?, TextTask> load,
        Func<string>? fallback = null) =>
        Run(folder, options, output, argument, (path, how) => new TaskHandle(load(path, how)), fallback);
}
