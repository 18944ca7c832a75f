// Fine-tunes a classifier with TorchSharp: its optimizer, its schedule, a head of one's own on Longformer's body.
//   TorchSharpClassifier CHECKPOINT TRAIN.jsonl HELD-OUT.jsonl OUTPUT [EPOCHS]     lines of {"text": ..., "label": ...}
using System.Globalization;
using System.Text.Json;
using LongformerInterop.Tokenizers;
using LongformerInterop.TorchSharp;
using TorchSharp;
using TorchSharpClassifier;
using static TorchSharp.torch;

if (args.Length < 4)
{
    Console.Error.WriteLine("usage: TorchSharpClassifier CHECKPOINT TRAIN.jsonl HELD-OUT.jsonl OUTPUT [EPOCHS]");
    return 2;
}

try
{
    return Train();
}
catch (Exception e) when (e is LongformerInterop.Torch.LongformerException or TokenizerException)
{
    Console.Error.WriteLine(e.Message);
    return 1;
}

int Train()
{
    (string checkpoint, string output) = (args[0], args[3]);
    int epochs = args.Length > 4 ? int.Parse(args[4], CultureInfo.InvariantCulture) : 8;
    const int BatchSize = 8;
    (string Text, string Label)[] train = Read(args[1]), heldOut = Read(args[2]);
    string[] labels = [.. train.Select(e => e.Label).Distinct().Order(StringComparer.Ordinal)];

    random.manual_seed(1);
    Tokenizer tokenizer = Tokenizer.Load(checkpoint);
    using Classifier model = new(checkpoint, labels.Length);
    using optim.Optimizer optimizer = optim.AdamW(model.parameters(), 2e-3);
    int steps = epochs * ((train.Length + BatchSize - 1) / BatchSize);
    optim.lr_scheduler.LRScheduler schedule = optim.lr_scheduler.LambdaLR(optimizer, step => 1 - ((double)step / steps));

    model.train();
    for (int epoch = 0; epoch < epochs; epoch++)
    {
        (Random order, float last) = (new Random(epoch), 0);
        order.Shuffle(train);
        foreach ((string Text, string Label)[] batch in train.Chunk(BatchSize))
        {
            // TorchSharp's optimizers leave their temporaries to the scope around the step.
            using DisposeScope scope = NewDisposeScope();
            (Tensor ids, Tensor mask) = Encode(batch);
            long[] gold = [.. batch.Select(e => (long)Array.IndexOf(labels, e.Label))];
            Tensor loss = nn.functional.cross_entropy(model.call(ids, mask), tensor(gold));
            optimizer.zero_grad();
            loss.RunBackward();
            nn.utils.clip_grad_norm_(model.parameters(), 1);
            optimizer.step();
            schedule.step();
            last = loss.item<float>();
        }

        Console.WriteLine(FormattableString.Invariant($"epoch {epoch + 1}: loss {last:F4}, accuracy on held-out data {Accuracy(heldOut):F3}"));
    }

    CheckpointFolder.Save(model, model.Configuration with { Id2Label = labels }, "LongformerForSequenceClassification", output, tokenizer: checkpoint);
    Console.WriteLine($"saved to {output}");
    return 0;

    double Accuracy((string Text, string Label)[] examples)
    {
        model.eval();
        using IDisposable off = no_grad();
        int right = 0;
        foreach ((string Text, string Label)[] batch in examples.Chunk(BatchSize))
        {
            using DisposeScope scope = NewDisposeScope();
            (Tensor ids, Tensor mask) = Encode(batch);
            long[] found = model.call(ids, mask).argmax(1).data<long>().ToArray();
            right += found.Where((label, i) => labels[label] == batch[i].Label).Count();
        }

        model.train();
        return (double)right / examples.Length;
    }

    (Tensor Ids, Tensor Mask) Encode((string Text, string Label)[] batch)
    {
        IReadOnlyList<Encoding> encodings = tokenizer.EncodeBatch([.. batch.Select(e => e.Text)], options: new EncodeOptions
        {
            MaxLength = model.Configuration.MaxTokens,
            Padding = new PaddingOptions(),
        });
        long[] Joined(Func<Encoding, ReadOnlyMemory<int>> part) => [.. encodings.SelectMany(e => part(e).ToArray()).Select(v => (long)v)];
        long[] shape = [encodings.Count, encodings[0].Count];
        return (tensor(Joined(e => e.Ids), shape), tensor(Joined(e => e.AttentionMask), shape));
    }
}

static (string Text, string Label)[] Read(string file) =>
    [.. File.ReadLines(file).Where(line => line.Length > 0).Select(line =>
    {
        using JsonDocument json = JsonDocument.Parse(line);
        return (json.RootElement.GetProperty("text").GetString()!, json.RootElement.GetProperty("label").GetString()!);
    })];
