using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>The activation between the two feed-forward products: <c>hidden_act</c> of a Longformer, <c>activation_function</c> of an LED.</summary>
public enum HiddenActivation
{
    /// <summary>x * Phi(x) with the error function: <c>gelu</c>, <c>gelu_python</c>.</summary>
    Gelu,
    /// <summary>The tanh approximation: <c>gelu_new</c>, <c>gelu_fast</c>, <c>gelu_pytorch_tanh</c>.</summary>
    GeluTanh,
    /// <summary>max(0, x): <c>relu</c>.</summary>
    Relu,
    /// <summary>x * sigmoid(x): <c>silu</c>, <c>swish</c>.</summary>
    Silu,
    /// <summary>tanh(x): <c>tanh</c>.</summary>
    Tanh,
}

/// <summary>The one table of activations: HF's names, and the function among the operators.</summary>
internal static class Activations
{
    // The first name is the one that is written.
    private static readonly (HiddenActivation Activation, Activation Function, string[] Names)[] Table =
    [
        (HiddenActivation.Gelu, Activation.Gelu, ["gelu", "gelu_python"]),
        (HiddenActivation.GeluTanh, Activation.GeluTanh, ["gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_accurate"]),
        (HiddenActivation.Relu, Activation.Relu, ["relu"]),
        (HiddenActivation.Silu, Activation.Silu, ["silu", "swish"]),
        (HiddenActivation.Tanh, Activation.Tanh, ["tanh"]),
    ];

    /// <summary>All names, for messages.</summary>
    public static string Names { get; } = string.Join(", ", Table.SelectMany(row => row.Names));

    /// <summary>HF's name.</summary>
    public static string NameOf(HiddenActivation activation) => Row(activation).Names[0];

    /// <summary>The function under its name in <see cref="LongformerOps"/>.</summary>
    public static Activation FunctionOf(HiddenActivation activation) => Row(activation).Function;

    /// <summary>The activation that a key of the configuration names; an unknown one becomes a problem.</summary>
    public static HiddenActivation Read(ConfigurationReader json, string key)
    {
        string? name = json.Text(key, "gelu");
        if (Named(name) is { } activation)
            return activation;
        json.Problems.Add($"{key} \"{name}\" is unknown ({Names})");
        return HiddenActivation.Gelu;
    }

    /// <summary>Returns the activation of a name; null: there is none.</summary>
    public static HiddenActivation? Named(string? name) =>
        Array.Find(Table, row => row.Names.Contains(name)) is { Names: not null } row ? row.Activation : null;

    private static (HiddenActivation Activation, Activation Function, string[] Names) Row(HiddenActivation activation) =>
        Array.Find(Table, row => row.Activation == activation) is { Names: not null } row
            ? row : throw new ArgumentOutOfRangeException(nameof(activation), activation, "not an activation");
}
