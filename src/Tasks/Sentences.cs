using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks;

/// <summary>One step that makes a text's vector of the hidden states of its tokens, as sentence-transformers' modules do.</summary>
internal abstract record SentenceStep
{
    /// <summary>The width that it gives for one that it is given.</summary>
    public abstract int Width(int width);

    /// <summary>The vector that it makes of a vector.</summary>
    public abstract float[] Apply(float[] vector);
}

/// <summary>Pooling in one way or several, whose vectors are behind one another in sentence-transformers' order.</summary>
/// <param name="Modes">cls, max, mean, mean_sqrt_len_tokens, weightedmean, lasttoken.</param>
/// <param name="IncludePrompt">Whether the tokens of a prompt are pooled too.</param>
internal sealed record SentencePooling(IReadOnlyList<string> Modes, bool IncludePrompt)
{
    // The order in which older files' flags are joined.
    public static readonly string[] Known = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"];

    /// <summary>The pooled vector.</summary>
    /// <param name="hidden">[T, C] hidden states.</param>
    /// <param name="width">C.</param>
    /// <param name="prompt">Tokens of the prompt, the first special token included.</param>
    public float[] Pool(ReadOnlySpan<float> hidden, int width, int prompt)
    {
        int tokens = hidden.Length / width, first = IncludePrompt ? 0 : Math.Min(prompt, tokens - 1);
        float[] result = new float[width * Modes.Count];
        for (int m = 0; m < Modes.Count; m++)
        {
            Span<float> target = result.AsSpan(m * width, width);
            switch (Modes[m])
            {
                case "cls":
                    // The first token, a prompt or not, as sentence-transformers takes it.
                    hidden[..width].CopyTo(target);
                    break;
                case "lasttoken":
                    hidden[^width..].CopyTo(target);
                    break;
                case "max":
                    hidden.Slice(first * width, width).CopyTo(target);
                    for (int t = first + 1; t < tokens; t++)
                    {
                        for (int c = 0; c < width; c++)
                            target[c] = Math.Max(target[c], hidden[(t * width) + c]);
                    }
                    break;
                default:
                    Mean(hidden, width, first, Modes[m], target);
                    break;
            }
        }
        return result;
    }

    private static void Mean(ReadOnlySpan<float> hidden, int width, int first, string mode, Span<float> target)
    {
        int tokens = hidden.Length / width;
        double[] sums = new double[width];
        double weights = 0;
        for (int t = first; t < tokens; t++)
        {
            // A weighted mean counts a token by its place, from 1.
            double weight = mode == "weightedmean" ? t + 1 : 1;
            weights += weight;
            for (int c = 0; c < width; c++)
                sums[c] += weight * hidden[(t * width) + c];
        }
        double divisor = mode == "mean_sqrt_len_tokens" ? Math.Sqrt(weights) : weights;
        for (int c = 0; c < width; c++)
            target[c] = (float)(sums[c] / divisor);
    }
}

/// <summary>A linear layer with an activation.</summary>
internal sealed record SentenceDense(float[] Weight, float[]? Bias, int Inputs, int Outputs, string Activation) : SentenceStep
{
    private static readonly Dictionary<string, Func<double, double>> Functions = new()
    {
        ["Tanh"] = Math.Tanh, ["Identity"] = x => x, ["ReLU"] = x => Math.Max(x, 0), ["Sigmoid"] = x => 1 / (1 + Math.Exp(-x)),
        ["SiLU"] = x => x / (1 + Math.Exp(-x)), ["GELU"] = x => x * 0.5 * (1 + Erf(x / Math.Sqrt(2))), ["Softsign"] = x => x / (1 + Math.Abs(x)),
        ["ReLU6"] = x => Math.Clamp(x, 0, 6), ["ELU"] = x => x > 0 ? x : Math.Exp(x) - 1, ["LeakyReLU"] = x => x > 0 ? x : 0.01 * x,
    };

    /// <summary>Whether the activation of a name such as torch.nn.modules.activation.Tanh is known.</summary>
    public static bool Knows(string activation) => Functions.ContainsKey(activation);

    public static string NamesOfActivations => string.Join(", ", Functions.Keys);

    public override int Width(int width) => Outputs;

    public override float[] Apply(float[] vector)
    {
        Func<double, double> function = Functions[Activation];
        float[] result = new float[Outputs];
        for (int o = 0; o < Outputs; o++)
        {
            double sum = Bias?[o] ?? 0;
            ReadOnlySpan<float> row = Weight.AsSpan(o * Inputs, Inputs);
            for (int i = 0; i < row.Length; i++)
                sum += (double)row[i] * vector[i];
            result[o] = (float)function(sum);
        }
        return result;
    }

    /// <summary>Abramowitz and Stegun's 7.1.26 would be float32's error; the series and the continued fraction are double's.</summary>
    private static double Erf(double x)
    {
        double a = Math.Abs(x);
        if (a > 6)
            return Math.Sign(x);
        if (a < 2.5)
        {
            double term = a, sum = a;
            for (int n = 1; n < 60; n++)
            {
                term *= -a * a / n;
                sum += term / ((2 * n) + 1);
            }
            return Math.Sign(x) * 2 / Math.Sqrt(Math.PI) * sum;
        }
        double fraction = 0;
        for (int k = 60; k > 0; k--)
            fraction = k / 2.0 / (a + fraction);
        return Math.Sign(x) * (1 - (Math.Exp(-a * a) / (Math.Sqrt(Math.PI) * (a + fraction))));
    }
}

/// <summary>LayerNorm of the vector.</summary>
internal sealed record SentenceLayerNorm(float[] Weight, float[] Bias) : SentenceStep
{
    public override int Width(int width) => width;

    public override float[] Apply(float[] vector)
    {
        double mean = vector.Average(v => (double)v), variance = vector.Average(v => (v - mean) * (v - mean));
        double scale = 1 / Math.Sqrt(variance + 1e-5);
        return [.. vector.Select((v, i) => (float)((((v - mean) * scale) * Weight[i]) + Bias[i]))];
    }
}

/// <summary>Scaling to length 1, with the rest of what the folder computes behind it.</summary>
internal sealed record SentenceNormalize : SentenceStep
{
    public override int Width(int width) => width;

    public override float[] Apply(float[] vector)
    {
        DocumentEncoder.Normalize(vector, vector.Length);
        return vector;
    }
}
