using LongformerInterop.Checkpoints;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Models.Led;
using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>
/// The Longformer-Encoder-Decoder of Beltagy, Peters and Cohan (arXiv 2004.05150, section 7): a BART whose encoder attends in windows and to
/// a few global tokens. Agrees with <c>LEDModel</c> of HF and reads allenai's checkpoints as well, but pads nothing: any length runs at
/// its own cost.
/// </summary>
public sealed class LedModel : LedPretrained<LedModelOutputs>
{
    internal LedModel(LedLoader loader)
        : base(loader)
    {
    }

    /// <summary>Loads the body of any LED checkpoint.</summary>
    /// <exception cref="CheckpointException">Configuration or weights do not fit; everything is listed.</exception>
    public static new LedModel Load(string folder, LoadOptions? options = null) => ModelLoader.Load<LedModel>(folder, options);

    private protected override LedModelOutputs Compute(LedInputs inputs, Tensor hidden, LedDecoderBatch batch, Tensor encoderStates,
        LedDropout dropout) =>
        new() { LastHiddenState = Differentiable.Reshape(hidden, batch.Rows, batch.Length, -1), EncoderLastHiddenState = encoderStates };
}
