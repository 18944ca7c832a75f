using System.Buffers;
using System.Text.Json;
using LongformerInterop.Tests;
using Microsoft.ML.Tokenizers;

namespace LongformerInterop.Extensions.Tests;

/// <summary>The tokenizer through the class of Microsoft.ML.Tokenizers: HF's goldens, and what that class promises.</summary>
public class MLTokenizerTests
{
    private static MLTokenizer Of(string folder, bool special = false) => MLTokenizer.Load(Golden(folder), special);

    private static string Golden(string folder) => Path.Combine(Repository.Root, "parity-tests", "goldens", "tokenizer", folder);

    private static IEnumerable<JsonElement> Lines(string folder, string file) =>
        File.ReadLines(Path.Combine(Golden(folder), file)).Where(line => line.Length > 0).Select(line => JsonDocument.Parse(line).RootElement);

    [TestCase("roberta", 319)]
    [TestCase("tiny", 160)]
    [TestCase("wordpiece", 333)]
    public void Ids_tokens_and_offsets_are_HFs_on_every_line(string folder, int lines)
    {
        Tokenizer tokenizer = Of(folder, special: true);
        Tokenizers.Tokenizer inner = Tokenizers.Tokenizer.Load(Golden(folder));
        int compared = 0;
        foreach (JsonElement line in Lines(folder, "encode.jsonl"))
        {
            string text = line.GetProperty("text").GetString()!;
            int[] expected = [.. line.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32())];
            Assert.That(tokenizer.EncodeToIds(text), Is.EqualTo(expected), text);
            Assert.That(tokenizer.EncodeToIds(text.AsSpan()), Is.EqualTo(expected), text);
            Assert.That(tokenizer.CountTokens(text), Is.EqualTo(expected.Length), text);
            IReadOnlyList<EncodedToken> tokens = tokenizer.EncodeToTokens(text, out string? normalized);
            Assert.That((tokens.Select(t => t.Id), normalized), Is.EqualTo((expected, (string?)null)), text);
            Tokenizers.Encoding encoding = inner.Encode(text);
            Assert.That(tokens.Select(t => (t.Offset.Start.Value, t.Offset.End.Value)),
                Is.EqualTo(encoding.Offsets.ToArray().Select(o => (o.Start, o.End))), text);
            Assert.That(tokens.Select(t => t.Value), Is.EqualTo(expected.Select(id => inner.IdToToken(id))), text);
            compared++;
        }

