using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Led;

/// <summary>Turns <see cref="LedInputs"/> into what the decoder computes on; the encoder's side is read by <see cref="InputReader"/>. Every value is
/// checked on the host once.</summary>
internal static class LedInputReader
{
    private const long Ignored = -100;

    /// <summary>The decoder's side: what it is given, or what HF would give it.</summary>
    /// <exception cref="InputException">Names the argument, what was expected and what was given.</exception>
    public static LedDecoderBatch ReadDecoder(LedInputs inputs, LedConfiguration configuration, SequenceBatch documents, Tensor states,
        bool labelsAreTokens)
    {
        long rows = documents.SequenceCount;
        if (inputs.DecoderInputIds is not null && inputs.DecoderInputsEmbeds is not null)
            throw new InputException("decoder_input_ids, decoder_inputs_embeds", "at most one of the two", "both");
        Device device = states.Device;
        Tensor? ids = null, embeds = null;
        long length;
        if (inputs.DecoderInputsEmbeds is { } given)
        {
            if (given.Rank != 3 || given.Size(0) != rows || given.Size(2) != configuration.DModel)
            {
                throw new InputException("decoder_inputs_embeds", $"shape [{rows}, length, {configuration.DModel}]",
                    $"{InputReader.Show(given.Shape)}");
            }
            if (!given.DType.IsFloatingPoint())
                throw new InputException("decoder_inputs_embeds", "a floating-point dtype", $"{given.DType}");
            length = given.Size(1);
            embeds = Differentiable.Reshape(Differentiable.To(given, device, states.DType), rows * length, configuration.DModel);
        }
        else
        {
            long[] values;
            (values, length) = inputs.DecoderInputIds is { } tokens ? Ids(tokens, rows, "decoder_input_ids", configuration, false)
                : Shifted(inputs, rows, configuration, labelsAreTokens);
            ids = HostBuffer.Upload(values, device);
        }
        if (length < 1 || length > configuration.MaxDecoderPositionEmbeddings)
        {
            bool areShifted = ids is not null && inputs.DecoderInputIds is null && !(labelsAreTokens && inputs.Labels is not null);
            throw new InputException(
                $"the decoder: expected 1 to {configuration.MaxDecoderPositionEmbeddings} tokens, the decoder positions of this checkpoint, "
                + $"given {length}{(areShifted ? " (the document's ids, shifted right)" : "")}");
        }
        return new LedDecoderBatch
        {
            Rows = rows,
            Length = length,
            InputIds = ids,
            InputsEmbeds = embeds,
            Hidden = inputs.DecoderAttentionMask is { } mask ? Hidden(mask, rows, length, device) : null,
            EncoderStates = states,
            Offsets = documents.Offsets,
            Visible = documents.Visible,
        };
    }

    /// <summary>shift_tokens_right: the start token, then all ids but the last of the row; -100 becomes padding.</summary>
    private static (long[] Ids, long Length) Shifted(LedInputs inputs, long rows, LedConfiguration configuration, bool labelsAreTokens)
    {
        bool labels = labelsAreTokens && inputs.Labels is not null;
        Tensor source = (labels ? inputs.Labels : inputs.IsPacked ? null : inputs.InputIds)
            ?? throw new InputException("decoder_input_ids", "the decoder's tokens", "none, and there are no padded input_ids to take them from");
        (long[] ids, long length) = Ids(source, rows, labels ? "labels" : "input_ids", configuration, labels);
        for (long row = 0; row < rows; row++)
        {
            Span<long> line = ids.AsSpan((int)(row * length), (int)length);
            line[..^1].CopyTo(line[1..]);
            line[0] = configuration.DecoderStartTokenId;
            line.Replace(Ignored, configuration.PadTokenId);
        }
        return (ids, length);
    }

    private static (long[] Ids, long Length) Ids(Tensor tensor, long rows, string name, LedConfiguration configuration, bool ignored)
    {
        if (tensor.Rank != 2 || tensor.Size(0) != rows || tensor.Size(1) < 1)
            throw new InputException(name, $"shape [{rows}, length]", $"{InputReader.Show(tensor.Shape)}");
        if (tensor.DType is not (DType.Int64 or DType.Int32 or DType.Int16 or DType.UInt8 or DType.Int8))
            throw new InputException(name, "integers", $"{tensor.DType}");
        long length = tensor.Size(1);
        long[] ids = HostValues.ToInt64(tensor);
        for (int i = 0; i < ids.Length; i++)
        {
            if ((ulong)ids[i] >= (ulong)configuration.VocabSize && !(ignored && ids[i] == Ignored))
            {
                throw new InputException($"{name}[{i / length}, {i % length}]: expected an id of the vocabulary, 0..{configuration.VocabSize - 1}"
                    + $"{(ignored ? $", or {Ignored} to ignore" : "")}, given {ids[i]}");
            }
        }
        return (ids, length);
    }

    private static Tensor Hidden(Tensor mask, long rows, long length, Device device)
    {
        if (mask.Rank != 2 || mask.Size(0) != rows || mask.Size(1) != length)
        {
            throw new InputException("decoder_attention_mask", $"shape [{rows}, {length}] like the decoder's tokens",
                $"{InputReader.Show(mask.Shape)}");
        }
        double[] values = HostValues.ToDouble(mask);
        int wrong = Array.FindIndex(values, v => v is not (0 or 1));
        if (wrong >= 0)
        {
            throw new InputException(
                FormattableString.Invariant($"decoder_attention_mask[{wrong / length}, {wrong % length}]: expected 0 or 1, given {values[wrong]}"));
        }
        HostBuffer host = new();
        BufferPart part = host.Add(Array.ConvertAll(values, v => v == 0 ? (byte)1 : (byte)0));
        return part.In(host.Upload(device), rows, 1, 1, length).To(DType.Bool);
    }
}
