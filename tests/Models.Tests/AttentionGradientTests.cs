using System.Text.Json;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

/// <summary>
/// The golden gradients of the attention alone, by the public operators: tensors [B, T, H, D], a mask [B, T] of -1 padding, 0 local, 1 global, and
/// (if given) projections of their own for the global tokens. The loss is the sum of out * grad_out.
/// </summary>
public sealed class AttentionGradientTests
{
    private static IEnumerable<string> Cases() => Golden.Names("gradients").Where(name => name.StartsWith("attention_", StringComparison.Ordinal));

    [Test]
    public void Gradients_of_the_attention_are_those_of_the_reference([ValueSource(nameof(Cases))] string name,
        [Values] AttentionImplementation implementation)
    {
        Golden golden = Golden.Open("gradients", name);
        using TensorScope scope = new();
        Dictionary<string, Tensor> inputs = golden.Inputs(), expected = golden.Expected();
        using JsonDocument configuration = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(golden.Folder, "config.json")));
        Tensor Global(string of) => inputs.GetValueOrDefault(of + "_global", inputs[of]);
        using GradientSet gradients = new(inputs.Where(i => i.Key is not ("mask" or "grad_out")).Select(i => i.Value));
        using GradientTape tape = new(gradients);

        Tensor output = Attend(configuration.RootElement, inputs["mask"], implementation, inputs["q"], inputs["k"], inputs["v"], Global("q"),
            Global("k"), Global("v"));
        tape.Backward(output, inputs["grad_out"]);

        golden.AssertMatches("out", output, expected["out"]);
        foreach (string gradient in expected.Keys.Where(key => key != "out"))
        {
            Tensor of = inputs[gradient["grad_".Length..]];
            golden.AssertMatches(gradient, gradients[of] ?? of.ZerosLike(), expected[gradient]);
        }
    }

    private static Tensor Attend(JsonElement configuration, Tensor mask, AttentionImplementation implementation, Tensor q, Tensor k, Tensor v,
        Tensor globalQ, Tensor globalK, Tensor globalV)
    {
        (long batch, long length, long heads, long size) = (q.Size(0), q.Size(1), q.Size(2), q.Size(3));
        long[] kinds = mask.To(DType.Int64).ToArray<long>();
        Tensor visible = Tensor.From<byte>(Array.ConvertAll(kinds, kind => kind >= 0 ? (byte)1 : (byte)0), batch, length);
        long[][] globals = [.. Enumerable.Range(0, (int)batch)
            .Select(b => Enumerable.Range(0, (int)length).Where(i => kinds[(b * length) + i] > 0).Select(i => (long)i).ToArray())];
        int most = globals.Max(g => g.Length);
        double scale = configuration.GetProperty("scale").GetDouble();
        Tensor? index = most == 0
            ? null
            : Tensor.From<long>([.. globals.SelectMany(g => g.Concat(Enumerable.Repeat(-1L, most - g.Length)))], batch, most);
        Tensor local = Differentiable.BandedAttention(q, k, v, new BandedAttentionOptions
        {
            WindowLeft = configuration.GetProperty("left").GetInt64(), WindowRight = configuration.GetProperty("right").GetInt64(),
            Dilation = [.. configuration.GetProperty("dilation").EnumerateArray().Select(d => d.GetInt64())],
            Mask = visible, GlobalIndex = index, Scale = scale, Implementation = implementation,
        });
        if (index is null)
            return local;
        // A slot without a token reads row 0; the operator gives zeros for it, and they are not written back.
        long[] rows = [.. globals.SelectMany((g, b) => g.Select(i => (b * length) + i))],
            filled = [.. globals.SelectMany((g, b) => g.Select((_, slot) => ((long)b * most) + slot))];
        long[] read = new long[batch * most];
        for (int i = 0; i < filled.Length; i++)
            read[filled[i]] = rows[i];
        Tensor Rows(Tensor tokens) => Differentiable.Reshape(tokens, -1, heads, size);
        Tensor queries = Differentiable.Reshape(Differentiable.SelectRows(Rows(globalQ), Tensor.From<long>(read)), batch, most, heads, size);
        Tensor whole = Differentiable.GlobalAttention(queries, globalK, globalV, index, new GlobalAttentionOptions { Mask = visible, Scale = scale });
        return Differentiable.Reshape(
            Differentiable.ReplaceRows(Rows(local), Tensor.From<long>(rows), Differentiable.SelectRows(Rows(whole), Tensor.From<long>(filled))),
            batch, length, heads, size);
    }
}