        Assert.That(compared, Is.EqualTo(lines));
    }

    [TestCase("roberta", 243)]
    [TestCase("tiny", 145)]
    [TestCase("wordpiece", 151)]
    public void Decoded_texts_are_HFs_on_every_line(string folder, int lines)
    {
        (Tokenizer plain, Tokenizer special) = (Of(folder), Of(folder, special: true));
        int compared = 0;
        foreach (JsonElement line in Lines(folder, "decode.jsonl"))
        {
            int[] ids = [.. line.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32())];
            Assert.That(plain.Decode(ids), Is.EqualTo(line.GetProperty("text").GetString()));
            Assert.That(special.Decode(ids), Is.EqualTo(line.GetProperty("text_skip_special").GetString()));
            compared++;
        }

        Assert.That(compared, Is.EqualTo(lines));
    }

    [TestCase("roberta")]
    [TestCase("tiny")]
    [TestCase("wordpiece")]
    public void A_limit_keeps_the_most_whole_characters_from_either_end(string folder)
    {
        Tokenizer tokenizer = Of(folder);
        foreach (JsonElement line in Lines(folder, "encode.jsonl"))
        {
            string text = line.GetProperty("text").GetString()!;
            if (text.Length > 400)
                continue;
            int[] all = [.. tokenizer.EncodeToIds(text)];
            for (int most = 1; most <= all.Length + 1; most++)
            {
                IReadOnlyList<int> ids = tokenizer.EncodeToIds(text, most, out string? normalized, out int consumed);
                int index = tokenizer.GetIndexByTokenCount(text, most, out _, out int count);
                Assert.That((normalized, consumed, ids.Count), Is.EqualTo(((string?)null, index, count)), text);
                Assert.That(ids, Is.EqualTo(all[..count]), text);
                Assert.That(count, Is.AtMost(most), text);
                Assert.That(most < all.Length || (count == all.Length && index == text.Length), Is.True, text);
                IReadOnlyList<EncodedToken> tokens = tokenizer.EncodeToTokens(text, out _);
                Assert.That(tokens.Take(count).All(t => t.Offset.End.Value <= index), Is.True, text);
                Assert.That(tokens.Skip(count).All(t => t.Offset.Start.Value >= index || t.Offset.Start.Equals(t.Offset.End)), Is.True, text);

                int from = tokenizer.GetIndexByTokenCountFromEnd(text, most, out _, out int tail);
                Assert.That(tail, Is.AtMost(most), text);
                Assert.That(most < all.Length || (tail == all.Length && from == 0), Is.True, text);
                Assert.That(tokens.Skip(all.Length - tail).All(t => t.Offset.Start.Value >= from || t.Offset.Start.Equals(t.Offset.End)), Is.True,
                    text);
                Assert.That(index is < 1 || index >= text.Length || !char.IsLowSurrogate(text[index])
                    || !char.IsHighSurrogate(text[index - 1]), Is.True, text);
            }
        }
    }

    [Test]
    public void A_long_text_is_cut_into_chunks_that_hold_all_of_it()
    {
        Tokenizer tokenizer = Of("roberta");
        string rest = string.Concat(Enumerable.Repeat("Ferries run every hour, even in a storm. 🙂 ", 60));
        string whole = rest;
        List<string> chunks = [];
        while (rest.Length > 0)
        {
            int index = tokenizer.GetIndexByTokenCount(rest, 50, out _, out int count);
            Assert.That((index, count), Is.GreaterThan((0, 0)));
            chunks.Add(rest[..index]);
            rest = rest[index..];
        }

        Assert.That(string.Concat(chunks), Is.EqualTo(whole));
        Assert.That(chunks, Has.Count.GreaterThan(5));
        Assert.That(chunks.Select(c => tokenizer.CountTokens(c)), Is.All.AtMost(51));
    }

    [Test]
    public void Decoding_into_a_span_takes_as_many_ids_as_fit()
    {
        Tokenizer tokenizer = Of("roberta");
        int[] ids = [.. tokenizer.EncodeToIds("Storm 🙂 over the bridge")];
        string text = tokenizer.Decode(ids);
        for (int size = 0; size <= text.Length + 1; size++)
        {
            char[] destination = new char[size];
            OperationStatus status = tokenizer.Decode(ids, destination, out int consumed, out int written);
            Assert.That(status, Is.EqualTo(size >= text.Length ? OperationStatus.Done : OperationStatus.DestinationTooSmall));
            Assert.That(new string(destination, 0, written), Is.EqualTo(text[..written]));
            Assert.That(tokenizer.Decode(ids.Take(consumed)), Is.EqualTo(text[..written]));
        }
    }

    [Test]
    public void What_cannot_be_is_refused()
    {
        Tokenizer tokenizer = Of("tiny");
        Assert.That(() => tokenizer.EncodeToIds("a", 0, out _, out _), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => tokenizer.EncodeToIds("a", considerNormalization: false),
            Throws.ArgumentException.With.Message.Contains("considerNormalization"));
        Assert.That(() => MLTokenizer.Load("/nowhere"), Throws.TypeOf<Tokenizers.TokenizerException>());
        Assert.That((tokenizer.EncodeToIds(""), tokenizer.CountTokens(""), tokenizer.Decode([])), Is.EqualTo((Array.Empty<int>(), 0, "")));
    }
}
