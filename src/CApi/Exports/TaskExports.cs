using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using LongformerInterop.Tasks;
using LongformerInterop.Torch;

namespace LongformerInterop.CApi.Exports;

internal static unsafe class TaskExports
{
    [UnmanagedCallersOnly(EntryPoint = "lfm_document_encoder_load", CallConvs = [typeof(CallConvCdecl)])]
    public static int EncoderLoad(byte* folder, nint options, nint* encoder) =>
        Loading.Task(folder, options, encoder, "encoder", DocumentEncoder.Load, () => DefaultModel.Folder);

    [UnmanagedCallersOnly(EntryPoint = "lfm_document_encoder_free", CallConvs = [typeof(CallConvCdecl)])]
    public static int EncoderFree(nint encoder) => Failure.Run(() => Handles.FreeTask<DocumentEncoder>(encoder, "encoder"));

    [UnmanagedCallersOnly(EntryPoint = "lfm_document_encoder_encode", CallConvs = [typeof(CallConvCdecl)])]
    public static int Encode(nint encoder, byte** documents, nuint* lengths, nuint count, nint options, nint* embeddings, nint* offsets) =>
        Failure.Run(() =>
    {
        CMemory.Out(embeddings, "embeddings");
        CMemory.Give(offsets, 0);
        using EncoderCall call = new("lf_document_encoder_encode", encoder, documents, lengths, count, options);
        List<float[]> vectors = call.Run(out long[] ends);
        Tensor result = Tensor.Empty([vectors.Sum(v => (long)v.Length) / call.Width, call.Width]);
        EncoderCall.Write(vectors, (float*)result.DataPointer);
        TensorHandle first = new(result);
        nint second = offsets is null ? 0 : Handles.Add(new TensorHandle(Tensor.From<long>(ends, ends.Length)));
        *embeddings = Handles.Add(first);
        CMemory.Give(offsets, second);
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_document_encoder_encode_into", CallConvs = [typeof(CallConvCdecl)])]
    public static int EncodeInto(nint encoder, byte** documents, nuint* lengths, nuint count, nint options,
        float* embeddings, nuint room, long* offsets) => Failure.Run(() =>
    {
        if (embeddings is null && (room > 0 || offsets is null))
        {
            throw CallException.Argument(
                $"embeddings: expected an address, or NULL with room 0 where only offsets are asked for, given NULL with room {room}");
        }
        using EncoderCall call = new("lf_document_encoder_encode_into", encoder, documents, lengths, count, options);
        long[] ends = [];
        if (embeddings is null)
        {
            ends = call.Offsets();
        }
        else
        {
            // Known before the model runs: the wait for a result that has no place is spared.
            long rows = call.Pooling == Pooling.Tokens ? call.Offsets()[^1] : call.Count;
            if (room < (UInt128)rows * (uint)call.Width)
                throw CallException.Argument($"room: expected at least {rows * call.Width} floats, {rows} vectors of {call.Width}, given {room}");
            EncoderCall.Write(call.Run(out ends), embeddings);
        }
        if (offsets is not null)
            ends.CopyTo(new Span<long>(offsets, ends.Length));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_document_encoder_hidden_size", CallConvs = [typeof(CallConvCdecl)])]
    public static int EncoderHiddenSize(nint encoder, int* size) =>
        TaskPropertyExports.Read<DocumentEncoder, int>(encoder, "encoder", size, "size", (encoder, _) => encoder.HiddenSize);

    [UnmanagedCallersOnly(EntryPoint = "lfm_question_answerer_load", CallConvs = [typeof(CallConvCdecl)])]
    public static int AnswererLoad(byte* folder, nint options, nint* answerer) =>
        Loading.Task(folder, options, answerer, "answerer", QuestionAnswerer.Load);

    [UnmanagedCallersOnly(EntryPoint = "lfm_question_answerer_free", CallConvs = [typeof(CallConvCdecl)])]
    public static int AnswererFree(nint answerer) => Failure.Run(() => Handles.FreeTask<QuestionAnswerer>(answerer, "answerer"));

    [UnmanagedCallersOnly(EntryPoint = "lfm_question_answerer_answer", CallConvs = [typeof(CallConvCdecl)])]
    public static int Answer(nint answerer, byte* question, nuint questionLength, byte* document, nuint documentLength, nint options, nint* answer) =>
        Failure.Run(() =>
    {
        CMemory.Out(answer, "answer");
        using TaskLease<QuestionAnswerer> used = new(answerer, "answerer");
        using TaskCall call = new(options);
        AnswerOptions defaults = new();
        AnswerOptions how = call.Apply(defaults with
        {
            MaxAnswerTokens = call.Reader.Int("max_answer_tokens") ?? defaults.MaxAnswerTokens,
            Overlap = call.Reader.Int("overlap") ?? defaults.Overlap,
            NoAnswer = call.Reader.Flag("no_answer") ?? false,
        });
        int top = call.Reader.Int("top") ?? 1;
        CallContext watch = call.Start("lf_question_answerer_answer");
        string text = CMemory.Text(document, documentLength, "document");
        IReadOnlyList<Answer> answers = used.Task.Answer(CMemory.Text(question, questionLength, "question"), text, top, LogSink.In(how), watch.Token);
        watch.Finish();
        *answer = Handles.Add(new AnswerHandle(
            [.. answers.Select(a => new AnswerItem { Text = a.Text, Range = (a.Start, a.End), Score = a.Score, Logit = a.Logit })], text));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_text_classifier_load", CallConvs = [typeof(CallConvCdecl)])]
    public static int ClassifierLoad(byte* folder, nint options, nint* classifier) =>
        Loading.Task(folder, options, classifier, "classifier", TextClassifier.Load);

    [UnmanagedCallersOnly(EntryPoint = "lfm_text_classifier_free", CallConvs = [typeof(CallConvCdecl)])]
    public static int ClassifierFree(nint classifier) => Failure.Run(() => Handles.FreeTask<TextClassifier>(classifier, "classifier"));

    [UnmanagedCallersOnly(EntryPoint = "lfm_text_classifier_classify", CallConvs = [typeof(CallConvCdecl)])]
    public static int Classify(nint classifier, byte** documents, nuint* lengths, nuint count, nint options, nint* answer) => Failure.Run(() =>
    {
        CMemory.Out(answer, "answer");
        using TaskLease<TextClassifier> used = new(classifier, "classifier");
        using TaskCall call = new(options);
        TaskOptions how = call.Apply(new TaskOptions());
        CallContext watch = call.Start("lf_text_classifier_classify");
        string[] texts = CMemory.Documents(documents, lengths, count, "documents");
        IReadOnlyList<IReadOnlyList<LabelScore>> results = used.Task.Classify(texts, LogSink.In(how), watch, watch.Token);
        watch.Finish();
        *answer = Handles.Add(new AnswerHandle([.. results.SelectMany((scores, document) =>
            scores.Select(s => new AnswerItem { Label = s.Label, Score = s.Score, Logit = s.Logit, Group = document }))]));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_token_classifier_load", CallConvs = [typeof(CallConvCdecl)])]
    public static int TaggerLoad(byte* folder, nint options, nint* classifier) =>
        Loading.Task(folder, options, classifier, "classifier", TokenClassifier.Load);

    [UnmanagedCallersOnly(EntryPoint = "lfm_token_classifier_free", CallConvs = [typeof(CallConvCdecl)])]
    public static int TaggerFree(nint classifier) => Failure.Run(() => Handles.FreeTask<TokenClassifier>(classifier, "classifier"));

    [UnmanagedCallersOnly(EntryPoint = "lfm_token_classifier_tag", CallConvs = [typeof(CallConvCdecl)])]
    public static int Tag(nint classifier, byte* text, nuint length, nint options, nint* answer) => Failure.Run(() =>
    {
        CMemory.Out(answer, "answer");
        using TaskLease<TokenClassifier> used = new(classifier, "classifier");
        using TaskCall call = new(options);
        TagOptions how = call.Apply(new TagOptions
        {
            Aggregation = call.Reader.Choice("aggregation", TagAggregation.Simple, ("simple", TagAggregation.Simple), ("none", TagAggregation.None),
                ("first", TagAggregation.First), ("average", TagAggregation.Average), ("max", TagAggregation.Max)),
        });
        CallContext watch = call.Start("lf_token_classifier_tag");
        string source = CMemory.Text(text, length, "text");
        IReadOnlyList<Entity> entities = used.Task.Tag(source, LogSink.In(how), watch.Token);
        *answer = Handles.Add(new AnswerHandle(
            [.. entities.Select(e => new AnswerItem { Label = e.Label, Text = e.Text, Range = (e.Start, e.End), Score = e.Score })], source));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_multiple_choice_load", CallConvs = [typeof(CallConvCdecl)])]
    public static int ChoiceLoad(byte* folder, nint options, nint* model) => Loading.Task(folder, options, model, "model", MultipleChoice.Load);

    [UnmanagedCallersOnly(EntryPoint = "lfm_multiple_choice_free", CallConvs = [typeof(CallConvCdecl)])]
    public static int ChoiceFree(nint model) => Failure.Run(() => Handles.FreeTask<MultipleChoice>(model, "model"));

    [UnmanagedCallersOnly(EntryPoint = "lfm_multiple_choice_choose", CallConvs = [typeof(CallConvCdecl)])]
    public static int Choose(nint model, byte* document, nuint documentLength, byte* question, nuint questionLength,
        byte** choices, nuint* choiceLengths, nuint choiceCount, nint options, nint* answer) => Failure.Run(() =>
    {
        CMemory.Out(answer, "answer");
        using TaskLease<MultipleChoice> used = new(model, "model");
        using TaskCall call = new(options);
        TaskOptions how = call.Apply(new TaskOptions());
        CallContext watch = call.Start("lf_multiple_choice_choose");
        IReadOnlyList<ChoiceScore> scores = used.Task.Choose(CMemory.Text(document, documentLength, "document"),
            CMemory.Documents(choices, choiceLengths, choiceCount, "choices"), question is null
                ? null
                : CMemory.Text(question, questionLength, "question"),
            LogSink.In(how), watch.Token);
        *answer = Handles.Add(new AnswerHandle(
            [.. scores.Select(c => new AnswerItem { Text = c.Choice, Id = c.Index, Score = c.Score, Logit = c.Logit })]));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_mask_filler_load", CallConvs = [typeof(CallConvCdecl)])]
    public static int FillerLoad(byte* folder, nint options, nint* filler) =>
        Loading.Task(folder, options, filler, "filler", MaskFiller.Load);

    [UnmanagedCallersOnly(EntryPoint = "lfm_mask_filler_free", CallConvs = [typeof(CallConvCdecl)])]
    public static int FillerFree(nint filler) => Failure.Run(() => Handles.FreeTask<MaskFiller>(filler, "filler"));

    [UnmanagedCallersOnly(EntryPoint = "lfm_mask_filler_fill", CallConvs = [typeof(CallConvCdecl)])]
    public static int Fill(nint filler, byte* text, nuint length, nint options, nint* answer) => Failure.Run(() =>
    {
        CMemory.Out(answer, "answer");
        using TaskLease<MaskFiller> used = new(filler, "filler");
        using TaskCall call = new(options);
        TaskOptions how = call.Apply(new TaskOptions());
        int top = call.Reader.Int("top") ?? 5;
        CallContext watch = call.Start("lf_mask_filler_fill");
        string source = CMemory.Text(text, length, "text");
        IReadOnlyList<FilledMask> masks = used.Task.Fill(source, top, LogSink.In(how), watch.Token);
        *answer = Handles.Add(new AnswerHandle([.. masks.SelectMany((mask, m) => mask.Candidates.Select(c =>
            new AnswerItem { Text = c.Text, Id = c.Id, Score = c.Score, Group = m, Range = (mask.Start, mask.End) }))], source));
    });

    internal static int Read<THandle, T>(nint handle, string name, T* output, string argument, Func<THandle, T> read)
        where THandle : class where T : unmanaged => Failure.Run(() =>
    {
        CMemory.NotNull(output, argument);
        using Lease<THandle> used = Handles.Use<THandle>(handle, name);
        *output = read(used.Value);
    });
}
