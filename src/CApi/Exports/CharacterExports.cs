using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using LongformerInterop.Models;
using LongformerInterop.Tasks;
using LongformerInterop.Tasks.Generation;
using LongformerInterop.Torch;
using LongformerInterop.Training.CharacterLm;

namespace LongformerInterop.CApi.Exports;

internal static unsafe class CharacterExports
{
    [UnmanagedCallersOnly(EntryPoint = "lfm_character_model_load", CallConvs = [typeof(CallConvCdecl)])]
    public static int Load(byte* folder, nint options, nint* model) => Loading.Run(folder, options, model, "model", CharacterHandle.Load);

    [UnmanagedCallersOnly(EntryPoint = "lfm_character_model_free", CallConvs = [typeof(CallConvCdecl)])]
    public static int Free(nint model) => Failure.Run(() => Handles.Free<CharacterHandle>(model, "model"));

    [UnmanagedCallersOnly(EntryPoint = "lfm_character_model_vocabulary", CallConvs = [typeof(CallConvCdecl)])]
    public static int Vocabulary(nint model, int** symbols, nuint* count, int* bytes) => Failure.Run(() =>
    {
        using Lease<CharacterHandle> used = Use(model);
        int* values = used.Value.Symbols(out int n);
        CMemory.Give((nint*)symbols, (nint)values);
        CMemory.Give(count, (nuint)n);
        CMemory.Give(bytes, used.Value.Vocabulary.IsBytes ? 1 : 0);
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_character_model_encode", CallConvs = [typeof(CallConvCdecl)])]
    public static int Encode(nint model, byte* text, nuint length, nint* ids) => Failure.Run(() =>
    {
        CMemory.Out(ids, "ids");
        using Lease<CharacterHandle> used = Use(model);
        long[] values = Array.ConvertAll(used.Value.Vocabulary.Encode(CMemory.Text(text, length, "text")), id => (long)id);
        *ids = Handles.Add(new TensorHandle(Tensor.From<long>(values, values.Length)));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_character_model_decode", CallConvs = [typeof(CallConvCdecl)])]
    public static int Decode(nint model, int* ids, nuint count, byte** text, nuint* length) => Failure.Run(() =>
    {
        CMemory.NotNull(text, "text");
        *text = null;
        using Lease<CharacterHandle> used = Use(model);
        CMemory.GiveText(used.Value.Vocabulary.Decode(CMemory.Span(ids, count, "ids")), text, length);
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_character_model_run", CallConvs = [typeof(CallConvCdecl)])]
    public static int Run(nint model, nint ids, nint targets, nint options, nint* outputs) => Failure.Run(() =>
    {
        CMemory.Out(outputs, "outputs");
        using Lease<CharacterHandle> used = Use(model);
        using Lease<TensorHandle> input = Handles.Use<TensorHandle>(ids, "ids"), wanted = Handles.UseOptional<TensorHandle>(targets, "targets");
        using Lease<CallSettings> settings = Handles.UseOptional<CallSettings>(options, "options");
        OptionReader reader = new(settings.OrNull) { TakesCancel = true };
        bool logits = reader.Flag("logits") ?? false, states = reader.Flag("hidden_states") ?? false;
        reader.Finish("lf_character_model_run");
        using CallContext watch = new(settings.OrNull);
        watch.Finish();
        using TensorScope scope = new();
        *outputs = Handles.Add(TensorMap.Results(used.Value.Model.Run(input.Value.Tensor, wanted.OrNull?.Tensor, logits, states, watch.Token)));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_character_model_gradients", CallConvs = [typeof(CallConvCdecl)])]
    public static int Gradients(nint model, nint ids, nint targets, nint* outputs) => Failure.Run(() =>
    {
        CMemory.Out(outputs, "outputs");
        using Lease<CharacterHandle> used = Use(model);
        using Lease<TensorHandle> input = Handles.Use<TensorHandle>(ids, "ids"), wanted = Handles.Use<TensorHandle>(targets, "targets");
        using TensorScope scope = new();
        *outputs = Handles.Add(TensorMap.Results(used.Value.Model.LossAndGradients(input.Value.Tensor, wanted.Value.Tensor)));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_character_model_parameters", CallConvs = [typeof(CallConvCdecl)])]
    public static int Parameters(nint model, nint* parameters) => Failure.Run(() =>
    {
        CMemory.Out(parameters, "parameters");
        using Lease<CharacterHandle> used = Use(model);
        *parameters = Handles.Add(TensorMap.Shared(used.Value.Model.NamedParameters.Select(p => KeyValuePair.Create(p.Name, p.Tensor))));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_character_model_save", CallConvs = [typeof(CallConvCdecl)])]
    public static int Save(nint model, byte* folder) => Failure.Run(() =>
    {
        using Lease<CharacterHandle> used = Use(model);
        used.Value.Save(CMemory.Name(folder, "folder"));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_character_model_score", CallConvs = [typeof(CallConvCdecl)])]
    public static int Score(nint model, byte* text, nuint length, nint options, double* nats, double* bits, long* count, nint* losses) =>
        Failure.Run(() =>
    {
        CMemory.Give(losses, 0);
        using Lease<CharacterHandle> used = Use(model);
        using Lease<CallSettings> settings = Handles.UseOptional<CallSettings>(options, "options");
        new OptionReader(settings.OrNull) { TakesCancel = true }.Finish("lf_character_model_score");
        using CallContext watch = new(settings.OrNull);
        double[] each = used.Value.Model.Score(used.Value.Vocabulary.Encode(CMemory.Text(text, length, "text")), watch.Token);
        watch.Finish();
        if (losses is not null)
            *losses = Handles.Add(new TensorHandle(Tensor.From<double>(each, each.Length)));
        double sum = each.Sum();
        CMemory.Give(nats, sum);
        CMemory.Give(bits, sum / Math.Log(2));
        CMemory.Give(count, each.Length);
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_character_model_generate", CallConvs = [typeof(CallConvCdecl)])]
    public static int Generate(nint model, byte* prompt, nuint promptLength, nint options, byte** text, nuint* length) => Failure.Run(() =>
    {
        CMemory.Give((nint*)text, 0);
        using Lease<CharacterHandle> used = Use(model);
        using SettingsCall call = new(options, streams: true);
        CharacterGenerationOptions how = CharacterSettings.ForGeneration(call);
        CallContext watch = call.Start("lf_character_model_generate");
        StringBuilder written = new();
        foreach (string piece in used.Value.Generator.Write(CMemory.Text(prompt, promptLength, "prompt"), how,
            n => watch.Report(new TaskProgress(n, how.MaxCharacters, n)), watch.Token))
        {
            written.Append(piece);
            watch.Text(piece);
        }
        watch.Finish();
        if (text is not null)
            CMemory.GiveText(written.ToString(), text, length);
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_character_model_evaluate", CallConvs = [typeof(CallConvCdecl)])]
    public static int Evaluate(nint model, byte* file, nint options, nint* metrics) => Failure.Run(() =>
    {
        CMemory.Out(metrics, "metrics");
        using Lease<CharacterHandle> used = Use(model);
        using SettingsCall call = new(options, streams: false);
        CharacterEvaluationOptions how = CharacterSettings.ForEvaluation(call);
        CallContext watch = call.Start("lf_character_model_evaluate");
        CharacterFileScore found = CharacterEvaluation.OfFile(used.Value.Model, used.Value.Vocabulary, TrainingExports.Path(file, "file"), how, null,
            watch, watch.Token);
        watch.Finish();
        *metrics = Handles.Add(new AnswerHandle([.. TrainingExports.Metrics(found.Metrics())]));
    });

    private static Lease<CharacterHandle> Use(nint model) => Handles.Use<CharacterHandle>(model, "model");
}
