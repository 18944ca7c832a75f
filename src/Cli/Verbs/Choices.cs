using System.CommandLine;

namespace LongformerInterop.Cli.Verbs;

/// <summary>Checks of option values whose messages name the option.</summary>
internal static class Choices
{
    /// <summary>Accepts only numbers from 1 on.</summary>
    internal static void AtLeastOne(this Option option) => option.Validators.Add(result =>
    {
        if (result.Tokens.Count == 1 && int.TryParse(result.Tokens[0].Value, out int n) && n < 1)
            result.AddError($"{option.Name} must be at least 1, given {n}");
    });

    /// <summary>Accepts only these values; shell completion shows them.</summary>
    internal static void OnlyFrom(this Option option, params string[] values)
    {
        option.CompletionSources.Add(_ => values.Select(v => new System.CommandLine.Completions.CompletionItem(v)));
        option.Validators.Add(result =>
        {
            foreach (System.CommandLine.Parsing.Token token in result.Tokens)
            {
                if (!values.Contains(token.Value, StringComparer.Ordinal))
                    result.AddError($"{option.Name} must be one of {string.Join(", ", values)}; given {token.Value}");
            }
        });
    }
}
