using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;

namespace LongformerInterop.CApi.Exports;

internal static unsafe class TokenizerExports
{
    [UnmanagedCallersOnly(EntryPoint = "lfm_tokenizer_load", CallConvs = [typeof(CallConvCdecl)])]
    public static int Load(byte* folder, nint* tokenizer) => Failure.Run(() =>
    {
        CMemory.Out(tokenizer, "tokenizer");
        *tokenizer = Handles.Add(Tokenizer.Load(CMemory.Name(folder, "folder")));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_tokenizer_free", CallConvs = [typeof(CallConvCdecl)])]
    public static int Free(nint tokenizer) => Failure.Run(() => Handles.Free<Tokenizer>(tokenizer, "tokenizer"));

    [UnmanagedCallersOnly(EntryPoint = "lfm_tokenizer_encode", CallConvs = [typeof(CallConvCdecl)])]
    public static int Encode(nint tokenizer, byte* text, nuint length, byte* pair, nuint pairLength, nint options, nint* encoding) =>
        Failure.Run(() =>
    {
        CMemory.Out(encoding, "encoding");
        using Lease<Tokenizer> used = Use(tokenizer);
        EncodeOptions how = Options(options, "lf_tokenizer_encode");
        string first = CMemory.Text(text, length, "text");
        string? second = pair is null ? null : CMemory.Text(pair, pairLength, "pair");
        *encoding = Handles.Add(new EncodingHandle(used.Value.Encode(first, second, how)));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_tokenizer_encode_batch", CallConvs = [typeof(CallConvCdecl)])]
    public static int EncodeBatch(nint tokenizer, byte** texts, nuint* lengths, byte** pairs, nuint* pairLengths, nuint count, nint options,
        nint* encodings) => Failure.Run(() =>
    {
        int n = CMemory.Count(count, "count");
        if (n > 0)
            CMemory.NotNull(encodings, "encodings");
        new Span<nint>(encodings, n).Clear();
        using Lease<Tokenizer> used = Use(tokenizer);
        EncodeOptions how = Options(options, "lf_tokenizer_encode_batch");
        string[] first = CMemory.Documents(texts, lengths, count, "texts");
        string[]? second = pairs is null ? null : CMemory.Documents(pairs, pairLengths, count, "pairs");
        IReadOnlyList<Encoding> results = used.Value.EncodeBatch(first, second, how);
        for (int i = 0; i < n; i++)
            encodings[i] = Handles.Add(new EncodingHandle(results[i]));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_tokenizer_decode", CallConvs = [typeof(CallConvCdecl)])]
    public static int Decode(nint tokenizer, int* ids, nuint count, int skipSpecialTokens, byte** text, nuint* length) => Failure.Run(() =>
    {
        CMemory.NotNull(text, "text");
        *text = null;
        using Lease<Tokenizer> used = Use(tokenizer);
        CMemory.GiveText(used.Value.Decode(CMemory.Span(ids, count, "ids"), skipSpecialTokens != 0), text, length);
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_tokenizer_token_to_id", CallConvs = [typeof(CallConvCdecl)])]
    public static int TokenToId(nint tokenizer, byte* token, nuint length, int* id) => Failure.Run(() =>
    {
        CMemory.NotNull(id, "id");
        using Lease<Tokenizer> used = Use(tokenizer);
        string name = CMemory.Text(token, length, "token");
        *id = used.Value.TokenToId(name) ?? throw new CallException(Status.NotFound, $"token: the vocabulary has no \"{name}\"");
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_tokenizer_id_to_token", CallConvs = [typeof(CallConvCdecl)])]
    public static int IdToToken(nint tokenizer, int id, byte** token, nuint* length) => Failure.Run(() =>
    {
        CMemory.NotNull(token, "token");
        *token = null;
        using Lease<Tokenizer> used = Use(tokenizer);
        string text = used.Value.IdToToken(id)
            ?? throw new CallException(Status.NotFound, $"id: expected 0..{used.Value.VocabularySize - 1}, given {id}");
        CMemory.GiveText(text, token, length);
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_tokenizer_vocabulary_size", CallConvs = [typeof(CallConvCdecl)])]
    public static int VocabularySize(nint tokenizer, int* size) =>
        TaskExports.Read<Tokenizer, int>(tokenizer, "tokenizer", size, "size", t => t.VocabularySize);

    [UnmanagedCallersOnly(EntryPoint = "lfm_tokenizer_special_token", CallConvs = [typeof(CallConvCdecl)])]
    public static int SpecialToken(nint tokenizer, byte* role, int* id) => Failure.Run(() =>
    {
        CMemory.NotNull(id, "id");
        using Lease<Tokenizer> used = Use(tokenizer);
        SpecialTokenIds special = used.Value.SpecialTokens;
        string name = CMemory.Name(role, "role");
        *id = name switch
        {
            "begin" => special.Begin,
            "end" => special.End,
            "classifier" => special.Classifier,
            "separator" => special.Separator,
            "padding" => special.Padding,
            "mask" => special.Mask,
            "unknown" => special.Unknown,
            _ => throw CallException.Argument($"role: expected begin, end, classifier, separator, padding, mask or unknown, given \"{name}\""),
        } ?? throw new CallException(Status.NotFound, $"this tokenizer has no {name} token");
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_encoding_count", CallConvs = [typeof(CallConvCdecl)])]
    public static int Count(nint encoding, nuint* count) => Read(encoding, count, "count", e => (nuint)e.Encoding.Count);

    [UnmanagedCallersOnly(EntryPoint = "lfm_encoding_values", CallConvs = [typeof(CallConvCdecl)])]
    public static int Values(nint encoding, byte* kind, nint* values) =>
        Read(encoding, values, "values", e => (nint)e.Values(CMemory.Name(kind, "kind")));

    [UnmanagedCallersOnly(EntryPoint = "lfm_encoding_ranges", CallConvs = [typeof(CallConvCdecl)])]
    public static int Ranges(nint encoding, int unit, nint* ranges) =>
        Read(encoding, ranges, "ranges", e => (nint)e.Ranges(EncodingHandle.Unit(unit)));

    [UnmanagedCallersOnly(EntryPoint = "lfm_encoding_describe", CallConvs = [typeof(CallConvCdecl)])]
    public static int Describe(nint encoding, int unit, nuint* count, nint* ids, nint* ranges, nint* sequenceIds, nint* typeIds,
        nint* specialTokensMask, nint* attentionMask, nuint* overflowCount) => Failure.Run(() =>
    {
        using Lease<EncodingHandle> used = Handles.Use<EncodingHandle>(encoding, "encoding");
        EncodingHandle e = used.Value;
        // The one thing that can be wrong comes first.
        nint pairs = ranges is null ? 0 : (nint)e.Ranges(EncodingHandle.Unit(unit));
        CMemory.Give(ranges, pairs);
        CMemory.Give(count, (nuint)e.Encoding.Count);
        CMemory.Give(overflowCount, (nuint)e.Encoding.Overflowing.Count);
        foreach ((nint output, string kind) in ((nint, string)[])[((nint)ids, "ids"), ((nint)sequenceIds, "sequence_ids"),
            ((nint)typeIds, "type_ids"), ((nint)specialTokensMask, "special_tokens_mask"), ((nint)attentionMask, "attention_mask")])
        {
            if (output != 0)
                *(nint*)output = (nint)e.Values(kind);
        }
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_encoding_overflow_count", CallConvs = [typeof(CallConvCdecl)])]
    public static int OverflowCount(nint encoding, nuint* count) => Read(encoding, count, "count", e => (nuint)e.Encoding.Overflowing.Count);

    [UnmanagedCallersOnly(EntryPoint = "lfm_encoding_overflow", CallConvs = [typeof(CallConvCdecl)])]
    public static int Overflow(nint encoding, nuint index, nint* part) => Failure.Run(() =>
    {
        CMemory.Out(part, "part");
        using Lease<EncodingHandle> used = Handles.Use<EncodingHandle>(encoding, "encoding");
        IReadOnlyList<Encoding> parts = used.Value.Encoding.Overflowing;
        *part = Handles.Add(new EncodingHandle(parts[CMemory.Index(index, parts.Count, "index")]));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_encoding_free", CallConvs = [typeof(CallConvCdecl)])]
    public static int EncodingFree(nint encoding) => Failure.Run(() => Handles.Free<EncodingHandle>(encoding, "encoding"));

    private static Lease<Tokenizer> Use(nint tokenizer) => Handles.Use<Tokenizer>(tokenizer, "tokenizer");

    private static int Read<T>(nint encoding, T* output, string argument, Func<EncodingHandle, T> read) where T : unmanaged =>
        TaskExports.Read(encoding, "encoding", output, argument, read);

    private static EncodeOptions Options(nint options, string function)
    {
        using Lease<CallSettings> settings = Handles.UseOptional<CallSettings>(options, "options");
        OptionReader reader = new(settings.OrNull);
        int? maxLength = reader.Int("max_length");
        string padding = reader.Choice("padding", "none", ("none", "none"), ("longest", "longest"), ("max_length", "max_length"));
        if (padding == "max_length" && maxLength is null)
            throw new InputException("padding: max_length needs the option max_length");
        PaddingOptions filled = new()
        {
            Length = padding == "max_length" ? maxLength : null,
            Side = reader.Choice<Side?>("padding_side", null, ("right", Side.Right), ("left", Side.Left)),
            MultipleOf = reader.Int("pad_to_multiple_of"),
        };
        EncodeOptions result = new()
        {
            AddSpecialTokens = reader.Flag("add_special_tokens") ?? true,
            MaxLength = maxLength,
            Stride = reader.Int("stride") ?? 0,
            Overflow = reader.Choice("overflow", OverflowExtent.Complete, ("complete", OverflowExtent.Complete),
                ("up_to_limit", OverflowExtent.UpToLimit)),
            Truncation = reader.Choice("truncation", TruncationStrategy.LongestFirst, ("longest_first", TruncationStrategy.LongestFirst),
                ("only_first", TruncationStrategy.OnlyFirst), ("only_second", TruncationStrategy.OnlySecond),
                ("do_not_truncate", TruncationStrategy.DoNotTruncate)),
            TruncationSide = reader.Choice<Side?>("truncation_side", null, ("right", Side.Right), ("left", Side.Left)),
            Padding = padding == "none" ? null : filled,
            AddPrefixSpace = reader.Flag("add_prefix_space"),
            SplitSpecialTokens = reader.Flag("split_special_tokens"),
        };
        reader.Finish(function);
        return result;
    }
}
